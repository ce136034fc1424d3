import type { FlowEvent, Json } from "@tessera/core";
import { errorBody } from "@tessera/core/internal";
import { type LaunchedRun, type RunEvent, type RunState, toJson } from "@tessera/graph/internal";
import { type EventBatch, type RunLog, warnLost } from "./run-log.js";
import { textOf } from "./values.js";

/** Limits of one run's events. */
export interface EventLimits {
  /** In memory; earlier ones are read from the log, where there is one. 10,000. */
  readonly events: number;
  /** Bytes in memory, of values that differ; 8 MiB. */
  readonly memoryBytes: number;
  /** Bytes that a run may write in events; what streams beyond is not kept. 16 MiB. */
  readonly keptBytes: number;
  /** Bytes of JSON from which on an event names a value of a port by its hash; 4096. */
  readonly valueBytes: number;
}

export const eventLimits: EventLimits = {
  events: 10_000,
  memoryBytes: 8 << 20,
  keptBytes: 16 << 20,
  valueBytes: 4096,
};

const flushMs = 100;

/** What was heard; JSON is made of it when somebody asks. */
type Heard = { readonly event: FlowEvent } | { readonly delta: unknown };

/** A run that this process began or took up, and the latest of its events. */
export class LiveRun {
  #run: Pick<LaunchedRun<unknown>, "abort"> | undefined;
  #aborted: { readonly reason: unknown } | undefined;
  cancelled = false;
  /** It could not be noted, and nothing more is written of it. */
  abandoned = false;
  /** Bytes that its events hold, about. */
  bytes = 0;
  readonly #heard: Heard[] = [];
  readonly #sizes: number[] = [];
  readonly #values = new Map<string, string>();
  #large = new Set<string>();
  /** How many events there are that are not in memory, and how many are written. */
  #before: number;
  #written: number;
  #writtenBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #waiting: (() => void)[] = [];
  settle!: (state: RunState) => void;
  readonly settled = new Promise<RunState>((resolve) => {
    this.settle = resolve;
  });

  /** @param before how many events there are already */
  constructor(
    public state: RunState,
    before: number,
    private readonly limits: EventLimits,
    private readonly log?: RunLog | undefined,
  ) {
    this.#before = before;
    this.#written = before;
  }

  abandon(reason: unknown): void {
    this.abandoned = true;
    this.abort(reason);
  }

