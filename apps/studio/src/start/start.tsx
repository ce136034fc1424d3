import { useEffect, useState } from "react";
import { ask, startRun, waitingRuns } from "../api/client.js";
import type { FlowSummary, RunRow, SourceIndex } from "../api/types.js";
import { go, to } from "../route.js";
import { texts } from "../texts.js";
import { moment } from "../ui/numbers.js";
import { ErrorNote, Status } from "../ui/parts.js";
import { useLoaded, useWork } from "../ui/use.js";
import { sampleQuestions } from "./sample.js";

/** Flows that take a question alone, those without a model first. */
const askable = (flows: readonly FlowSummary[]): FlowSummary[] =>
  flows
    .filter(
      ({ input, output }) => input.required?.join() === "query" && output.some((port) => /answer|text/.test(port)),
    )
    .sort((a, b) => a.bound.calls - b.bound.calls || preference(a) - preference(b));
const preference = ({ name }: FlowSummary): number => (name === "hybrid" ? 0 : 1);

function Question({ flows, samples }: { flows: readonly FlowSummary[]; samples: readonly string[] }) {
  const [typed, setTyped] = useState("");
  const [flow, setFlow] = useState(flows[0]?.name ?? "");
  const { busy, error, work } = useWork();
  const [sample = ""] = samples;
  const chosen = flows.find(({ name }) => name === flow);
  const question = typed.trim() === "" ? sample : typed.trim();
  const run = (query: string) =>
    work(async () => {
      const { id } = await startRun(flow, { query });
      go(to("runs", id));
    });
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (question !== "") run(question);
      }}
    >
      <label className="visually-hidden" htmlFor="question">
        {texts.start.question}
      </label>
      <textarea
        id="question"
        className="input question"
        rows={2}
        value={typed}
        placeholder={sample}
        onChange={({ target }) => setTyped(target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          if (question !== "") run(question);
        }}
      />
      <div className="row">
        <button type="submit" className="button primary" disabled={busy || flow === ""}>
          {texts.start.run}
        </button>
        <label className="row tight">
          <span className="muted small">{texts.start.by}</span>
          <select className="input narrow" value={flow} onChange={({ target }) => setFlow(target.value)}>
            {flows.map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        {chosen && (
          <span className="muted small">
            {chosen.bound.calls === 0 ? texts.start.withoutModel : texts.start.withModel}
          </span>
        )}
      </div>
      {error && <ErrorNote finding={error} />}
      {samples.length > 0 && (
        <div className="row tight">
          <span className="muted small">{texts.start.try}</span>
          {samples.map((one) => (
            <button key={one} type="button" className="button small sample" disabled={busy} onClick={() => run(one)}>
              {one}
            </button>
          ))}
        </div>
      )}
    </form>
  );
}

function RunList({ runs }: { runs: readonly RunRow[] }) {
  return (
    <ul className="rows">
      {runs.map(({ id, flow, status, started, about = flow }) => (
        <li key={id}>
          <a href={to("runs", id)} title={flow}>
            <span className="about">{about}</span>
            <Status status={status} />
            <time dateTime={started} className="muted small">
              {moment(started)}
            </time>
          </a>
        </li>
      ))}
    </ul>
  );
}

const loadStart = async () => {
  const [{ flows }, { runs }, source, waiting] = await Promise.all([
    ask<{ flows: FlowSummary[] }>("/flows"),
    ask<{ runs: RunRow[] }>("/runs?limit=5"),
    ask<SourceIndex>("/source").catch(() => undefined),
    waitingRuns(),
  ]);
  return { flows: askable(flows), runs, source, waiting: waiting.length };
};

/** The first view: a question, and what else can be done. */
export function Start() {
  const { value, error } = useLoaded(loadStart, []);
  const [samples, setSamples] = useState<readonly string[]>([]);
  const source = value?.source;
  useEffect(() => {
    if (source) void sampleQuestions(source).then(setSamples);
  }, [source]);
  const passages = source?.files.reduce((sum, file) => sum + file.passages, 0) ?? 0;
  return (
    <div className="page start">
      <header className="stack tight">
        <h1>{source ? texts.start.title(source.root) : texts.start.titlePlain}</h1>
        {source && <p className="muted">{texts.start.about(source.files.length, passages)}</p>}
      </header>
      {error && <ErrorNote finding={error} />}
      {value && value.waiting > 0 && (
        <p className="note">
          <a href={`${to("runs")}?status=waiting`}>{texts.start.waiting(value.waiting)}</a>
        </p>
      )}
      {value && <Question flows={value.flows} samples={samples} />}
      <div className="two">
        <section className="stack tight" aria-labelledby="what">
          <h2 id="what">{texts.start.what}</h2>
          <ul className="stack tight">
            {texts.start.can.map(([place, title, about]) => (
              <li key={place}>
                <a href={to(place)}>{title}</a> <span className="muted">{about}</span>
              </li>
            ))}
          </ul>
        </section>
        {value && value.runs.length > 0 && (
          <section className="stack tight" aria-labelledby="latest">
            <h2 id="latest">{texts.start.latest}</h2>
            <RunList runs={value.runs} />
            <p className="small">
              <a href={to("runs")}>{texts.start.all}</a>
            </p>
          </section>
        )}
      </div>
    </div>
  );
}
