import { lazy, Suspense, useEffect, useState } from "react";
import { ask } from "../api/client.js";
import type { FlowDetail, FlowDocument, Json } from "../api/types.js";
import { signed } from "../evaluate/data-sets.js";
import { DifferencePlot } from "../evaluate/plots.js";
import { to } from "../route.js";
import "../styles/edit.css";
import { texts } from "../texts.js";
import { count, score } from "../ui/numbers.js";
import { ErrorNote, Facts, Loading, Status } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { useLoaded, useWork } from "../ui/use.js";
import type { Trial, TuningState, Winner } from "./types.js";

const TextDifference = lazy(() => import("../compare/text-difference.js"));

const often = 400; // milliseconds between two looks at a search under way
const printed = (value: unknown): string => JSON.stringify(value, undefined, 2);
const shown = (value: Json | undefined): string => (value === undefined ? texts.tune.preset : JSON.stringify(value));

/** A search, looked at again and again while it is under way. */
function useTuning(id: string) {
  const loaded = useLoaded(() => ask<TuningState>(`/studio/tunings/${id}`), [id]);
  const { value, again } = loaded;
  useEffect(() => {
    if (value?.status !== "running") return;
    const timer = setTimeout(again, often);
    return () => clearTimeout(timer);
  }, [value, again]);
  return loaded;
}

function Head({ tuning, again }: { tuning: TuningState; again: () => void }) {
  const { id, flow, metric, set, status, progress, laid, result } = tuning;
  const { busy, error, work } = useWork();
  return (
    <header className="stack">
      <div className="row">
        <h1 className="breaking">{texts.tune.title2(flow, metric, set)}</h1>
        <Status status={status} />
        <div className="row tight end">
          {status === "running" && (
            <button
              type="button"
              className="button small danger"
              disabled={busy}
              onClick={() => work(() => ask(`/studio/tunings/${id}/cancel`, { method: "POST" }).then(again))}
            >
              {texts.tune.stop}
            </button>
          )}
        </div>
      </div>
      <Facts
        facts={[
          ...(laid
            ? ([
                [texts.tune.combinations, count(laid.grid.combinations)],
                [texts.tune.choose, count(laid.questions.choosing)],
                [texts.tune.judge, count(laid.questions.unseen)],
              ] as const)
            : []),
          [texts.tune.runsDone, texts.evaluate.done(result?.spent.runs ?? progress.done, progress.planned)],
          ...(result ? ([[texts.run.calls, count(result.spent.calls)]] as const) : []),
        ]}
      />
      {status === "running" && (
        <progress value={progress.done} max={Math.max(1, progress.planned)} aria-label={texts.tune.runsDone} />
      )}
      {result && laid && (
        <p className="small muted">{texts.tune.saved(result.spent.runs, laid.grid.combinations, laid.grid.runs)}</p>
      )}
      {error && <ErrorNote finding={error} />}
    </header>
  );
}

function Tried({ trials, before, metric }: { trials: readonly Trial[]; before: number | undefined; metric: string }) {
  const [most, setMost] = useState(30);
  const names = [...new Set(trials.flatMap(({ changes }) => changes.map(({ at }) => at)))];
  if (trials.length === 0) return null;
  return (
    <section className="stack tight">
      <h2>{texts.tune.tried}</h2>
      <p className="small muted">{texts.tune.triedAbout}</p>
      <Table head={[...names, { number: texts.tune.questions }, { number: metric }]} caption={texts.tune.tried}>
        {before !== undefined && (
          <tr>
            <th scope="row" colSpan={Math.max(1, names.length)}>
              {texts.tune.asItWas}
            </th>
            <td />
            <td className="number">{score(before)}</td>
          </tr>
        )}
        {trials.slice(0, most).map(({ hash, changes, questions, mean, failure }) => (
          <tr key={hash}>
            {names.map((name) => {
              const change = changes.find(({ at }) => at === name);
              return (
                <td key={name} className={change ? "mono" : "mono muted"}>
                  {change ? JSON.stringify(change.to) : "·"}
                </td>
              );
            })}
            <td className="number">{questions}</td>
            <td className="number" title={failure}>
              {failure === undefined ? score(mean) : texts.tune.failed}
            </td>
          </tr>
        ))}
      </Table>
      {trials.length > most && (
        <button type="button" className="button small" onClick={() => setMost(most * 4)}>
          {texts.run.more(trials.length - most)}
        </button>
      )}
    </section>
  );
}

