import { useRef, useState } from "react";
import { ask } from "../api/client.js";
import type { Json, RunState, Schema, Wait } from "../api/types.js";
import { texts } from "../texts.js";
import { moment } from "../ui/numbers.js";
import { ErrorNote } from "../ui/parts.js";
import { SchemaField, SchemaForm, type Values } from "../ui/schema-form.js";
import { useWork } from "../ui/use.js";
import { type ValueLinks, ValueView } from "./value-view.js";

const isForm = ({ type, properties }: Schema): boolean => type === "object" && properties !== undefined;

/** What a form begins with: a box that is not ticked says no. */
const firstValues = ({ properties = {} }: Schema): Values =>
  Object.fromEntries(
    Object.entries(properties)
      .filter(([, { type }]) => type === "boolean")
      .map(([name, schema]) => [name, schema.default ?? false]),
  );

const isWhole = ({ required = [] }: Schema, value: Json | undefined): boolean =>
  value !== undefined && required.every((name) => (value as Values)[name] !== undefined);

function Question({ run, wait, links, answered }: WaitProps & { wait: Wait }) {
  const { path, kind, payload, schema = {}, signal, due } = wait;
  const [value, setValue] = useState<Json | undefined>(() => (isForm(schema) ? firstValues(schema) : undefined));
  const { busy, error, work } = useWork();
  const address =
    kind === "signal"
      ? `/runs/${run}/signals/${encodeURIComponent(signal ?? "")}`
      : `/runs/${run}/waits/${encodeURIComponent(path)}`;
  const body = kind === "signal" ? { value } : { answer: value };
  const title = kind === "signal" ? texts.waits.signal(signal ?? "") : texts.waits.answer;
  return (
    <form
      className="note stack"
      aria-label={path}
      onSubmit={(event) => {
        event.preventDefault();
        work(async () => {
          await ask<RunState>(address, { method: "POST", body, headers: { prefer: "respond-async" } });
          answered(path);
        });
      }}
    >
      <h2 className="mono breaking">{path}</h2>
      {payload !== undefined && <ValueView value={payload} links={links} />}
      {kind === "time" ? (
        <p className="muted">{due === undefined ? texts.waits.time : texts.waits.until(moment(due))}</p>
      ) : (
        <>
          {isForm(schema) ? (
            <SchemaForm
              schema={schema}
              values={(value ?? {}) as Values}
              change={(values) => setValue(values as Json)}
            />
          ) : (
            <SchemaField name={title} schema={schema} value={value} required change={setValue} />
          )}
          <div className="row">
            <button type="submit" className="button primary" disabled={busy || !isWhole(schema, value)}>
              {texts.waits.send}
            </button>
            {due !== undefined && <span className="small muted">{texts.waits.until(moment(due))}</span>}
          </div>
        </>
      )}
      {error && <ErrorNote finding={error} />}
    </form>
  );
}
interface WaitProps {
  readonly run: string;
  readonly links: ValueLinks;
  readonly answered: (path: string) => void;
}

/** What a run waits for, each as a form. A form stays as it is while another one is answered. */
export function Waits({ waits, answered, ...others }: WaitProps & { waits: readonly Wait[] }) {
  const done = useRef(new Set<string>());
  const open = waits.filter(({ path }) => !done.current.has(path));
  if (open.length === 0) return null;
  return (
    <div className="waits stack">
      {open.map((wait) => (
        <Question
          key={wait.path}
          {...others}
          wait={wait}
          answered={(path) => {
            done.current.add(path);
            answered(path);
          }}
        />
      ))}
    </div>
  );
}
