// internal
import { type AnyOperator, type Flow, type FlowDocument, TesseraError } from "@tessera/core";
import { type CompiledFlow, type CompileOptions, compile } from "@tessera/graph";
import type { ResourceHost } from "./resources.js";

// biome-ignore lint/suspicious/noExplicitAny: any flow
export type AnyFlow = Flow<any, any> | FlowDocument;

/** Flows and the resources that they were compiled with. Runs end on the generation that they began on. */
export class Generation {
  readonly #running = new Set<Promise<unknown>>();

  private constructor(
    readonly given: Readonly<Record<string, AnyFlow>>,
    readonly flows: ReadonlyMap<string, CompiledFlow>,
    readonly host: ResourceHost,
  ) {}

  /** @throws TesseraError INVALID_FLOW with the findings of all flows */
  static async compile(
    given: Readonly<Record<string, AnyFlow>>,
    host: ResourceHost,
    options: Omit<CompileOptions, "host"> & { readonly operators: readonly AnyOperator[] },
  ): Promise<Generation> {
    const flows = new Map<string, CompiledFlow>();
    const findings: TesseraError[] = [];
    for (const [name, flow] of Object.entries(given)) {
      try {
        flows.set(name, await compile("document" in flow ? flow.document : flow, { ...options, host }));
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
    return new Generation(given, flows, host);
  }

  /** Notes a run until it has ended. */
  follow(run: Promise<unknown>): void {
    this.#running.add(run);
    const forget = () => void this.#running.delete(run);
    run.then(forget, forget);
  }

  /** Waits for its runs; new ones must not be begun by now. */
  async drain(): Promise<void> {
    await Promise.allSettled([...this.#running]);
  }
}
