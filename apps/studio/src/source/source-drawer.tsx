import { lazy, Suspense } from "react";
import { ask } from "../api/client.js";
import type { Passage, Place } from "../api/types.js";
import { texts } from "../texts.js";
import { Drawer, Loading } from "../ui/parts.js";
import { useLoaded } from "../ui/use.js";

const CodeView = lazy(() => import("./code-view.js"));

/** What of a source is to be shown. */
export interface SourceAt {
  readonly path: string;
  readonly lines?: readonly [number, number] | undefined;
  readonly place?: Place | undefined;
  /** The passage itself, which is shown where the file cannot be. */
  readonly passage?: Passage | undefined;
}

export function whereOf({ path, lines, place }: SourceAt): string {
  if (place) {
    const range = place.from === place.to ? `${place.from}` : `${place.from}–${place.to}`;
    return [path, ...(place.inside ?? []), place.unit === "part" ? "" : `${place.unit} ${range}`]
      .filter(Boolean)
      .join(", ");
  }
  return lines ? `${path}:${lines[0]}–${lines[1]}` : path;
}

function Passages({ passages, at }: { passages: readonly Passage[]; at: SourceAt }) {
  return (
    <ul className="stack scroll">
      {passages.map(({ id, text, title, source }) => {
        const isMeant = id === at.passage?.id || (at.place && source?.place?.from === at.place.from);
        return (
          <li
            key={id}
            className={`note${isMeant ? " meant" : ""}`}
            ref={(element) => {
              if (isMeant) element?.scrollIntoView({ block: "center" });
            }}
          >
            <p className="small muted breaking">{title ?? (source && whereOf(source))}</p>
            <p className="text">{text}</p>
          </li>
        );
      })}
    </ul>
  );
}

/** A source at its lines, at the side of the window. */
export function SourceDrawer({ at, close }: { at: SourceAt; close: () => void }) {
  const { value, error } = useLoaded(
    () => ask<{ text?: string; passages: Passage[] }>(`/source/file?path=${encodeURIComponent(at.path)}`),
    [at.path],
  );
  return (
    <Drawer title={<span className="mono">{whereOf(at)}</span>} close={close}>
      {error && <p className="muted">{error.code === "NOT_FOUND" ? texts.source.noFolder : error.message}</p>}
      {error && at.passage && <Passages passages={[at.passage]} at={at} />}
      {!value && !error && <Loading />}
      {value?.text !== undefined && (
        <Suspense fallback={<Loading />}>
          <CodeView text={value.text} name={at.path} lines={at.lines} />
        </Suspense>
      )}
      {value && value.text === undefined && (
        <>
          <p className="muted">{texts.source.passages}</p>
          <Passages passages={value.passages} at={at} />
        </>
      )}
    </Drawer>
  );
}
