import { lazy, Suspense, useMemo, useState } from "react";
import { cancelRun, startRun, waitingRuns } from "../api/client.js";
import type { Passage } from "../api/types.js";
import { go, setQuery, to, useRoute } from "../route.js";
import { type SourceAt, SourceDrawer } from "../source/source-drawer.js";
import "../styles/runs.css";
import { texts } from "../texts.js";
import { count, duration } from "../ui/numbers.js";
import { ErrorNote, Facts, Loading, Status, Tabs } from "../ui/parts.js";
import { useLoaded, useWork } from "../ui/use.js";
import { PlainView } from "./plain-view.js";
import { Replay, useReplay } from "./replay.js";
import type { RunModel } from "./run-model.js";
import { StepDetail } from "./step-detail.js";
import { useRun, useRunFlow, type WatchedRun } from "./use-run.js";
import type { ValueLinks } from "./value-view.js";
import { answerOf, questionOf } from "./values.js";
import { Waits } from "./waits.js";
import { Waterfall } from "./waterfall.js";

const FlowDrawing = lazy(() => import("../drawing/drawing.js"));

function RunHead({ run, id }: { run: RunModel; id: string }) {
  const { state } = run;
  const { busy, error, work } = useWork();
  if (!state) return <Loading />;
  const { spent } = state;
  return (
    <header className="stack tight">
      <div className="row">
        <h1 className="breaking">
          <a href={to("flows", state.flow)}>{state.flow}</a>
        </h1>
        <Status status={state.status} />
        <div className="row tight end">
          {state.status === "running" ? (
            <button
              type="button"
              className="button small danger"
              disabled={busy}
              onClick={() => work(() => cancelRun(id))}
            >
              {texts.run.abort}
            </button>
          ) : (
            <button
              type="button"
              className="button small"
              disabled={busy}
              onClick={() => work(async () => go(to("runs", (await startRun(state.flow, state.input, state.seed)).id)))}
            >
              {texts.run.again}
            </button>
          )}
        </div>
      </div>
      <Facts
        facts={[
          [texts.run.took, duration(run.now)],
          [texts.run.calls, count(spent?.calls ?? run.calls)],
          [texts.run.tokens, count(spent?.tokens ?? run.tokens)],
          ...(state.fork
            ? ([
                [
                  texts.run.forkOf,
                  <a key="fork" href={to("compare", state.fork.of, id)}>
                    {texts.run.forkAt(state.fork.change.at)}
                  </a>,
                ],
              ] as const)
            : []),
          ...(spent?.cost ? ([[texts.run.cost, String(spent.cost)]] as const) : []),
        ]}
      />
      {error && <ErrorNote finding={error} />}
    </header>
  );
}

/** What somebody may answer of a run that is not shown to them. */
function Lent({ id, links }: { id: string; links: ValueLinks }) {
  const { value, again } = useLoaded(waitingRuns, []);
  const run = value?.find((one) => one.id === id);
  return run ? <Waits run={id} waits={run.waits} links={links} answered={again} /> : null;
}

const views = [
  { id: "plain", title: texts.run.plain },
  { id: "steps", title: texts.run.detailed },
];

function Steps({ watched, id, links }: { watched: WatchedRun; id: string; links: ValueLinks }) {
  const { query } = useRoute();
  const [at, setAt] = useState<number>();
  const run = useReplay(watched.run, watched.events, at);
  const isOver = watched.run.state !== undefined && watched.run.state.status !== "running";
  const chosen = query.get("step") ?? undefined;
  const { value: flow } = useRunFlow(id, run.state?.flow);
  const step = chosen === undefined ? undefined : (run.step(chosen) ?? run.stepsOf(chosen)[0]);
  const choose = (path: string | undefined) => setQuery("step", path);
  const byNode = (node: string | undefined) => choose(node && (run.stepsOf(node)[0]?.path ?? node));
  return (
    <div className="looking">
      <section className="stack tight left" aria-label={texts.run.steps}>
        <Waterfall run={run} chosen={step?.path} choose={choose} />
        {isOver && !run.timed && run.steps.length > 0 && <p className="small muted">{texts.run.untimed}</p>}
        {isOver && <Replay events={watched.events} at={at} go={setAt} />}
        {run.warnings.length > 0 && (
          <details className="small">
            <summary>{texts.run.warnings}</summary>
            {run.warnings.slice(0, 100).map(({ path, message }) => (
              <p key={`${path} ${message}`} className="breaking">
                <span className="mono">{path}</span> {message}
              </p>
            ))}
          </details>
        )}
      </section>
      <div className="sketch">
        {flow && (
          <Suspense fallback={<Loading />}>
            <FlowDrawing
              document={flow.document}
              ports={flow.check.ports}
              run={run}
              chosen={step?.node}
              choose={byNode}
            />
          </Suspense>
        )}
      </div>
      <div className="inside">
        {step ? (
          <StepDetail key={step.path} {...{ run, step, links, choose, flow }} />
        ) : (
          <p className="muted">{run.steps.length === 0 ? texts.run.noSteps : texts.run.chooseStep}</p>
        )}
      </div>
    </div>
  );
}

/** A run, live or of the records: plain, or every step of it. */
export default function RunPage({ id }: { id: string }) {
  const watched = useRun(id);
  const { run, error } = watched;
  const { query } = useRoute();
  const view = query.get("view") === "steps" ? "steps" : "plain";
  const [source, setSource] = useState<SourceAt>();
  const { state } = run;
  const links = useMemo<ValueLinks>(
    () => ({
      run: id,
      query: questionOf(state?.input) ?? "",
      open: (at) => setSource(at),
      cited: new Set(answerOf(state?.output)?.citations.map(({ passage }: { passage: Passage["id"] }) => passage)),
    }),
    [id, state],
  );
  return (
    <div className={`page run${view === "steps" ? " whole" : ""}`}>
      <div className="stack">
        {error && <ErrorNote finding={error} />}
        {error?.code === "NOT_FOUND" ? <Lent id={id} links={links} /> : <RunHead run={run} id={id} />}
        {state?.status === "waiting" && state.waits && (
          <Waits run={id} waits={state.waits} links={links} answered={watched.again} />
        )}
        <Tabs
          tabs={views}
          chosen={view}
          choose={(next) => setQuery("view", next === "plain" ? undefined : next)}
          label={texts.run.views}
        />
      </div>
      <div role="tabpanel" className="panel" aria-label={view === "plain" ? texts.run.plain : texts.run.detailed}>
        {view === "plain" ? <PlainView run={run} links={links} /> : <Steps watched={watched} id={id} links={links} />}
      </div>
      {source && <SourceDrawer at={source} close={() => setSource(undefined)} />}
    </div>
  );
}
