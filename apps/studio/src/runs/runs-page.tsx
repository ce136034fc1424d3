import { useVirtualizer } from "@tanstack/react-virtual";
import { useId, useMemo, useRef, useState } from "react";
import { ask } from "../api/client.js";
import type { RunRow } from "../api/types.js";
import { go, setQuery, to, useRoute } from "../route.js";
import "../styles/runs.css";
import { texts } from "../texts.js";
import { count, duration, moment } from "../ui/numbers.js";
import { ErrorNote, Loading, Status } from "../ui/parts.js";
import { useLoaded } from "../ui/use.js";

const rowHeight = 52;
const most = 1000;

function Filters({ runs }: { runs: readonly RunRow[] }) {
  const { query } = useRoute();
  const id = useId();
  const flows = [...new Set(runs.map(({ flow }) => flow))].sort();
  const statuses = [...new Set(runs.map(({ status }) => status))];
  return (
    <div className="row filters">
      <label className="visually-hidden" htmlFor={id}>
        {texts.runs.search}
      </label>
      <input
        id={id}
        type="search"
        className="input"
        placeholder={texts.runs.search}
        value={query.get("words") ?? ""}
        onChange={({ target }) => setQuery("words", target.value)}
      />
      <label>
        <span className="visually-hidden">{texts.runs.flow}</span>
        <select
          className="input"
          value={query.get("flow") ?? ""}
          onChange={({ target }) => setQuery("flow", target.value)}
        >
          <option value="">{texts.runs.anyFlow}</option>
          {flows.map((flow) => (
            <option key={flow}>{flow}</option>
          ))}
        </select>
      </label>
      <label>
        <span className="visually-hidden">{texts.runs.status}</span>
        <select
          className="input"
          value={query.get("status") ?? ""}
          onChange={({ target }) => setQuery("status", target.value)}
        >
          <option value="">{texts.runs.anyStatus}</option>
          {statuses.map((status) => (
            <option key={status} value={status}>
              {texts.status[status]}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

function Row({ run, isChosen, choose }: { run: RunRow; isChosen: boolean; choose: () => void }) {
  const { id, flow, status, started, ended, about, spent } = run;
  const ms = ended === undefined ? undefined : Date.parse(ended) - Date.parse(started);
  return (
    <>
      <input type="checkbox" checked={isChosen} aria-label={texts.runs.choose(about ?? id)} onChange={choose} />
      <a href={to("runs", id)} className="about">
        {about ?? id}
      </a>
      <span className="muted">{flow}</span>
      <Status status={status} />
      <span className="amount muted">{ms === undefined ? "" : duration(ms)}</span>
      <span className="amount muted">{spent && spent.tokens > 0 ? `${count(spent.tokens)} tok` : ""}</span>
      <time dateTime={started} className="muted">
        {moment(started)}
      </time>
    </>
  );
}

/** All runs that are kept, the latest first. Two that are chosen can be compared. */
export default function RunsPage() {
  const { query } = useRoute();
  const { value, error, again } = useLoaded(() => ask<{ runs: RunRow[] }>(`/runs?limit=${most}`), []);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const holder = useRef<HTMLDivElement>(null);
  const runs = useMemo(() => {
    const words = (query.get("words") ?? "").toLowerCase().split(/\s+/);
    return (value?.runs ?? []).filter(
      ({ id, flow, status, about = "" }) =>
        (query.get("flow") ?? flow) === flow &&
        (query.get("status") ?? status) === status &&
        words.every((word) => `${id} ${flow} ${about}`.toLowerCase().includes(word)),
    );
  }, [value, query]);
  const rows = useVirtualizer({
    count: runs.length,
    getScrollElement: () => holder.current,
    estimateSize: () => rowHeight,
    overscan: 10,
  });
  const choose = (id: string) =>
    setChosen((before) => (before.includes(id) ? before.filter((one) => one !== id) : [...before, id].slice(-2)));
  return (
    <div className="page whole">
      <header className="stack">
        <div className="row">
          <h1>{texts.runs.title}</h1>
          <div className="row tight end">
            <button type="button" className="button small" onClick={again}>
              {texts.runs.again}
            </button>
            <button
              type="button"
              className="button small primary"
              disabled={chosen.length !== 2}
              onClick={() => go(to("compare", ...chosen))}
            >
              {texts.runs.compare}
            </button>
          </div>
        </div>
        {value && <Filters runs={value.runs} />}
        {error && <ErrorNote finding={error} />}
      </header>
      {!value && !error && <Loading />}
      {value && runs.length === 0 && <p className="muted">{texts.runs.none}</p>}
      <div ref={holder} className="scroll">
        <ul style={{ height: rows.getTotalSize(), position: "relative" }}>
          {rows.getVirtualItems().map(({ index, start }) => {
            const run = runs[index]!;
            return (
              <li key={run.id} className="runrow" style={{ transform: `translateY(${start}px)`, height: rowHeight }}>
                <Row run={run} isChosen={chosen.includes(run.id)} choose={() => choose(run.id)} />
              </li>
            );
          })}
        </ul>
      </div>
    </div>
  );
}
