// public: FlowLike, RunnableOptions, toRunnable
import { Runnable, type RunnableConfig } from "@langchain/core/runnables";
import type { Principal } from "@tessera/core";

interface FlowOptions {
  readonly signal?: AbortSignal | undefined;
  readonly principal?: Principal | undefined;
}

/** The part of a compiled flow that is used. */
export interface FlowLike<I extends object, O extends object> {
  run(input: I, options?: FlowOptions): Promise<{ readonly output: O }>;
  stream(
    input: I,
    options?: FlowOptions,
  ): {
    readonly result: Promise<{ readonly output: O }>;
    readonly output: AsyncIterable<{ readonly port: string; readonly delta: unknown }>;
  };
}

/** How a flow is offered as a LangChain runnable. */
export interface RunnableOptions<I, O, P extends string = string, Q extends string = string> {
  /** The input port that receives a value that is not an object: for chains that pass on a text. */
  readonly input?: P & keyof I;
  /** The output port whose value is the output of the runnable, instead of all ports. */
  readonly output?: Q & keyof O;
  readonly name?: string;
}

class FlowRunnable<I extends object, O extends object> extends Runnable<unknown, unknown> {
  static override lc_name(): string {
    return "TesseraFlow";
  }
  lc_namespace = ["tessera"];
  private readonly flow: FlowLike<I, O>;
  private readonly ports: RunnableOptions<I, O>;

  constructor(flow: FlowLike<I, O>, ports: RunnableOptions<I, O>) {
    super();
    this.flow = flow;
    this.ports = ports;
    this.name = ports.name ?? "TesseraFlow";
  }

  override invoke(input: unknown, config?: Partial<RunnableConfig>): Promise<unknown> {
    return this._callWithConfig(
      async (value: unknown, settings?: Partial<RunnableConfig>) =>
        this.outputOf((await this.flow.run(this.inputOf(value), optionsOf(settings))).output),
      input,
      config,
    );
  }

  override async stream(input: unknown, config?: Partial<RunnableConfig>) {
    const left = new AbortController();
    const signal = config?.signal ? AbortSignal.any([config.signal, left.signal]) : left.signal;
    const stream = await super.stream(input, { ...config, signal });
    // LangChain would wait for the next part before it closes a stream that was left
    for (const method of ["return", "cancel"] as const) {
      const leave = stream[method].bind(stream) as () => Promise<never>;
      stream[method] = () => {
        left.abort();
        return leave();
      };
    }
    return stream;
  }

  override async *_streamIterator(input: unknown, config?: Partial<RunnableConfig>): AsyncGenerator<unknown> {
    const one = async function* () {
      yield input;
    };
    yield* this.transform(one(), config ?? {});
  }

  override async *transform(inputs: AsyncGenerator<unknown>, config: Partial<RunnableConfig>): AsyncGenerator<unknown> {
    yield* this._transformStreamWithConfig(inputs, (values, _, settings) => this.parts(values, settings), config);
  }

  /** The deltas of text ports as they come, then the other ports whole: chunks that LangChain can join. */
  private async *parts(inputs: AsyncGenerator<unknown>, config?: Partial<RunnableConfig>): AsyncGenerator<unknown> {
    let input: unknown;
    for await (const part of inputs) input = input === undefined ? part : joined(input, part);
    const { result, output } = this.flow.stream(this.inputOf(input), optionsOf(config));
    result.catch(() => {}); // it is awaited below, unless the stream fails first or is left early
    const wanted = this.ports.output;
    const streamed = new Set<string>();
    for await (const { port, delta } of output) {
      if (typeof delta !== "string" || (wanted !== undefined && port !== wanted)) continue;
      streamed.add(port);
      yield wanted === undefined ? { [port]: delta } : delta;
    }
    const whole = (await result).output;
    if (wanted !== undefined) {
      if (!streamed.has(wanted)) yield whole[wanted];
      return;
    }
    const rest = Object.fromEntries(Object.entries(whole).filter(([port]) => !streamed.has(port)));
    if (Object.keys(rest).length > 0) yield rest;
  }

  private inputOf(value: unknown): I {
    return (this.ports.input === undefined ? value : { [this.ports.input]: value }) as I;
  }

  private outputOf(output: O): unknown {
    return this.ports.output === undefined ? output : output[this.ports.output];
  }
}

const optionsOf = (config: Partial<RunnableConfig> | undefined): FlowOptions => ({
  signal: config?.signal,
  principal: config?.configurable?.principal as Principal | undefined,
});

/** Joins the chunks of a streamed input: texts and lists end to end, records by key; anything else is replaced. */
function joined(before: unknown, next: unknown): unknown {
  if (typeof before === "string" && typeof next === "string") return before + next;
  if (Array.isArray(before) && Array.isArray(next)) return [...before, ...next];
  if (isRecord(before) && isRecord(next)) {
    const result: Record<string, unknown> = { ...before };
    for (const [key, value] of Object.entries(next))
      result[key] = Object.hasOwn(before, key) ? joined(before[key], value) : value;
    return result;
  }
  return next;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;

// what goes in or comes out: the values of all ports, or that of the chosen one
type Chosen<V, P> = [P] extends [never] ? V : P extends keyof V ? V[P] : never;

/**
 * A flow as a LangChain Runnable: `invoke`, `stream`, `batch` and `pipe`, inside chains and with their callbacks. The
 * config's `signal` and `timeout` abort the run, and so does leaving a stream early; `configurable.principal` is who
 * asks. Streaming gives text ports part by part and the others whole at the end. A run that ends on its budget gives
 * what was reached.
 */
export function toRunnable<I extends object, O extends object, P extends string = never, Q extends string = never>(
  flow: FlowLike<I, O>,
  options: RunnableOptions<I, O, P, Q> = {},
): Runnable<Chosen<I, P>, Chosen<O, Q>> {
  return new FlowRunnable(flow, options as RunnableOptions<I, O>) as unknown as Runnable<Chosen<I, P>, Chosen<O, Q>>;
}
