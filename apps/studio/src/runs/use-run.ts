import { useEffect, useState, useSyncExternalStore } from "react";
import { ask, findingOf, follow } from "../api/client.js";
import type { Check, Finding, FlowDocument, RunState } from "../api/types.js";
import { useLoaded } from "../ui/use.js";
import { RunModel } from "./run-model.js";

export interface WatchedRun {
  readonly run: RunModel;
  readonly error: Finding | undefined;
}

/** A run with its events so far, which grows while it runs. */
export function useRun(id: string): WatchedRun {
  const [run, setRun] = useState(() => new RunModel());
  const [error, setError] = useState<Finding>();
  useEffect(() => {
    const model = new RunModel();
    const controller = new AbortController();
    setRun(model);
    setError(undefined);
    const watch = async () => {
      const { events: _, ...state } = await ask<RunState & { events: unknown }>(`/runs/${id}`);
      model.state = state.status === "running" ? state : { ...state, status: "running" };
      await follow(
        id,
        0,
        { event: (event) => model.apply(event), ended: (ended) => model.end(ended) },
        controller.signal,
      );
    };
    watch().catch((thrown) => controller.signal.aborted || setError(findingOf(thrown)));
    return () => controller.abort();
  }, [id]);
  useSyncExternalStore(run.subscribe, run.snapshot);
  return { run, error };
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