/** Keeps the flow with the better values: in the folder, as a version of that name, and in the service. */
function SaveTuned({ document }: { document: FlowDocument }) {
  const { value: served } = useLoaded(() => ask<FlowDetail>(`/flows/${document.name}`), [document.name]);
  const [typed, setTyped] = useState<string>();
  const [saved, setSaved] = useState<string>();
  const { busy, error, work } = useWork();
  if (!served) return null;
  // what the service began with cannot be replaced: the better one has a name of its own
  const name = typed ?? (served.uploaded ? document.name : `${document.name}-tuned`.slice(0, 64));
  const isName = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(name);
  const save = () =>
    work(async () => {
      const body = { ...document, name };
      await ask(`/flows/${name}`, { method: "PUT", body });
      await ask(`/studio/work/${name}`, { method: "PUT", body: { document: body } });
      setSaved(name);
    });
  return (
    <div className="stack tight">
      <form
        className="row"
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <label className="row tight">
          <span className="label">{texts.tune.saveAs}</span>
          <input
            className="input narrow"
            value={name}
            aria-invalid={!isName}
            onChange={({ target }) => setTyped(target.value)}
          />
        </label>
        <button type="submit" className="button primary" disabled={busy || !isName || saved === name}>
          {texts.edit.save}
        </button>
      </form>
      <p className="small" role="status">
        {saved !== undefined && (
          <>
            {texts.tune.savedAs(saved)} <a href={to("edit", saved)}>{texts.flows.edit}</a>
          </>
        )}
      </p>
      {error && <ErrorNote finding={error} />}
    </div>
  );
}

function Best({ best, flow, confirmed }: { best: Winner; flow: string; confirmed: boolean }) {
  const { value } = useLoaded(() => ask<FlowDetail>(`/flows/${flow}`), [flow]);
  const { changes, document, choosing, unseen } = best;
  const rows = [
    { name: texts.tune.onChoosing, ...choosing },
    { name: texts.tune.onUnseen, ...unseen },
  ];
  return (
    <section className="stack wide" aria-label={texts.tune.best}>
      <DifferencePlot rows={rows} label={texts.tune.plot} />
      <Table head={[texts.tune.setting, texts.tune.was, texts.tune.becomes]} caption={texts.tune.changes}>
        {changes.map(({ at, from, to: now }) => (
          <tr key={at}>
            <th scope="row" className="mono">
              {at}
            </th>
            <td className="mono">{shown(from)}</td>
            <td className="mono">{shown(now)}</td>
          </tr>
        ))}
      </Table>
      {value && (
        <details>
          <summary>{texts.tune.difference}</summary>
          <Suspense fallback={<Loading />}>
            <TextDifference before={printed(value.document)} after={printed(document)} by="lines" />
          </Suspense>
        </details>
      )}
      {!confirmed && <p className="small muted">{texts.tune.stillSave}</p>}
      <SaveTuned document={document} />
    </section>
  );
}

function Verdict({ tuning }: { tuning: TuningState }) {
  const { result, metric, flow } = tuning;
  if (!result) return null;
  const { best, confirmed } = result;
  const words = !best
    ? texts.tune.none
    : confirmed
      ? texts.tune.winner(metric, signed(best.unseen))
      : texts.tune.unconfirmed(metric, signed(best.unseen));
  return (
    <>
      <p className={`note verdict${confirmed ? " good" : ""}`} role="status">
        <strong>{confirmed ? texts.tune.isWinner : texts.tune.noWinner}</strong> {words}
        {best && best.failed > 0 && ` ${texts.tune.failedOn(best.failed)}`}
      </p>
      {best && <Best best={best} flow={flow} confirmed={confirmed} />}
    </>
  );
}

/** One search: how far it is, what was tried, and what it came to. */
export function Search({ id }: { id: string }) {
  const { value: tuning, error, again } = useTuning(id);
  const trials = tuning?.result?.trials ?? [...(tuning?.trials ?? [])].sort((a, b) => b.questions - a.questions);
  return (
    <div className="page">
      <a href={to("tune")} className="small">
        {texts.tune.all}
      </a>
      {error && <ErrorNote finding={error} />}
      {!tuning && !error && <Loading />}
      {tuning && (
        <>
          <Head tuning={tuning} again={again} />
          {tuning.error && <ErrorNote finding={tuning.error} />}
          <Verdict tuning={tuning} />
          <Tried trials={trials} before={tuning.result?.before} metric={tuning.metric} />
        </>
      )}
    </div>
  );
}
