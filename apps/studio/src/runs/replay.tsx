import { useId, useMemo } from "react";
import type { RunEvent } from "../api/types.js";
import { texts } from "../texts.js";
import { RunModel } from "./run-model.js";

/** A run as it was after some of its events. */
export function useReplay(run: RunModel, events: readonly RunEvent[], at: number | undefined): RunModel {
  return useMemo(() => {
    if (at === undefined) return run;
    const model = new RunModel(() => {});
    for (const event of events.slice(0, at)) model.apply(event);
    if (run.state) model.state = run.state;
    return model;
  }, [run, events, at]);
}

/** Goes through a run that has ended, event by event. */
export function Replay(props: {
  events: readonly RunEvent[];
  at: number | undefined;
  go: (at: number | undefined) => void;
}) {
  const { events, at, go } = props;
  const id = useId();
  const now = at ?? events.length;
  const step = (by: number) => go(Math.max(0, Math.min(events.length, now + by)));
  return (
    <div className="replay">
      <label htmlFor={id} className="small muted">
        {texts.replay.label}
      </label>
      <button
        type="button"
        className="button small"
        aria-label={texts.replay.back}
        disabled={now === 0}
        onClick={() => step(-1)}
      >
        ‹
      </button>
      <input
        id={id}
        type="range"
        min={0}
        max={events.length}
        value={now}
        aria-valuetext={texts.replay.at(now, events.length)}
        onChange={({ target }) => go(target.valueAsNumber)}
      />
      <button
        type="button"
        className="button small"
        aria-label={texts.replay.next}
        disabled={now === events.length}
        onClick={() => step(1)}
      >
        ›
      </button>
      <span className="small muted">{texts.replay.at(now, events.length)}</span>
    </div>
  );
}
