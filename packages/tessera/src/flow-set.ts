import { type AnyOperator, type Flow, type FlowDocument, type Host, type Resource, TesseraError } from "@tessera/core";
import { Slots } from "@tessera/core/internal";
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

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/** The document of a flow. What is no flow is returned as it is: the check of documents says what is wrong with it. */
const documentOf = (flow: AnyFlow): FlowDocument => (isObject(flow) && "document" in flow ? flow.document : flow);

/**
 * Refuses flows whose key is not the name of their document: runs, records and events would know one flow by two names.
 * @throws TesseraError INVALID_FLOW with a finding for each of them
 */
export function assertNames(flows: Readonly<Record<string, AnyFlow>>): void {
  const findings: TesseraError[] = [];
  for (const [key, flow] of Object.entries(flows)) {
    const document: unknown = documentOf(flow);
    const name = isObject(document) && "name" in document ? document.name : undefined;
    if (typeof name !== "string" || name === key) continue;
    findings.push(
      new TesseraError("BAD_ARGUMENT", `the flow given as "${key}" has the name "${name}" in its document`, {
        path: key,
        hint: `give it as "${name}", or name the document "${key}"`,
      }),
    );
  }
  if (findings.length > 0) throw new TesseraError("INVALID_FLOW", findingLines(findings), { findings });
}

/**
 * The operators that flows may name: those that are given, and those that flows composed in code are made of.
 * @throws TesseraError BAD_OPERATOR where two different operators have one name
 */
export function operatorsFor(
  flows: Readonly<Record<string, AnyFlow>>,
  given: readonly AnyOperator[],
): readonly AnyOperator[] {
  const byName = new Map(given.map((operator) => [operator.name, operator]));
  for (const [flow, composed] of Object.entries(flows)) {
    const own = isObject(composed) && "operators" in composed ? (composed.operators ?? []) : [];
    for (const operator of own) {
      const known = byName.get(operator.name);
      // a package that is installed twice has equal operators that are two objects
      if (known && (known.version !== operator.version || known.about.summary !== operator.about.summary))
        throw new TesseraError("BAD_OPERATOR", `two operators are named "${operator.name}"`, {
          path: flow,
          hint: "give one of them another name",
        });
      if (!known) byName.set(operator.name, operator);
    }
  }
  return [...byName.values()];
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
  readonly #running = new Slots<Promise<unknown>>();
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
        const compiled = await compile(documentOf(flow), { ...options, host: own });
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
    const slot = this.#running.add(run);
    const forget = () => {
      this.#running.remove(slot);
      ended?.();
    };
    run.then(forget, forget);
  }

  /** Waits until its runs have ended. No new run may begin on it from now on. */
  async drain(): Promise<void> {
    await Promise.allSettled([...this.#running]);
  }
}
