import { lazy, Suspense, useMemo, useState } from "react";
import { ask, hasRoute } from "../api/client.js";
import type { RunDifference } from "../api/types.js";
import { to } from "../route.js";
import type { RunModel, Step } from "../runs/run-model.js";
import { useRun } from "../runs/use-run.js";
import { answerOf, questionOf, whole } from "../runs/values.js";
import "../styles/edit.css";
import "../styles/runs.css";
import { texts } from "../texts.js";
import { count, duration } from "../ui/numbers.js";
import { ErrorNote, Facts, Loading, Status } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { useLoaded } from "../ui/use.js";

const TextDifference = lazy(() => import("./text-difference.js"));

type Change = "same" | "changed" | "added" | "removed";

interface ComparedStep {
  readonly path: string;
  readonly before: Step | undefined;
  readonly after: Step | undefined;
  readonly change: Change;
}

/** The place of a step in its run, without the name of its flow: two runs may be of two flows. */
const placeOf = ({ path }: Pick<Step, "path">): string =>
  path.slice(path.includes("/") ? path.indexOf("/") : path.length);

/** Steps of two runs by their place. Long values are named by their hash, so that what is equal is equal text. */
export function comparedSteps(before: readonly Step[], after: readonly Step[]): ComparedStep[] {
  const later = new Map(after.map((step) => [placeOf(step), step]));
  const earlier = new Set(before.map(placeOf));
  const changeOf = (one: Step, other: Step): Change =>
    one.status === other.status && JSON.stringify(one.output) === JSON.stringify(other.output) ? "same" : "changed";
  return [
    ...before.map((step): ComparedStep => {
      const other = later.get(placeOf(step));
      return {
        path: placeOf(step) || step.path,
        before: step,
        after: other,
        change: other ? changeOf(step, other) : "removed",
      };
    }),
    ...after
      .filter((step) => !earlier.has(placeOf(step)))
      .map((step): ComparedStep => ({ path: placeOf(step), before: undefined, after: step, change: "added" })),
  ];
}

function Side({ run, id, title }: { run: RunModel; id: string; title: string }) {
  const { state } = run;
  if (!state) return <Loading />;
  return (
    <section className="stack tight">
      <h2>
        {title} <a href={to("runs", id)}>{state.flow}</a>
      </h2>
      <p className="muted breaking">{questionOf(state.input)}</p>
      <Facts
        facts={[
          ["", <Status key="status" status={state.status} />],
          [texts.run.took, duration(run.now)],
          [texts.run.calls, count(state.spent?.calls ?? run.calls)],
          [texts.run.tokens, count(state.spent?.tokens ?? run.tokens)],
        ]}
      />
      <p className="small">
        <a href={`${to("edit", state.flow)}?run=${id}`}>{texts.compare.keep}</a>
      </p>
    </section>
  );
}

const printed = (value: unknown): string =>
  typeof value === "string" ? value : (JSON.stringify(value, undefined, 2) ?? "");

function StepDifference({ step, a, b }: { step: ComparedStep; a: string; b: string }) {
  const { value } = useLoaded(
    async () => ({
      before: printed(await whole(a, step.before?.output)),
      after: printed(await whole(b, step.after?.output)),
    }),
    [step],
  );
  return value ? <TextDifference before={value.before} after={value.after} by="lines" /> : <Loading />;
}

const mostRows = 400;

/** What the service says of why steps differ, by path, once both runs have ended. */
function useReasons(a: string, b: string, areOver: boolean): ReadonlyMap<string, string> {
  const { value } = useLoaded(async () => {
    if (!areOver || !(await hasRoute("GET /runs/{id}/diff/{other}"))) return undefined;
    return ask<RunDifference>(`/runs/${a}/diff/${b}`).catch(() => undefined);
  }, [a, b, areOver]);
  return useMemo(
    () =>
      new Map(
        (value?.steps ?? []).map(({ path, because = [] }) => [
          placeOf({ path }),
          because.map((one) => texts.compare.because[one] ?? one).join(", "),
        ]),
      ),
    [value],
  );
}

