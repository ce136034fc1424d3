import { useId, useMemo, useState } from "react";
import { ask } from "../api/client.js";
import type { FlowDetail, FlowSummary, Operator } from "../api/types.js";
import { DataSetChoice, type DataSets, measurable } from "../evaluate/data-sets.js";
import { go, to } from "../route.js";
import "../styles/evaluate.css";
import { texts } from "../texts.js";
import { moment } from "../ui/numbers.js";
import { ErrorNote, Loading, Status } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { useLoaded, useWork } from "../ui/use.js";
import { Search } from "./search.js";
import { type Tunable, tunablesOf } from "./tunable.js";
import type { TuningRow, TuningState } from "./types.js";

/** The measures that can be made better, by what a flow gives. */
const measures = {
  hits: ["MRR", "nDCG@10", "recall@1", "recall@5", "recall@20", "precision@5"],
  answer: ["cites gold", "citation recall", "citation precision", "F1", "EM", "accuracy", "ROUGE-L"],
  text: ["F1", "EM", "accuracy", "ROUGE-L"],
  cost: ["tokens", "calls", "milliseconds", "retrievals"],
} as const;

const measuresOf = ({ output }: FlowSummary): string[] => [
  ...new Set((["hits", "answer", "text"] as const).filter((port) => output.includes(port)).flatMap((p) => measures[p])),
  ...measures.cost,
];

type Chosen = Readonly<Record<string, string>>;

function Settings(props: { tunables: readonly Tunable[]; chosen: Chosen; choose: (chosen: Chosen) => void }) {
  const { tunables, chosen, choose } = props;
  const toggle = ({ at, suggested }: Tunable) => {
    const { [at]: before, ...others } = chosen;
    choose(before === undefined ? { ...chosen, [at]: suggested } : others);
  };
  return (
    <Table head={[texts.tune.setting, texts.tune.now, texts.tune.values]} className="settings">
      {tunables.map((one) => {
        const { at, about, now } = one;
        return (
          <tr key={at}>
            <td>
              <label className="row tight" title={about}>
                <input type="checkbox" checked={chosen[at] !== undefined} onChange={() => toggle(one)} />
                <span className="mono breaking">{at}</span>
              </label>
            </td>
            <td className="mono">{JSON.stringify(now)}</td>
            <td>
              {chosen[at] === undefined ? (
                <span className="muted">{texts.tune.asItIs}</span>
              ) : (
                <input
                  className="input mono"
                  aria-label={texts.tune.valuesOf(at)}
                  value={chosen[at]}
                  onChange={({ target }) => choose({ ...chosen, [at]: target.value })}
                />
              )}
            </td>
          </tr>
        );
      })}
    </Table>
  );
}

/** A whole number above 0, or nothing. */
function Count(props: { label: string; hint: string; value: string; change: (value: string) => void }) {
  const { label, hint, value, change } = props;
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className="input"
        type="number"
        min={1}
        value={value}
        aria-describedby={`${id}-hint`}
        onChange={({ target }) => change(target.value)}
      />
      <small id={`${id}-hint`}>{hint}</small>
    </div>
  );
}

interface ChoicesProps {
  readonly flow: FlowSummary;
  readonly sets: DataSets["sets"];
  readonly operators: ReadonlyMap<string, Operator>;
}

