import { useCallback, useRef, useState } from "react";
import { ask, cancelRun, findingOf, startRun } from "../api/client.js";
import type { Finding, FlowSummary, Json, RunEvent, RunState } from "../api/types.js";

export interface Question {
  readonly id: string;
  readonly question: string;
  readonly gold?: readonly string[];
  readonly answers?: readonly string[];
}

export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  readonly count: number;
}
export interface Measured {
  readonly results: readonly (readonly {
    readonly flow: string;
    readonly id: string;
    readonly question: string;
    readonly measures: Readonly<Record<string, number>>;
    readonly error?: Finding;
  }[])[];
  readonly summaries: readonly {
    readonly flow: string;
    readonly questions: number;
    readonly failed: number;
    readonly figures: readonly (Interval & { readonly metric: string })[];
  }[];
  readonly comparisons: readonly {
    readonly left: string;
    readonly right: string;
    readonly differences: readonly {
      readonly metric: string;
      readonly difference: Interval;
      readonly larger: number;
      readonly smaller: number;
      readonly equal: number;
    }[];
  }[];
}

interface RecordedRun {
  readonly id: string;
  readonly output?: Readonly<Record<string, Json>>;
  readonly error?: Finding;
  readonly spent: { readonly calls: number; readonly tokens: number };
  readonly retrievals: number;
  readonly milliseconds: number;
}

export interface Evaluation {
  readonly done: number;
  readonly all: number;
  readonly isRunning: boolean;
  readonly error: Finding | undefined;
  readonly measured: Measured | undefined;
  /** The run of a question, by flow and question. */
  readonly runs: ReadonlyMap<string, string>;
  readonly start: (set: string, questions: readonly Question[], flows: readonly FlowSummary[]) => void;
  readonly stop: () => void;
}

const atOnce = 3; // runs
const ended = (run: RunState) => run.status !== "running" && run.status !== "waiting";

/** The input of a flow that takes a question. */
const questionPort = ({ input }: FlowSummary): string =>
  ["query", "question"].find((port) => input.properties?.[port]) ?? input.required?.[0] ?? "query";

async function settled(id: string, signal: AbortSignal): Promise<RunState & { events: RunEvent[] }> {
  for (let wait = 20; ; wait = Math.min(500, wait * 1.5)) {
    const run = await ask<RunState & { events: RunEvent[] }>(`/runs/${id}`, { signal });
    if (ended(run)) return run;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

async function recorded(
  flow: FlowSummary,
  question: Question,
  note: (run: string) => void,
  signal: AbortSignal,
): Promise<RecordedRun> {
  const { id } = await startRun(flow.name, { [questionPort(flow)]: question.question });
  note(id);
  const stop = () => void cancelRun(id).catch(() => {});
  signal.addEventListener("abort", stop, { once: true });
  const { output, error, spent, started, ended: at, events } = await settled(id, signal);
  signal.removeEventListener("abort", stop);
  const searches = events.filter(
    ({ type, data }) =>
      type === "node-start" && String((data as { operator?: string }).operator).startsWith("retriever."),
  );
  return {
    id: question.id,
    ...(error ? { error: { code: error.code, message: error.message } } : { output: output ?? {} }),
    spent: { calls: spent?.calls ?? 0, tokens: spent?.tokens ?? 0 },
    retrievals: searches.length,
    milliseconds: at === undefined ? 0 : Date.parse(at) - Date.parse(started),
  };
}

/** Runs flows on the questions of a data set, some at a time, and has the service measure what they gave. */
export function useEvaluation(): Evaluation {
  const [state, setState] = useState<Omit<Evaluation, "start" | "stop">>({
    ...{ done: 0, all: 0, isRunning: false, error: undefined, measured: undefined, runs: new Map() },
  });
  const controller = useRef<AbortController>(undefined);
  const start = useCallback((set: string, questions: readonly Question[], flows: readonly FlowSummary[]) => {
    const own = new AbortController();
    controller.current = own;
    const runs = new Map<string, string>();
    const made = flows.map(({ name }) => ({ flow: name, runs: [] as RecordedRun[] }));
    const work = flows.flatMap((flow, index) =>
      questions.map((question) => ({ flow, question, into: made[index]!.runs })),
    );
    const all = work.length;
    setState({ done: 0, all, isRunning: true, error: undefined, measured: undefined, runs });
    const next = async (): Promise<void> => {
      for (let one = work.shift(); one && !own.signal.aborted; one = work.shift()) {
        const { flow, question, into } = one;
        into.push(await recorded(flow, question, (id) => runs.set(`${flow.name} ${question.id}`, id), own.signal));
        setState((before) => ({ ...before, done: before.done + 1 }));
      }
    };
    Promise.all(Array.from({ length: atOnce }, next))
      .then(() => ask<Measured>(`/studio/data/${set}/measure`, { method: "POST", body: { flows: made } }))
      .then(
        (measured) => setState((before) => ({ ...before, isRunning: false, measured })),
        (thrown) => {
          own.abort();
          setState((before) => ({ ...before, isRunning: false, error: findingOf(thrown) }));
        },
      );
  }, []);
  const stop = useCallback(() => controller.current?.abort(new Error("stopped")), []);
  return { ...state, start, stop };
}
