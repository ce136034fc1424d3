// internal
import { type AnyOperator, type Flow, type FlowDocument, type Host, type Resource, TesseraError } from "@tessera/core";
import { type CompiledFlow, type CompileOptions, compile, findingLines } from "@tessera/graph";
import type { ResourceHost } from "./resources.js";

// biome-ignore lint/suspicious/noExplicitAny: any flow
export type AnyFlow = Flow<any, any> | FlowDocument;

/** The host of one compiled flow. It knows what the flow asked for, and follows the flow into a later generation. */
class FlowHost implements Host {
  readonly #asked = new Set<string>();

  constructor(public current: Host) {}

  resource<T extends Resource>(kind: string, name: string): Promise<T> {
    this.#asked.add(`${kind}/${name}`);
    return this.current.resource<T>(kind, name);
  }

  usesAny(paths: ReadonlySet<string>): boolean {
    for (const path of paths) if (this.#asked.has(path)) return true;
    return false;
  }
}

interface Entry {
  readonly given: AnyFlow;
  readonly flow: CompiledFlow;
  readonly host: FlowHost;
}

/** What a generation keeps of the one before it: the flows that are the same objects and use no replaced resource. */
export interface Predecessor {
  readonly generation: Generation;
  /** By kind and name: "store/docs". */
  readonly replaced: ReadonlySet<string>;
}

/** Flows and the resources that they were compiled with. Runs end on the generation that they began on. */
export class Generation {
  readonly #running = new Set<Promise<unknown>>();
  readonly flows: ReadonlyMap<string, CompiledFlow>;

  private constructor(
    readonly given: Readonly<Record<string, AnyFlow>>,
    private readonly entries: ReadonlyMap<string, Entry>,
    readonly host: ResourceHost,
  ) {
    this.flows = new Map([...entries].map(([name, { flow }]) => [name, flow]));
  }

  /**
   * Compiles the flows that the predecessor does not have already.
   * @throws TesseraError INVALID_FLOW with the findings of all flows
   */
  static async compile(
    given: Readonly<Record<string, AnyFlow>>,
    host: ResourceHost,
    options: Omit<CompileOptions, "host"> & { readonly operators: readonly AnyOperator[] },
    before?: Predecessor,
  ): Promise<Generation> {
    const entries = new Map<string, Entry>();
    const findings: TesseraError[] = [];
    const replaced = before?.replaced ?? new Set<string>();
    for (const [name, flow] of Object.entries(given)) {
      const known = before?.generation.entries.get(name);
      if (known && known.given === flow && !known.host.usesAny(replaced)) {
        entries.set(name, known);
        continue;
      }
      try {
        const own = new FlowHost(host);
        const compiled = await compile("document" in flow ? flow.document : flow, { ...options, host: own });
        entries.set(name, { given: flow, flow: compiled, host: own });
      } catch (error) {
        if (!TesseraError.is(error)) throw error;
        findings.push(...(error.findings.length > 0 ? error.findings : [error]));
      }
    }
    if (findings.length > 0) throw new TesseraError("INVALID_FLOW", findingLines(findings), { findings });
    return new Generation(given, entries, host);
  }

  /** Makes its host that of every flow, also of those that the generation before compiled. */
  install(): void {
    for (const { host } of this.entries.values()) host.current = this.host;
  }

  /** Notes a run until it has ended, and then calls `ended`. */
  follow(run: Promise<unknown>, ended?: () => void): void {
    this.#running.add(run);
    const forget = () => {
      this.#running.delete(run);
      ended?.();
    };
    run.then(forget, forget);
  }

  /** Waits for its runs; new ones must not be begun by now. */
  async drain(): Promise<void> {
    await Promise.allSettled([...this.#running]);
  }
}