/** What of a flow is tuned, on which questions, by which measure, and at what cost. */
function Choices({ flow, sets, operators }: ChoicesProps) {
  const [set, setSet] = useState(sets[0]?.name ?? "");
  const [metric, setMetric] = useState(measuresOf(flow)[0]!);
  const [chosen, choose] = useState<Chosen>({});
  const [budget, setBudget] = useState({ runs: "", calls: "" });
  const { busy, error, work } = useWork();
  const { value: detail } = useLoaded(() => ask<FlowDetail>(`/flows/${flow.name}`), [flow.name]);
  const tunables = useMemo(() => (detail ? tunablesOf(detail.document, operators) : []), [detail, operators]);
  const settings = Object.entries(chosen).map(([at, values]) => ({ at, values: values.replaceAll(/\s*,\s*/g, ",") }));
  const atMost = (text: string) => (text === "" ? undefined : Number(text));
  if (!detail) return <Loading />;
  return (
    <form
      className="stack wide"
      onSubmit={(event) => {
        event.preventDefault();
        work(async () => {
          const { runs, calls } = budget;
          const body = { flow: flow.name, set, metric, settings, runs: atMost(runs), calls: atMost(calls) };
          go(to("tune", (await ask<TuningState>("/studio/tunings", { method: "POST", body })).id));
        });
      }}
    >
      <div className="row">
        <DataSetChoice sets={sets} chosen={set} choose={setSet} />
        <label className="row tight">
          <span className="label">{texts.tune.metric}</span>
          <select className="input narrow" value={metric} onChange={({ target }) => setMetric(target.value)}>
            {measuresOf(flow).map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
      </div>
      <section className="stack tight">
        <h2>{texts.tune.settings}</h2>
        <p className="small muted">{texts.tune.settingsAbout}</p>
        {tunables.length === 0 ? (
          <p className="note">{texts.tune.noSettings}</p>
        ) : (
          <Settings tunables={tunables} chosen={chosen} choose={choose} />
        )}
      </section>
      <section className="stack tight">
        <h2>{texts.tune.budget}</h2>
        <div className="two budget">
          <Count
            label={texts.tune.runs}
            hint={texts.tune.runsHint}
            value={budget.runs}
            change={(runs) => setBudget({ ...budget, runs })}
          />
          {flow.bound.calls > 0 && (
            <Count
              label={texts.tune.calls}
              hint={texts.tune.callsHint(flow.bound.calls)}
              value={budget.calls}
              change={(calls) => setBudget({ ...budget, calls })}
            />
          )}
        </div>
      </section>
      <div className="row">
        <button type="submit" className="button primary" disabled={busy || settings.length === 0}>
          {texts.tune.start}
        </button>
        {settings.length === 0 && <span className="small muted">{texts.tune.chooseSetting}</span>}
      </div>
      {error && <ErrorNote finding={error} />}
    </form>
  );
}

function Earlier() {
  const { value } = useLoaded(() => ask<{ tunings: TuningRow[] }>("/studio/tunings"), []);
  if (!value || value.tunings.length === 0) return null;
  return (
    <section className="stack tight">
      <h2>{texts.tune.earlier}</h2>
      <ul className="rows searches">
        {value.tunings.map(({ id, flow, metric, set, status, started }) => (
          <li key={id}>
            <a href={to("tune", id)}>
              <span className="breaking">{texts.tune.title2(flow, metric, set)}</span>
              <Status status={status} />
              <time dateTime={started} className="muted">
                {moment(started)}
              </time>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Begin() {
  const { value, error } = useLoaded(async () => {
    const [data, { flows }, { operators }] = await Promise.all([
      ask<DataSets>("/studio/data"),
      ask<{ flows: FlowSummary[] }>("/flows"),
      ask<{ operators: Operator[] }>("/operators"),
    ]);
    return { data, flows: flows.filter(measurable), operators: new Map(operators.map((one) => [one.name, one])) };
  }, []);
  const [name, setName] = useState<string>();
  const flow = value?.flows.find((one) => one.name === name) ?? value?.flows[0];
  const canTune = value?.data.tunes && value.data.sets.length > 0;
  return (
    <div className="page">
      <header className="stack tight">
        <h1>{texts.tune.title}</h1>
        <p className="muted measure">{texts.tune.about}</p>
      </header>
      {error && <ErrorNote finding={error} />}
      {!value && !error && <Loading />}
      {value && !canTune && <p className="note measure">{texts.evaluate.noSets}</p>}
      {value && canTune && flow && (
        <>
          <label className="row tight">
            <span className="label">{texts.tune.flow}</span>
            <select className="input narrow" value={flow.name} onChange={({ target }) => setName(target.value)}>
              {value.flows.map((one) => (
                <option key={one.name}>{one.name}</option>
              ))}
            </select>
          </label>
          <Choices key={flow.name} flow={flow} sets={value.data.sets} operators={value.operators} />
        </>
      )}
      {value?.data.tunes && <Earlier />}
    </div>
  );
}

/** Better values for the settings of a flow: what to try, or a search that was begun. */
export default function TunePage({ id }: { id: string | undefined }) {
  return id === undefined ? <Begin /> : <Search id={id} />;
}
