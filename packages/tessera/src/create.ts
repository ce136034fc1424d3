import { type AnyOperator, didYouMean, type Flow, type FlowDocument, type Records, TesseraError } from "@tessera/core";
import { type CompiledFlow, compile, type RunOptions, type RunResult, type RunStream } from "@tessera/graph";
import { operators as all } from "./catalogue.js";
import { ResourceHost, type Resources } from "./resources.js";

// biome-ignore lint/suspicious/noExplicitAny: any flow
type AnyFlow = Flow<any, any> | FlowDocument;
type InputOf<F> = F extends Flow<infer I, infer _> ? I & object : Record<string, unknown>;
type OutputOf<F> = F extends Flow<infer _, infer O> ? O : Record<string, unknown>;

export interface TesseraOptions<F extends Readonly<Record<string, AnyFlow>>> {
  /** By the names under which they are run; composed in code or read from JSON. */
  readonly flows: F;
  /** What flows may name: `{ store: { docs: () => openStore() }, model: { … }, encoder: { … } }`. */
  readonly resources?: Resources;
  /** Operators beside those of the catalogue. */
  readonly operators?: readonly AnyOperator[];
  /** Keeps what runs do, so that they can be resumed and replayed. */
  readonly records?: Records;
  readonly cache?: Pick<Records, "get" | "put">;
  /** Check every value that passes between nodes. */
  readonly validate?: boolean;
}

/** Flows and what they need, as one object of a service. */
export class Tessera<F extends Readonly<Record<string, AnyFlow>>> {
  private readonly host: ResourceHost;
  private starting: Promise<Map<string, CompiledFlow>> | undefined;
  private readonly running = new Set<Promise<unknown>>();
  private state: "open" | "draining" | "closed" = "open";

  constructor(private readonly options: TesseraOptions<F>) {
    this.host = new ResourceHost(options.resources ?? {});
  }

  /**
   * Opens the resources and compiles every flow; a service that starts is one whose flows can run. Called by the first
   * run if not before.
   * @throws TesseraError INVALID_FLOW with the findings of all flows.
   */
  async start(): Promise<this> {
    await this.compiled();
    return this;
  }

  private compiled(): Promise<Map<string, CompiledFlow>> {
    if (!this.starting) {
      this.starting = this.compile();
      // a start that failed may be tried again
      this.starting.catch(() => {
        this.starting = undefined;
      });
    }
    return this.starting;
  }

  private async compile(): Promise<Map<string, CompiledFlow>> {
    const { flows, operators = [], records, cache, validate } = this.options;
    const settings = { operators: [...all, ...operators], host: this.host, records, cache, validate };
    const compiled = new Map<string, CompiledFlow>();
    const findings: TesseraError[] = [];
    for (const [name, flow] of Object.entries(flows)) {
      try {
        compiled.set(name, await compile("document" in flow ? flow.document : flow, settings));
      } catch (error) {
        if (!TesseraError.is(error)) throw error;
        findings.push(...(error.findings.length > 0 ? error.findings : [error]));
      }
    }
    if (findings.length > 0)
      throw new TesseraError(
        "INVALID_FLOW",
        findings
          .map(({ code, path, message, hint }) => `${code} at ${path}: ${message}${hint ? ` (${hint})` : ""}`)
          .join("\n"),
        { findings },
      );
    return compiled;
  }

  /**
   * A flow, ready to run.
   * @throws TesseraError BAD_ARGUMENT where there is none of that name, CLOSED.
   */
  async flow<N extends keyof F & string>(name: N): Promise<CompiledFlow<InputOf<F[N]>, OutputOf<F[N]>>> {
    if (this.state !== "open")
      throw new TesseraError("CLOSED", "no new runs are taken", {
        path: name,
        hint: "the framework object is closing",
      });
    const compiled = await this.compiled();
    const flow = compiled.get(name);
    if (!flow)
      throw new TesseraError("BAD_ARGUMENT", `there is no flow "${name}"`, { hint: didYouMean(name, compiled.keys()) });
    return flow as unknown as CompiledFlow<InputOf<F[N]>, OutputOf<F[N]>>;
  }

  /** Runs a flow. */
  run<N extends keyof F & string>(
    name: N,
    input: InputOf<F[N]>,
    options?: RunOptions,
  ): Promise<RunResult<OutputOf<F[N]>>> {
    return this.follow(this.flow(name).then((flow) => flow.run(input, options)));
  }

  /** Runs a flow and shows what happens; leaving the iteration early aborts the run. */
  async stream<N extends keyof F & string>(
    name: N,
    input: InputOf<F[N]>,
    options?: RunOptions,
  ): Promise<RunStream<OutputOf<F[N]>>> {
    const stream = (await this.flow(name)).stream(input, options);
    void this.follow(stream.result).catch(() => {});
    return stream;
  }

  private follow<T>(run: Promise<T>): Promise<T> {
    this.running.add(run);
    const forget = () => void this.running.delete(run);
    run.then(forget, forget);
    return run;
  }

  /** Takes no new runs, and waits for those under way. */
  async drain(): Promise<void> {
    if (this.state === "open") this.state = "draining";
    await Promise.allSettled([...this.running]);
  }

  /** Drains, then closes every resource that was opened. */
  async close(): Promise<void> {
    if (this.state === "closed") return;
    await this.drain();
    this.state = "closed";
    await this.host.close();
    await this.options.records?.close?.();
  }
}

/** Makes the one object that a service holds: flows, and the resources they name. Nothing is opened before it starts. */
export const createTessera = <const F extends Readonly<Record<string, AnyFlow>>>(
  options: TesseraOptions<F>,
): Tessera<F> => new Tessera(options);
