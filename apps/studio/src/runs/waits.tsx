import { useState } from "react";
import { ask } from "../api/client.js";
import type { Json, RunState, Wait } from "../api/types.js";
import { texts } from "../texts.js";
import { moment } from "../ui/numbers.js";
import { ErrorNote } from "../ui/parts.js";
import { SchemaField } from "../ui/schema-form.js";
import { useWork } from "../ui/use.js";
import { type ValueLinks, ValueView } from "./value-view.js";

function Question({ run, wait, links, answered }: WaitProps) {
  const [value, setValue] = useState<Json>();
  const { busy, error, work } = useWork();
  const { path, kind, payload, schema, signal, due } = wait;
  const address =
    kind === "signal"
      ? `/runs/${run}/signals/${encodeURIComponent(signal ?? "")}`
      : `/runs/${run}/waits/${encodeURIComponent(path)}`;
  const body = kind === "signal" ? { value } : { answer: value };
  return (
    <form
      className="note stack"
      onSubmit={(event) => {
        event.preventDefault();
        work(async () => {
          await ask<RunState>(address, { method: "POST", body, headers: { prefer: "respond-async" } });
          answered();
        });
      }}
    >
      <h2 className="mono breaking">{path}</h2>
      {payload !== undefined && <ValueView value={payload} links={links} />}
      {kind === "time" ? (
        <p className="muted">{due === undefined ? texts.waits.time : texts.waits.until(moment(due))}</p>
      ) : (
        <>
          <SchemaField
            name={kind === "signal" ? texts.waits.signal(signal ?? "") : texts.waits.answer}
            schema={schema ?? {}}
            value={value}
            required
            change={setValue}
          />
          <div>
            <button type="submit" className="button primary" disabled={busy || value === undefined}>
              {texts.waits.send}
            </button>
          </div>
        </>
      )}
      {error && <ErrorNote finding={error} />}
    </form>
  );
}
interface WaitProps {
  readonly run: string;
  readonly wait: Wait;
  readonly links: ValueLinks;
  readonly answered: () => void;
}

/** What a run waits for, each as a form. */
export function Waits({ waits, ...others }: Omit<WaitProps, "wait"> & { waits: readonly Wait[] }) {
  return waits.map((wait) => <Question key={wait.path} {...others} wait={wait} />);
}
