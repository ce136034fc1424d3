import { useMemo, useState } from "react";
import { ask } from "../api/client.js";
import type { FlowSummary } from "../api/types.js";
import { to } from "../route.js";
import "../styles/evaluate.css";
import { texts } from "../texts.js";
import { ErrorNote, Loading } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { useLoaded } from "../ui/use.js";
import { DataSetChoice, type DataSets, interval, measurable } from "./data-sets.js";
import { CostPlot, IntervalPlot } from "./plots.js";
import { type Evaluation, type Measured, type Question, useEvaluation } from "./use-evaluation.js";

const costs = ["tokens", "calls", "milliseconds", "retrievals"];
function Figures({ measured }: { measured: Measured }) {
  const metrics = [...new Set(measured.summaries.flatMap(({ figures }) => figures.map(({ metric }) => metric)))];
  return (
    <Table
      caption={texts.evaluate.figures}
      head={[texts.evaluate.flow, ...metrics.map((metric) => ({ number: metric })), { number: texts.evaluate.failed }]}
    >
      {measured.summaries.map(({ flow, figures, failed, questions }) => (
        <tr key={flow}>
          <th scope="row">{flow}</th>
          {metrics.map((metric) => {
            const found = figures.find((figure) => figure.metric === metric);
            return (
              <td key={metric} className="number">
                {found ? interval(found) : "–"}
              </td>
            );
          })}
          <td className="number">
            {failed} / {questions}
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Differences({ measured }: { measured: Measured }) {
  return measured.comparisons.map(({ left, right, differences }) => (
    <section key={right} className="stack tight">
      <h2>{texts.evaluate.beside(right, left)}</h2>
      <Table
        head={[
          texts.evaluate.metric,
          ...[texts.evaluate.difference, texts.evaluate.more, texts.evaluate.less, texts.evaluate.equal].map(
            (number) => ({ number }),
          ),
        ]}
      >
        {differences.map(({ metric, difference, larger, smaller, equal }) => (
          <tr key={metric}>
            <td>{metric}</td>
            <td className="number">{interval(difference)}</td>
            <td className="number">{larger}</td>
            <td className="number">{smaller}</td>
            <td className="number">{equal}</td>
          </tr>
        ))}
      </Table>
    </section>
  ));
}

const mostRows = 500;

function Questions({ measured, metric, runs }: { measured: Measured; metric: string; runs: Evaluation["runs"] }) {
  const flows = measured.results.map((list) => list[0]?.flow ?? "");
  const byId = measured.results.map((list) => new Map(list.map((result) => [result.id, result])));
  const questions = [...new Map(measured.results.flat().map(({ id, question }) => [id, question]))];
  const spread = (id: string) => {
    const values = byId.map((of) => of.get(id)?.measures[metric] ?? 0);
    return Math.max(...values) - Math.min(...values);
  };
  const sorted = [...questions].sort(([a], [b]) => spread(b) - spread(a)).slice(0, mostRows);
  return (
    <Table head={[texts.run.question, ...flows.map((number) => ({ number }))]}>
      {sorted.map(([id, question]) => (
        <tr key={id}>
          <td className="breaking">{question}</td>
          {flows.map((flow, index) => {
            const result = byId[index]!.get(id);
            const run = runs.get(`${flow} ${id}`);
            const words = result?.error?.code ?? result?.measures[metric]?.toFixed(3) ?? "–";
            return (
              <td key={flow} className="number">
                {run ? <a href={to("runs", run)}>{words}</a> : words}
              </td>
            );
          })}
        </tr>
      ))}
    </Table>
  );
}

function Results({ measured, runs }: { measured: Measured; runs: Evaluation["runs"] }) {
  const metrics = [...new Set(measured.summaries.flatMap(({ figures }) => figures.map(({ metric }) => metric)))];
  const qualities = metrics.filter((metric) => !costs.includes(metric));
  const [chosen, setChosen] = useState<string>();
  const metric = chosen ?? qualities[0] ?? metrics[0] ?? "";
  const cost =
    costs.find((one) =>
      measured.summaries.some(({ figures }) => (figures.find((figure) => figure.metric === one)?.mean ?? 0) > 0),
    ) ?? "milliseconds";
  const rows = measured.summaries.flatMap(({ flow, figures }) =>
    figures.filter((figure) => figure.metric === metric).map((figure) => ({ ...figure, flow })),
  );
  return (
    <div className="stack wide">
      <Figures measured={measured} />
      <p className="small muted">{texts.evaluate.intervals}</p>
      <label className="row tight">
        <span className="label">{texts.evaluate.metric}</span>
        <select className="input narrow" value={metric} onChange={({ target }) => setChosen(target.value)}>
          {metrics.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </label>
      <div className="two">
        {rows.length > 0 && <IntervalPlot metric={metric} rows={rows} />}
        <CostPlot measured={measured} metric={metric} cost={cost} />
      </div>
      <Differences measured={measured} />
      <section className="stack tight">
        <h2>{texts.evaluate.questions}</h2>
        <p className="small muted">{texts.evaluate.questionsAbout}</p>
        <Questions measured={measured} metric={metric} runs={runs} />
      </section>
    </div>
  );
}

function Choices({
  sets,
  flows,
  evaluation,
}: {
  sets: DataSets["sets"];
  flows: readonly FlowSummary[];
  evaluation: Evaluation;
}) {
  const [set, setSet] = useState(sets[0]?.name ?? "");
  const [chosen, setChosen] = useState<readonly string[]>(() => flows.slice(0, 1).map(({ name }) => name));
  const { value } = useLoaded(() => ask<{ questions: Question[] }>(`/studio/data/${set}`), [set]);
  const toggle = (name: string) =>
    setChosen((before) => (before.includes(name) ? before.filter((one) => one !== name) : [...before, name]));
  const picked = flows.filter(({ name }) => chosen.includes(name));
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (value) evaluation.start(set, value.questions, picked);
      }}
    >
      <DataSetChoice sets={sets} chosen={set} choose={setSet} />
      <fieldset className="row">
        <legend className="label">{texts.evaluate.flows}</legend>
        {flows.map(({ name }) => (
          <label key={name} className="row tight">
            <input type="checkbox" checked={chosen.includes(name)} onChange={() => toggle(name)} /> {name}
          </label>
        ))}
      </fieldset>
      <div className="row">
        <button
          type="submit"
          className="button primary"
          disabled={evaluation.isRunning || !value || picked.length === 0}
        >
          {texts.evaluate.start}
        </button>
        {evaluation.isRunning && (
          <>
            <button type="button" className="button" onClick={evaluation.stop}>
              {texts.evaluate.stop}
            </button>
            <progress value={evaluation.done} max={evaluation.all} aria-label={texts.evaluate.progress} />
            <span role="status">{texts.evaluate.done(evaluation.done, evaluation.all)}</span>
          </>
        )}
      </div>
      {evaluation.error && <ErrorNote finding={evaluation.error} />}
    </form>
  );
}

/** Flows on questions with known answers: figures with intervals, and each question with its runs. */
export default function EvaluatePage() {
  const { value, error } = useLoaded(async () => {
    const [data, { flows }] = await Promise.all([
      ask<DataSets>("/studio/data"),
      ask<{ flows: FlowSummary[] }>("/flows"),
    ]);
    return { ...data, flows };
  }, []);
  const evaluation = useEvaluation();
  const flows = useMemo(() => (value?.flows ?? []).filter(measurable), [value]);
  const canStart = value?.measures && value.sets.length > 0;
  return (
    <div className="page">
      <header className="stack tight">
        <h1>{texts.evaluate.title}</h1>
        <p className="muted measure">{texts.evaluate.about}</p>
      </header>
      {error && <ErrorNote finding={error} />}
      {!value && !error && <Loading />}
      {value && !canStart && <p className="note measure">{texts.evaluate.noSets}</p>}
      {canStart && <Choices sets={value.sets} flows={flows} evaluation={evaluation} />}
      {evaluation.measured && <Results measured={evaluation.measured} runs={evaluation.runs} />}
    </div>
  );
}
