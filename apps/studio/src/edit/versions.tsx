import { lazy, Suspense, useState } from "react";
import { ask } from "../api/client.js";
import type { FlowDocument } from "../api/types.js";
import { texts } from "../texts.js";
import { moment } from "../ui/numbers.js";
import { ErrorNote, Loading } from "../ui/parts.js";
import { useLoaded } from "../ui/use.js";

const TextDifference = lazy(() => import("../compare/text-difference.js"));

const printed = (document: FlowDocument): string => JSON.stringify(document, undefined, 2);

/** The saved versions of a flow by content hash, what is different now, and the way back. */
export function Versions(props: { document: FlowDocument; saved: number; back: (document: FlowDocument) => void }) {
  const { document, saved, back } = props;
  const { name } = document;
  const [chosen, setChosen] = useState<string>();
  const { value, error } = useLoaded(
    () => ask<{ versions: { hash: string; saved: string }[] }>(`/studio/work/${name}/versions`),
    [name, saved],
  );
  const { value: old } = useLoaded(
    async () =>
      chosen === undefined ? undefined : ask<{ document: FlowDocument }>(`/studio/work/${name}/versions/${chosen}`),
    [name, chosen],
  );
  if (error) return <ErrorNote finding={error} />;
  if (!value) return <Loading />;
  if (value.versions.length === 0) return <p className="muted">{texts.edit.noVersions}</p>;
  return (
    <div className="stack">
      <ul className="rows">
        {value.versions.map(({ hash, saved: at }) => (
          <li key={hash} className="row">
            <button type="button" className="link mono" aria-pressed={hash === chosen} onClick={() => setChosen(hash)}>
              {hash.slice(0, 12)}
            </button>
            <span className="muted small">{moment(at)}</span>
          </li>
        ))}
      </ul>
      {old && (
        <>
          <div className="row">
            <h3>{texts.edit.difference}</h3>
            <button type="button" className="button small row end" onClick={() => back(old.document)}>
              {texts.edit.back}
            </button>
          </div>
          <Suspense fallback={<Loading />}>
            <TextDifference before={printed(old.document)} after={printed(document)} by="lines" />
          </Suspense>
        </>
      )}
    </div>
  );
}
