import type { FlowEvent, Json } from "@tessera/core";
import { errorBody, Slots } from "@tessera/core/internal";
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
  /**
   * Whether an event says when it happened (`at`, milliseconds since its run began or was taken up), and `model-end` has
   * the prompt and the answer. The studio shows them.
   */
  readonly detailed: boolean;
}

export const eventLimits: EventLimits = {
  events: 10_000,
  memoryBytes: 8 << 20,
  keptBytes: 16 << 20,
  valueBytes: 4096,
  detailed: false,
};

const flushMs = 100;

const texts = new WeakMap<RunEvent, string>();

/** The JSON of the data of an event, which need not be made twice. */
export const dataText = (event: RunEvent): string => texts.get(event) ?? JSON.stringify(event.data);

/** Runs with events that are not written: one timer for all, since one for each would cost a short run more than its events. */
class Unwritten {
  readonly #runs = new Slots<LiveRun>();
  #timer: NodeJS.Timeout | undefined;

  /** @returns its place, for `remove` */
  add(run: LiveRun): number {
    this.#timer ??= setTimeout(() => this.#flush(), flushMs).unref();
    return this.#runs.add(run);
  }

  remove(slot: number): void {
    this.#runs.remove(slot);
  }

  #flush(): void {
    this.#timer = undefined;
    for (const run of [...this.#runs]) void run.flush();
  }
}

const unwritten = new Unwritten();

/** What was heard; JSON is made of it when somebody asks. */
type Heard = FlowEvent | OutputDelta;
/** A part of the flow's own output. */
interface OutputDelta {
  readonly type: "output-delta";
  readonly delta: unknown;
}

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
  /** When each was heard, where that is told. */
  readonly #times: number[] = [];
  readonly #began = performance.now();
  #values: Map<string, string> | undefined;
  #large: Set<string> | undefined;
  /** How many events there are that are not in memory, and how many are written. */
  #before: number;
  #written: number;
  #writtenBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  /** Its place among those that wait for the next time that events are written. */
  #due: number | undefined;
  #waiting: (() => void)[] | undefined;
  /** Whether its end is on its way to the log. */
  ending = false;
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
    this.#push(event);
  }

  /** A part of the flow's own output. */
  hearOutput(delta: unknown): void {
    this.#push({ type: "output-delta", delta });
  }

  #push(heard: Heard): void {
    const size = this.#sizeOf(heard);
    this.#heard.push(heard);
    this.#sizes.push(size);
    if (this.limits.detailed) this.#times.push(Math.round((performance.now() - this.#began) * 100) / 100);
    this.bytes += size;
    if (this.log) this.#due ??= unwritten.add(this);
    if (this.#heard.length > this.limits.events || this.bytes > this.limits.memoryBytes) this.#forgetSome();
    this.wake();
  }

  /** A large string that came before is the same one, and costs nothing. */
  #sizeOf(heard: Heard): number {
    const { input, output, delta } = heard as { input?: object; output?: object; delta?: unknown };
    let size = 100;
    if (delta !== undefined) size += this.#sizeOfValue(delta);
    if (input) for (const port of Object.keys(input)) size += this.#sizeOfValue((input as Row)[port]);
    if (output) for (const port of Object.keys(output)) size += this.#sizeOfValue((output as Row)[port]);
    return size;
  }

  #sizeOfValue(value: unknown): number {
    if (typeof value !== "string" || value.length <= 1000) return sizeOf(value);
    this.#large ??= new Set();
    if (this.#large.has(value)) return 0;
    this.#large.add(value);
    return value.length;
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
    this.#times.splice(0, count);
    this.#before += count;
    this.#large = undefined;
  }

  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) for (const wake of waiting) wake();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting ??= [];
      this.#waiting.push(resolve);
    });
  }

  /** The event of a number, where it is in memory. */
  event(sequence: number): RunEvent | undefined {
    const place = sequence - this.#before - 1;
    const heard = this.#heard[place];
    if (!heard) return undefined;
    this.#values ??= new Map();
    const text = this.#timed(place, this.#dataOf(heard, this.#values));
    const event: RunEvent = {
      sequence,
      type: heard.type,
      get data() {
        return JSON.parse(text) as Json;
      },
    };
    texts.set(event, text);
    return event;
  }

  /** A value that an event of this process names. */
  value(hash: string): string | undefined {
    return this.#values?.get(hash);
  }

  /** The JSON of an event with its time. */
  #timed(place: number, text: string): string {
    const at = this.#times[place];
    return at === undefined || !text.startsWith("{") ? text : `{"at":${at},${text.slice(1)}`;
  }

  /** The JSON of an event; what cannot be written keeps its place. */
  #dataOf(heard: Heard, texts: Map<string, string>): string {
    if (heard.type === "output-delta") return textOfDelta(heard.delta);
    const { type, path } = heard;
    try {
      if (heard.type === "node-error") return JSON.stringify(toJson({ ...heard, error: errorBody(heard.error) }));
      return this.#textOf(heard, texts);
    } catch {
      return JSON.stringify({ type, path });
    }
  }

  #textOf(event: FlowEvent, texts: Map<string, string>): string {
    const { input, output } = event as { input?: Row; output?: Row };
    let text = `{"type":${JSON.stringify(event.type)}`;
    for (const key of Object.keys(event)) {
      const value = (event as unknown as Row)[key];
      if (key === "type" || key === "input" || key === "output" || value === undefined) continue;
      text += `,"${key}":${typeof value === "object" ? JSON.stringify(toJson(value, key)) : textOfPlain(value, key)}`;
    }
    if (input !== undefined) text += `,"input":${this.#textOfRow(input, texts)}`;
    if (output !== undefined) text += `,"output":${this.#textOfRow(output, texts)}`;
    return `${text}}`;
  }

  #textOfRow(row: Row, texts: Map<string, string>): string {
    let text = "";
    for (const port of Object.keys(row)) {
      const value = row[port];
      if (value !== undefined)
        text += `${text === "" ? "" : ","}${JSON.stringify(port)}:${this.#named(value, port, texts)}`;
    }
    return `{${text}}`;
  }

  /** A value of a port; one that is long by its hash. */
  #named(value: unknown, port: string, texts: Map<string, string>): string {
    const json = typeof value === "string" ? value : toJson(value, port);
    if (typeof json !== "object" && !(typeof json === "string" && json.length > 1000)) return JSON.stringify(json);
    const { text, hash } = textOf(json);
    if (hash === undefined || text.length <= this.limits.valueBytes) return text;
    texts.set(hash, text);
    return `{"$value":"${hash}","bytes":${Buffer.byteLength(text)}}`;
  }

  /** Takes it out of those that have something to write. */
  #isWritten(): void {
    if (this.#due !== undefined) unwritten.remove(this.#due);
    this.#due = undefined;
  }

  /** What is not written yet, as it will be. */
  batch(): EventBatch {
    this.#isWritten();
    const lines: string[] = [];
    const texts = new Map<string, string>();
    for (let sequence = Math.max(this.#written, this.#before) + 1; sequence <= this.last; sequence++) {
      const place = sequence - this.#before - 1;
      const heard = this.#heard[place]!;
      const streamed = heard.type === "output-delta" || heard.type === "node-delta";
      if (this.#writtenBytes > this.limits.keptBytes && streamed) continue;
      const line = `{"sequence":${sequence},"type":"${heard.type}","data":${this.#timed(place, this.#dataOf(heard, texts))}}`;
      this.#writtenBytes += line.length;
      lines.push(line);
    }
    this.#written = this.last;
    return { lines, texts };
  }

  /** Writes what is not written yet; resolves once it can be read from the log. */
  flush(): Promise<void> {
    if (!this.log || this.abandoned) {
      this.#isWritten();
      return this.#writing;
    }
    const { id } = this.state;
    const batch = this.batch();
    if (batch.lines.length > 0) {
      const { log } = this;
      this.#writing = log.append(id, batch).catch((error) => warnLost(`events of run ${id} are lost`, error));
    }
    return this.#writing;
  }
}

type Row = Readonly<Record<string, unknown>>;

/** The JSON of what is no object. */
const textOfPlain = (value: unknown, path: string): string =>
  typeof value === "string" || Number.isFinite(value) ? JSON.stringify(value) : JSON.stringify(toJson(value, path));

/** About how many bytes a value takes. */
function sizeOf(value: unknown, depth = 0): number {
  if (typeof value === "string") return value.length + 16;
  if (typeof value !== "object" || value === null) return 8;
  if (ArrayBuffer.isView(value)) return value.byteLength;
  let size = 16;
  if (depth < 8) for (const key in value) size += 8 + sizeOf((value as Record<string, unknown>)[key], depth + 1);
  return size;
}

const textOfDelta = (delta: unknown): string => {
  try {
    return JSON.stringify(toJson(delta));
  } catch {
    return "null";
  }
};
