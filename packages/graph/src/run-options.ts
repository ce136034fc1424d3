// public: RunOptions, ReplayOptions, RunStream
// internal: LaunchOptions, LaunchedRun, ResumeOptions
import type { FlowEvent, Principal, Sampling, Spent } from "@tessera/core";
import type { OutputDelta } from "./gates.js";
import type { Inside } from "./outer.js";
import type { Budget, FlowEvents, RunResult } from "./run.js";
import type { OnThread } from "./threads/on-thread.js";

/** How one run is executed. */
export interface RunOptions extends Inside {
  readonly signal?: AbortSignal | undefined;
  readonly principal?: Principal | undefined;
  readonly budget?: Budget | undefined;
  /** The seed of `context.random`. It is 0 by default, so that the same input gives the same answer. */
  readonly seed?: number | undefined;
  readonly events?: FlowEvents | undefined;
  /** Settings for the language models of the run. They override what its operators ask for. */
  readonly sampling?: Sampling | undefined;
  /** Whether the events of models hold their prompts and answers; by default they only count tokens. */
  readonly prompts?: boolean | undefined;
  /**
   * For a stream: "everything" keeps all events for the reader of the stream, "output" only the parts of the flow's own
   * output.
   */
  readonly shows?: "everything" | "output" | undefined;
  /** The id of the run in the records; by default a new one. */
  readonly id?: string | undefined;
  /**
   * The conversation that the run works on: its flow is given the `history`, and the thread takes the question and the
   * answer when the run ends. One run works on a thread at a time; another one is refused with CONFLICT.
   */
  readonly thread?: string | OnThread | undefined;
}

/** How a recorded run is continued. */
export interface ResumeOptions extends Omit<RunOptions, "id" | "principal" | "seed" | "thread"> {
  /**
   * Continues even if the document or the version of an operator has changed since the run began. Finished steps keep
   * their results, found by path and operator. The other steps run as they would now.
   */
  readonly acceptChanges?: boolean | undefined;
}

/** How a recorded run is replayed. */
export type ReplayOptions = Omit<RunOptions, "id" | "principal" | "seed" | "thread">;

export interface LaunchOptions extends Omit<RunOptions, "signal" | "events" | "shows"> {
  /** Hears every event, in the turn in which it happens. What it throws ends the run. */
  readonly hear?: ((event: FlowEvent) => void) | undefined;
  /** Hears the parts of the flow's own outputs, as a client may see them. */
  readonly part?: ((part: OutputDelta) => void) | undefined;
}

/** A run under way that reports by calls. An iteration costs more than a short flow takes. */
export interface LaunchedRun<O> extends Pick<RunStream<O>, "id" | "result" | "spent"> {
  /**
   * What the run came to, as soon as that is known. Its records may still be written then; `result` waits for them. This is
   * for who writes the end of the run behind them in the same log, and tells nobody before that is written.
   */
  readonly reached: Promise<RunResult<O>>;
  /** Whether the run has ended: one of steps that wait for nothing has when `launch` returns. */
  readonly over: boolean;
  /** Settles the run at once, whatever its nodes do. */
  abort(reason: unknown): void;
}

/** A run whose events can be read in order, and then its result. Leaving the iteration early aborts the run. */
export interface RunStream<O> extends AsyncIterable<FlowEvent> {
  readonly id: string;
  readonly result: Promise<RunResult<O>>;
  /** Only the parts of the flow's own output, as a client may see them. */
  readonly output: AsyncIterable<OutputDelta>;
  /**
   * What the run has spent so far, also if it fails. It only grows. A step under way counts with what it has reported,
   * and a step that was given up with its bound.
   */
  spent(): Spent;
  /**
   * What the run would be charged if it ended now: what is spent, and the rest of the bounds of the steps under way.
   */
  due(): Spent;
}
