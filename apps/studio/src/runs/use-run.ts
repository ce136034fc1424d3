import { useEffect, useState, useSyncExternalStore } from "react";
import { ask, findingOf, follow, type RunListener } from "../api/client.js";
import type { Check, Finding, FlowDocument, RunEvent, RunState } from "../api/types.js";
import { useLoaded } from "../ui/use.js";
import { RunModel } from "./run-model.js";

export interface WatchedRun {
  readonly run: RunModel;
  /** Its events so far, up to the most that can be gone through. */
  readonly events: readonly RunEvent[];
  readonly error: Finding | undefined;
  /** Follows it anew, as after an answer that it waited for. */
  readonly again: () => void;
}

const mostEvents = 100_000;

/** A run as its first event tells it; the whole comes at its end. */
function begun(id: string, { type, data }: RunEvent): RunState | undefined {
  if (type !== "flow-start") return undefined;
  const { flow, input } = data as unknown as Pick<RunState, "flow" | "input">;
  return { id, flow, input, status: "running", started: "" };
}

/** A run with its events so far, which grows while it runs. */
export function useRun(id: string): WatchedRun {
  const [{ run, events }, setRun] = useState<{ run: RunModel; events: RunEvent[] }>(() => ({
    run: new RunModel(),
    events: [],
  }));
  const [error, setError] = useState<Finding>();
  const [turn, setTurn] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: followed anew when the caller says so
  useEffect(() => {
    const model = new RunModel();
    const kept: RunEvent[] = [];
    const controller = new AbortController();
    setRun({ run: model, events: kept });
    setError(undefined);
    const listener: RunListener = {
      event(event) {
        model.state ??= begun(id, event);
        model.apply(event);
        if (kept.length < mostEvents && !event.type.endsWith("-delta")) kept.push(event);
      },
      ended: (ended) => model.end(ended),
    };
    follow(id, 0, listener, controller.signal).catch(
      (thrown) => controller.signal.aborted || setError(findingOf(thrown)),
    );
    return () => controller.abort();
  }, [id, turn]);
  useSyncExternalStore(run.subscribe, run.snapshot);
  return { run, events, error, again: () => setTurn((now) => now + 1) };
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