  /** Takes the run itself, which ends at once where it was aborted before. */
  begun(run: Pick<LaunchedRun<unknown>, "abort">): void {
    this.#run = run;
    if (this.#aborted) run.abort(this.#aborted.reason);
  }

  abort(reason: unknown): void {
    this.#aborted ??= { reason };
    this.#run?.abort(reason);
  }

  get before(): number {
    return this.#before;
  }

  get last(): number {
    return this.#before + this.#heard.length;
  }

  hear(event: FlowEvent): void {
    this.#push({ event });
  }

  /** A part of the flow's own output. */
  hearOutput(delta: unknown): void {
    this.#push({ delta });
  }

  #push(heard: Heard): void {
    const size = this.#sizeOf(heard);
    this.#heard.push(heard);
    this.#sizes.push(size);
    this.bytes += size;
    if (this.log) this.#timer ??= setTimeout(() => void this.flush(), flushMs).unref();
    if (this.#heard.length > this.limits.events || this.bytes > this.limits.memoryBytes) this.#forgetSome();
    this.wake();
  }

  /** A large string that came before is the same one, and costs nothing. */
  #sizeOf(heard: Heard): number {
    let size = 100;
    for (const value of valuesOf(heard))
      if (typeof value === "string" && value.length > 1000) {
        if (this.#large.has(value)) continue;
        this.#large.add(value);
        size += value.length;
      } else size += sizeOf(value);
    return size;
  }

  #forgetSome(): void {
    if (this.log) void this.flush();
    // those that are still being written are read from memory
    const most = this.log ? this.#written - this.#before : this.#heard.length - 1;
    let count = 0;
    while (
      count < most &&
      (this.#heard.length - count > this.limits.events * 0.9 || this.bytes > this.limits.memoryBytes / 2)
    )
      this.bytes -= this.#sizes[count++]!;
    if (count === 0) return;
    this.#heard.splice(0, count);
    this.#sizes.splice(0, count);
    this.#before += count;
    this.#large = new Set();
  }

  wake(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The event of a number, where it is in memory. */
  event(sequence: number): RunEvent | undefined {
    const heard = this.#heard[sequence - this.#before - 1];
    return heard && this.#eventOf(heard, sequence, this.#values);
  }

  /** A value that an event of this process names. */
  value(hash: string): string | undefined {
    return this.#values.get(hash);
  }

  #eventOf(heard: Heard, sequence: number, texts: Map<string, string>): RunEvent {
    if ("delta" in heard) return { sequence, type: "output-delta", data: jsonOf(heard.delta) };
    const { event } = heard;
    const { type } = event;
    try {
      return { sequence, type, data: this.#dataOf(event, texts) };
    } catch {
      return { sequence, type, data: { type, path: event.path } }; // what cannot be written keeps its place
    }
  }

  #dataOf(event: FlowEvent, texts: Map<string, string>): Json {
    if (event.type === "node-error") return toJson({ ...event, error: errorBody(event.error) });
    const named = (row: unknown): Json => {
      const json: Record<string, Json> = {};
      for (const [port, value] of Object.entries(row as object)) {
        if (value === undefined) continue;
        json[port] = this.#named(toJson(value, port), texts);
      }
      return json;
    };
    const { input, output, ...rest } = event as { input?: unknown; output?: unknown };
    const data = toJson(rest) as Record<string, Json>;
    if (input !== undefined) data.input = named(input);
    if (output !== undefined) data.output = named(output);
    return data;
  }

  #named(value: Json, texts: Map<string, string>): Json {
    if (typeof value !== "object" && !(typeof value === "string" && value.length > 1000)) return value;
    const { text, hash } = textOf(value);
    if (hash === undefined || text.length <= this.limits.valueBytes) return value;
    texts.set(hash, text);
    return { $value: hash, bytes: Buffer.byteLength(text) };
  }

  /** What is not written yet, as it will be. */
  batch(): EventBatch {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines: string[] = [];
    const texts = new Map<string, string>();
    for (let sequence = Math.max(this.#written, this.#before) + 1; sequence <= this.last; sequence++) {
      const heard = this.#heard[sequence - this.#before - 1]!;
      const streamed = "delta" in heard || heard.event.type === "node-delta";
      if (this.#writtenBytes > this.limits.keptBytes && streamed) continue;
      const line = JSON.stringify(this.#eventOf(heard, sequence, texts));
      this.#writtenBytes += line.length;
      lines.push(line);
    }
    this.#written = this.last;
    return { lines, texts };
  }

  /** Writes what is not written yet; resolves once it can be read from the log. */
  flush(): Promise<void> {
    if (!this.log || this.abandoned) return this.#writing;
    const { id } = this.state;
    const batch = this.batch();
    if (batch.lines.length > 0) {
      const { log } = this;
      this.#writing = log.append(id, batch).catch((error) => warnLost(`events of run ${id} are lost`, error));
    }
    return this.#writing;
  }
}

const valuesOf = (heard: Heard): unknown[] => {
  if ("delta" in heard) return [heard.delta];
  const { input, output, delta } = heard.event as { input?: object; output?: object; delta?: unknown };
  const values: unknown[] = delta === undefined ? [] : [delta];
  if (input) values.push(...Object.values(input));
  if (output) values.push(...Object.values(output));
  return values;
};

/** About how many bytes a value takes. */
function sizeOf(value: unknown, depth = 0): number {
  if (typeof value === "string") return value.length + 16;
  if (typeof value !== "object" || value === null) return 8;
  if (ArrayBuffer.isView(value)) return value.byteLength;
  let size = 16;
  if (depth < 8) for (const key in value) size += 8 + sizeOf((value as Record<string, unknown>)[key], depth + 1);
  return size;
}

const jsonOf = (value: unknown): Json => {
  try {
    return toJson(value);
  } catch {
    return null;
  }
};
