// public: SkipReason, FlowEvent, Spent
import type { TesseraError } from "./errors.js";
import type { Spending } from "./operator.js";
import type { ModelCall } from "./resources.js";

/** Why a node did not run. */
export type SkipReason = "when" | "source" | "error" | "budget";

/** What can be seen of a run. Times are milliseconds; `path` is the address of the activation. */
export type FlowEvent =
  | { readonly type: "flow-start"; readonly path: string; readonly flow: string; readonly input: unknown }
  | { readonly type: "node-start"; readonly path: string; readonly operator: string; readonly input: unknown }
  | { readonly type: "node-delta"; readonly path: string; readonly port: string; readonly delta: unknown }
  | ({ readonly type: "model-end"; readonly path: string } & ModelCall)
  | { readonly type: "node-skip"; readonly path: string; readonly reason: SkipReason; readonly index?: number }
  /** What changes no run, and somebody should know: an operator that reports more than its bound, a list cut by the budget. */
  | { readonly type: "warning"; readonly path: string; readonly message: string }
  | { readonly type: "node-error"; readonly path: string; readonly error: TesseraError; readonly attempt: number }
  | {
      readonly type: "node-end";
      readonly path: string;
      readonly output: unknown;
      readonly ms: number;
      /** Where the result came from, if the operator did not run. */
      readonly from?: "journal" | "cache";
    }
  | {
      readonly type: "flow-end";
      readonly path: string;
      readonly output: unknown;
      readonly ms: number;
      readonly status: "done" | "budget";
    };

/** Totals of a run. */
export interface Spent extends Required<Spending> {
  /** Activations of operators. */
  readonly steps: number;
}
