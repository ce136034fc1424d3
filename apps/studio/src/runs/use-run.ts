import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { ask, findingOf, follow, type RunListener } from "../api/client.js";
import type { Check, Finding, FlowDocument, RunEvent, RunState } from "../api/types.js";
import { useLoaded } from "../ui/use.js";
import { RunModel } from "./run-model.js";

export interface WatchedRun {
  readonly run: RunModel;
  /** Its events so far, up to the most that can be gone through. */
  readonly events: readonly RunEvent[];
  readonly error: Finding | undefined;
  /** Follows it on, as after an answer that it waited for. */
  readonly again: () => void;
}

const mostEvents = 100_000;

/** A run as its first event tells it; the whole comes at its end. */
function begun(id: string, { type, data }: RunEvent): RunState | undefined {
  if (type !== "flow-start") return undefined;
  const { flow, input } = data as unknown as Pick<RunState, "flow" | "input">;
  return { id, flow, input, status: "running", started: "" };
}

/** A run with its events so far, which grows while it runs. It is followed on behind what is known, so that nothing is lost of it. */
export function useRun(id: string): WatchedRun {
  const [followed] = useState(() => ({ run: new RunModel(), events: [] as RunEvent[] }));
  const { run, events } = followed;
  const [error, setError] = useState<Finding>();
  const [turn, setTurn] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: followed on when the caller says so
  useEffect(() => {
    const controller = new AbortController();
    setError(undefined);
    const listener: RunListener = {
      event(event) {
        if (event.sequence <= run.last) return;
        run.state ??= begun(id, event);
        run.apply(event);
        if (events.length < mostEvents && !event.type.endsWith("-delta")) events.push(event);
      },
      ended: (ended) => run.end(ended),
    };
    follow(id, run.last, listener, controller.signal).catch(
      (thrown) => controller.signal.aborted || setError(findingOf(thrown)),
    );
    return () => controller.abort();
  }, [id, turn]);
  useSyncExternalStore(run.subscribe, run.snapshot);
  const again = useCallback(() => setTurn((now) => now + 1), []);
  return { run, events, error, again };
}

/** The document that a run began with, and its ports. */
export function useRunFlow(id: string, flow: string | undefined) {
  return useLoaded(async () => {
    if (flow === undefined) return undefined;
    const { document } = await ask<{ document: FlowDocument }>(`/runs/${id}/document`).catch(() =>
      ask<{ document: FlowDocument }>(`/flows/${flow}`),
    );
    return { document, check: await ask<Check>("/check", { method: "POST", body: { document } }) };
  }, [id, flow]);
}
