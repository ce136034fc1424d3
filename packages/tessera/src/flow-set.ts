import { type AnyOperator, type Flow, type FlowDocument, type Host, type Resource, TesseraError } from "@tessera/core";
import { type CompiledFlow, type CompileOptions, compile } from "@tessera/graph";
import { findingLines } from "@tessera/graph/internal";
import type { ResourceHost } from "./resources.js";

// biome-ignore lint/suspicious/noExplicitAny: any flow
export type AnyFlow = Flow<any, any> | FlowDocument;

/** The host of one compiled flow. It knows what the flow asked for, and goes with the flow into a later set. */
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

/**
 * What a new set takes over from the set before it: the flows that are the same objects and use no resource that was
 * replaced.
 */
export interface Predecessor {
  readonly flowSet: FlowSet;
  /** By kind and name: "store/docs". */
  readonly replaced: ReadonlySet<string>;
}

/**
 * The compiled flows of a `Tessera` at one time, and the resources that they were compiled with. A reload makes a new set;
 * a run ends on the set that it began on.
 */
export class FlowSet {
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
  ): Promise<FlowSet> {
    const entries = new Map<string, Entry>();
    const findings: TesseraError[] = [];
    const replaced = before?.replaced ?? new Set<string>();
    for (const [name, flow] of Object.entries(given)) {
      const known = before?.flowSet.entries.get(name);
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
    return new FlowSet(given, entries, host);
  }

  /** Makes its host the host of every flow, also of the flows that an earlier set compiled. */
  install(): void {
    for (const { host } of this.entries.values()) host.current = this.host;
  }

  /** Keeps track of a run until it has ended, and then calls `ended`. */
  follow(run: Promise<unknown>, ended?: () => void): void {
    this.#running.add(run);
    const forget = () => {
      this.#running.delete(run);
      ended?.();
    };
    run.then(forget, forget);
  }

  /** Waits until its runs have ended. No new run may begin on it from now on. */
  async drain(): Promise<void> {
    await Promise.allSettled([...this.#running]);
  }
}
