import type { Finding, Json, RunEvent, RunState } from "../api/types.js";

export type StepStatus = "running" | "waiting" | "done" | "failed" | "skipped";

/** An answer of a language model within a step. */
export interface ModelCall {
  readonly prompt: number;
  readonly completion: number;
  readonly finish: string;
  readonly input?: Json;
  readonly output?: Json;
}

/** One activation of a node or a nested flow. */
export interface Step {
  readonly path: string;
  /** The path of its node in the document, without turns and places in lists. */
  readonly node: string;
  /** How deep it lies in the run. */
  readonly depth: number;
  readonly operator?: string;
  /** Milliseconds since the run began. */
  start: number;
  ms?: number;
  status: StepStatus;
  reason?: string;
  input?: Json;
  output?: Json;
  error?: Finding;
  attempts: number;
  from?: string;
  readonly calls: ModelCall[];
  tokens: number;
}

/** What a node of the drawing shows of all its activations. */
export interface NodeState {
  readonly status: StepStatus;
  readonly times: number;
  readonly ms: number;
}

/** The path of a node in its document. */
export const nodeOf = (path: string): string => path.replace(/#\d+|\[\d+\]|!\d+/g, "");

/** The most characters of a streamed text that are shown; the whole text comes with the output. */
const longestStream = 20_000;

/** The end of a text that grows. Each part is taken in constant time, and what is out of sight is forgotten. */
class StreamedText {
  #parts: string[] = [];
  #length = 0;
  #wasCut = false;

  add(part: string): void {
    this.#parts.push(part);
    this.#length += part.length;
    if (this.#length < 2 * longestStream) return;
    this.#wasCut = true;
    this.#parts = [this.#parts.join("").slice(-longestStream)];
    this.#length = longestStream;
  }

  get text(): string {
    this.#parts = [this.#parts.join("")];
    return `${this.#wasCut ? "… " : ""}${this.#parts[0]}`;
  }
}

interface Data {
  readonly path?: string;
  readonly at?: number;
  readonly [key: string]: Json | undefined;
}

/** A run as its events tell it. It takes any number of events, each in constant time, and tells listeners once a frame. */
export class RunModel {
  readonly steps: Step[] = [];
  readonly #streamed = new Map<string, StreamedText>();
  readonly warnings: { readonly path: string; readonly message: string }[] = [];
  state: RunState | undefined;
  /** The number of the last event. */
  last = 0;
  /** Milliseconds since the run began, as far as is known. */
  now = 0;
  calls = 0;
  tokens = 0;
  /** Whether events say when they happened; else times are put together from how long steps took. */
  timed = false;
  version = 0;
  readonly #byPath = new Map<string, Step>();
  readonly #nodes = new Map<
    string,
    { states: Record<StepStatus, number>; times: number; ms: number; shown?: NodeState }
  >();
  readonly #listeners = new Set<() => void>();
  #telling = false;

  constructor(private readonly schedule: (tell: () => void) => void = (tell) => void requestAnimationFrame(tell)) {}

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  snapshot = (): number => this.version;

  #changed(): void {
    if (this.#telling) return;
    this.#telling = true;
    this.schedule(() => {
      this.#telling = false;
      this.version++;
      for (const listener of this.#listeners) listener();
    });
  }

  step(path: string): Step | undefined {
    return this.#byPath.get(path);
  }

  node(path: string): NodeState | undefined {
    const found = this.#nodes.get(path);
    if (!found) return undefined;
    if (!found.shown) {
      const order: StepStatus[] = ["failed", "waiting", "running", "done", "skipped"];
      found.shown = { status: order.find((one) => found.states[one] > 0)!, times: found.times, ms: found.ms };
    }
    return found.shown;
  }

  /** The end of the text that came first of all that streams. */
  get streamed(): string | undefined {
    return this.#streamed.values().next().value?.text;
  }

  /** The activations of a node, in the order in which they began. */
  stepsOf(node: string): Step[] {
    return this.steps.filter((step) => step.node === node);
  }

  end(state: RunState): void {
    this.state = state;
    if (!this.timed && state.ended) this.now = Math.max(this.now, Date.parse(state.ended) - Date.parse(state.started));
    for (const step of this.steps)
      if (step.status === "running" && state.status !== "running" && state.status !== "waiting")
        this.#move(step, state.status === "done" ? "done" : "failed");
    this.#changed();
  }

  apply({ type, sequence, data }: RunEvent): void {
    this.last = Math.max(this.last, sequence);
    const event = data as unknown as Data;
    if (event.at !== undefined) {
      this.timed = true;
      this.now = Math.max(this.now, event.at);
    }
    this.#apply(type, event);
    this.#changed();
  }

  #apply(type: string, event: Data): void {
    const { path = "" } = event;
    switch (type) {
      case "flow-start":
      case "node-start":
        return this.#start(path, event);
      case "node-end":
      case "flow-end":
        return this.#end(path, event);
      case "node-skip":
        return this.#skip(path, event);
      case "node-error":
        return this.#fail(path, event);
      case "model-end":
        return this.#called(path, event);
      case "node-wait":
        return this.#wait(path, event);
      case "warning":
        return void this.warnings.push({ path, message: String(event.message) });
      case "output-delta":
        return this.#stream(event);
    }
  }

  #open(path: string, event: Data): Step {
    const known = this.#byPath.get(path);
    if (known) return known;
    const node = nodeOf(path);
    const step: Step = {
      path,
      node,
      depth: path.split("/").length - 1,
      ...(typeof event.operator === "string" && { operator: event.operator }),
      start: event.at ?? this.now,
      status: "running",
      attempts: 0,
      calls: [],
      tokens: 0,
    };
    this.#byPath.set(path, step);
    this.steps.push(step);
    let of = this.#nodes.get(node);
    if (!of) {
      of = { states: { running: 0, waiting: 0, done: 0, failed: 0, skipped: 0 }, times: 0, ms: 0 };
      this.#nodes.set(node, of);
    }
    of.states.running++;
    of.times++;
    delete of.shown;
    return step;
  }

  #move(step: Step, status: StepStatus): void {
    const of = this.#nodes.get(step.node)!;
    of.states[step.status]--;
    of.states[status]++;
    delete of.shown;
    step.status = status;
  }

  #start(path: string, event: Data): void {
    const step = this.#open(path, event);
    step.attempts++;
    step.input = event.input;
    if (step.status !== "running") this.#move(step, "running");
  }

  #end(path: string, event: Data): void {
    const step = this.#open(path, event);
    step.output = event.output;
    step.ms = Number(event.ms ?? 0);
    if (typeof event.from === "string") step.from = event.from;
    if (event.at === undefined) {
      step.start = Math.min(step.start, this.now);
      this.now = Math.max(this.now, step.start + step.ms);
    } else if (step.attempts === 0) step.start = event.at - step.ms;
    this.#move(step, "done");
    this.#nodes.get(step.node)!.ms += step.ms;
  }

  #skip(path: string, event: Data): void {
    const step = this.#open(path, event);
    step.reason = String(event.reason);
    step.ms ??= 0;
    if (step.status !== "failed") this.#move(step, "skipped");
  }

  #fail(path: string, event: Data): void {
    const step = this.#open(path, event);
    step.error = event.error as unknown as Finding;
    step.ms = Math.max(0, this.now - step.start);
    this.#move(step, "failed");
  }

  #wait(path: string, event: Data): void {
    const step = this.#open(path, event);
    step.input ??= event.input;
    this.#move(step, "waiting");
  }

  #called(path: string, event: Data): void {
    const call = event as unknown as ModelCall;
    this.calls++;
    this.tokens += call.prompt + call.completion;
    const step = this.#open(path, event);
    step.calls.push(call);
    step.tokens += call.prompt + call.completion;
  }

  #stream(event: Data): void {
    const { port, delta } = event as unknown as { port?: string; delta?: Json };
    if (typeof delta !== "string" || port === undefined) return;
    const known = this.#streamed.get(port) ?? new StreamedText();
    this.#streamed.set(port, known);
    known.add(delta);
  }
}
