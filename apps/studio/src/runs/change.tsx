import { useState } from "react";
import { ask, forkRun, hasRoute, startRun } from "../api/client.js";
import type { Check, FlowDocument, Json, Operator } from "../api/types.js";
import { nodeAt, withNode } from "../edit/document.js";
import { go, to } from "../route.js";
import { texts } from "../texts.js";
import { ErrorNote, Loading } from "../ui/parts.js";
import { SchemaField, SchemaForm, type Values } from "../ui/schema-form.js";
import { useLoaded, useWork } from "../ui/use.js";
import type { RunModel, Step } from "./run-model.js";
import { whole } from "./values.js";

export interface RunFlow {
  readonly document: FlowDocument;
  readonly check: Check;
}

interface ChangeProps {
  readonly run: RunModel;
  readonly step: Step;
  readonly flow: RunFlow;
}

const forkRoute = "POST /runs/{id}/fork";

/**
 * Runs once more with other settings of one node: from there on where the service can fork a run, else the whole flow as a
 * flow of its own, with the same input and seed.
 */
async function runChanged({ run, step, flow }: ChangeProps, config: Json): Promise<string> {
  const { id, input, seed, flow: name } = run.state!;
  if (await hasRoute(forkRoute)) return (await forkRun(id, { at: step.path, config })).id;
  const changed = `${name.replace(/-changed$/, "").slice(0, 56)}-changed`;
  const document = { ...withNode(flow.document, step.node, (node) => ({ ...node, with: config })), name: changed };
  await ask(`/flows/${changed}`, { method: "PUT", body: document });
  return (await startRun(changed, input, seed)).id;
}

const runOnOutput = async ({ run, step }: ChangeProps, output: Json): Promise<string> =>
  (await forkRun(run.state!.id, { at: step.path, output })).id;

function OtherOutput(props: ChangeProps) {
  const { run, step } = props;
  // an event names a long value instead of holding it; a fork is given it whole
  const { value: before } = useLoaded(() => whole(run.state!.id, step.output), [step.path]);
  const [typed, setOutput] = useState<Json>();
  const output = typed ?? before;
  const { busy, error, work } = useWork();
  return (
    <details>
      <summary>{texts.change.output}</summary>
      <div className="stack">
        <p className="small muted">{texts.change.outputAbout}</p>
        {before !== undefined && (
          <SchemaField name={texts.run.output} schema={{ type: "json" }} value={before} required change={setOutput} />
        )}
        <div>
          <button
            type="button"
            className="button small"
            disabled={busy || output === undefined || typed === undefined}
            onClick={() => work(async () => go(to("compare", run.state!.id, await runOnOutput(props, output!))))}
          >
            {texts.change.runOutput}
          </button>
        </div>
        {error && <ErrorNote finding={error} />}
      </div>
    </details>
  );
}

/** Changes one step of a run, a setting or a prompt or its output, and shows what that changes. */
export function ChangePanel(props: ChangeProps) {
  const { run, step, flow } = props;
  const node = nodeAt(flow.document, step.node);
  const before = (node?.with ?? {}) as Values;
  const [values, setValues] = useState<Values>(before);
  const { busy, error, work } = useWork();
  const { value } = useLoaded(async () => {
    const [{ operators }, canFork] = await Promise.all([
      ask<{ operators: Operator[] }>("/operators"),
      hasRoute(forkRoute),
    ]);
    return { operator: operators.find(({ name }) => name === node?.run), canFork };
  }, [step.node]);
  if (!value) return <Loading />;
  const { operator, canFork } = value;
  const isSame = JSON.stringify(values) === JSON.stringify(before);
  return (
    <div className="stack wide">
      <p className="small muted">{canFork ? texts.change.about : texts.change.aboutWhole}</p>
      {operator && Object.keys(operator.config.properties ?? {}).length > 0 ? (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            work(async () => go(to("compare", run.state!.id, await runChanged(props, values as Json))));
          }}
        >
          <SchemaForm schema={operator.config} values={values} change={setValues} />
          <div className="row">
            <button type="submit" className="button primary" disabled={busy || isSame}>
              {texts.change.run}
            </button>
            {isSame && <span className="small muted">{texts.change.none}</span>}
          </div>
        </form>
      ) : (
        <p className="muted">{texts.change.noSettings}</p>
      )}
      {error && <ErrorNote finding={error} />}
      {canFork && step.status === "done" && <OtherOutput {...props} />}
    </div>
  );
}