interface StepsProps {
  readonly steps: readonly ComparedStep[];
  readonly a: string;
  readonly b: string;
  readonly reasons: ReadonlyMap<string, string>;
}

function Steps({ steps, a, b, reasons }: StepsProps) {
  const [chosen, setChosen] = useState<string>();
  const [onlyChanged, setOnlyChanged] = useState(false);
  const shown = steps.filter(({ change }) => !onlyChanged || change !== "same");
  const step = steps.find(({ path }) => path === chosen);
  const after = steps.filter((one) => one.after);
  const recorded = after.filter((one) => one.after?.from === "journal").length;
  const ms = (one: Step | undefined) => (one?.ms === undefined ? "–" : duration(one.ms));
  return (
    <section className="stack" aria-labelledby="steps">
      <div className="row">
        <h2 id="steps">{texts.run.steps}</h2>
        <span className="muted small">
          {texts.compare.changed(steps.filter(({ change }) => change !== "same").length, steps.length)}
        </span>
        <label className="row tight small end">
          <input type="checkbox" checked={onlyChanged} onChange={({ target }) => setOnlyChanged(target.checked)} />
          {texts.compare.onlyChanged}
        </label>
      </div>
      {recorded > 0 && <p className="small muted">{texts.compare.recordedAbout(recorded, after.length)}</p>}
      <Table
        className="steps-compared"
        head={[
          texts.compare.step,
          texts.compare.change,
          { number: texts.compare.first },
          { number: texts.compare.second },
        ]}
      >
        {shown.slice(0, mostRows).map((one) => (
          <tr key={one.path} className={one.path === chosen ? "chosen" : ""}>
            <td>
              <button type="button" className="link mono" onClick={() => setChosen(one.path)}>
                {one.path}
              </button>
            </td>
            <td className={one.change === "same" ? "muted" : ""}>
              {(one.change !== "same" && reasons.get(one.path)) || texts.compare.changes[one.change]}
            </td>
            <td className="number">{ms(one.before)}</td>
            <td className="number">{one.after?.from === "journal" ? texts.compare.recorded : ms(one.after)}</td>
          </tr>
        ))}
      </Table>
      {shown.length > mostRows && <p className="muted">{texts.compare.more(shown.length - mostRows)}</p>}
      {step && (
        <div className="stack tight">
          <h3 className="mono">{step.path}</h3>
          <Suspense fallback={<Loading />}>
            <StepDifference key={step.path} step={step} a={a} b={b} />
          </Suspense>
        </div>
      )}
    </section>
  );
}

const isOver = ({ state }: RunModel): boolean => state?.ended !== undefined;

/** Two runs side by side: their answers word by word, and their steps. */
export default function ComparePage({ a, b }: { a: string; b: string }) {
  const before = useRun(a);
  const after = useRun(b);
  const [one, other] = [before.run, after.run];
  const versions = `${one.version} ${other.version}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the models change in place, and say so by their version
  const steps = useMemo(() => comparedSteps(one.steps, other.steps), [one, other, versions]);
  const reasons = useReasons(a, b, isOver(one) && isOver(other));
  const texts2 = [one, other].map(({ state }) => answerOf(state?.output)?.text ?? "");
  return (
    <div className="page">
      <h1>{texts.compare.title}</h1>
      {before.error && <ErrorNote finding={before.error} />}
      {after.error && <ErrorNote finding={after.error} />}
      <div className="sides">
        <Side run={one} id={a} title={texts.compare.first} />
        <Side run={other} id={b} title={texts.compare.second} />
      </div>
      <section className="stack tight" aria-labelledby="answers">
        <h2 id="answers">{texts.compare.answers}</h2>
        <Suspense fallback={<Loading />}>
          <TextDifference before={texts2[0]!} after={texts2[1]!} by="words" />
        </Suspense>
      </section>
      <Steps steps={steps} a={a} b={b} reasons={reasons} />
    </div>
  );
}
