// public: FlowEvent, Spent
import type { TesseraError } from "./errors.js";
import type { Spending } from "./operator.js";
import type { ModelCall } from "./resources.js";

/** Why a node did not run. */
type SkipReason = "when" | "source" | "error" | "budget";

/** The events of a run. Times are milliseconds; `path` is the path of the activation. */
export type FlowEvent =
  | { readonly type: "flow-start"; readonly path: string; readonly flow: string; readonly input: unknown }
  | { readonly type: "node-start"; readonly path: string; readonly operator: string; readonly input: unknown }
  | { readonly type: "node-delta"; readonly path: string; readonly port: string; readonly delta: unknown }
  | ({ readonly type: "model-end"; readonly path: string } & ModelCall)
  | { readonly type: "node-skip"; readonly path: string; readonly reason: SkipReason; readonly index?: number }
  /**
   * Something that does not change the run but should be known, such as an operator that reports more than its bound.
   */
  | { readonly type: "warning"; readonly path: string; readonly message: string }
  /** The step waits from now on: for an answer, for a signal of this name, or until a time (milliseconds since 1970). */
  | {
      readonly type: "node-wait";
      readonly path: string;
      readonly payload?: unknown;
      readonly signal?: string;
      readonly due?: number;
    }
  | { readonly type: "node-error"; readonly path: string; readonly error: TesseraError; readonly attempt: number }
  | {
      readonly type: "node-end";
      readonly path: string;
      readonly output: unknown;
      readonly ms: number;
      /** Where the result came from if the operator was not called. */
      readonly from?: "journal" | "cache";
    }
  | {
      readonly type: "flow-end";
      readonly path: string;
      readonly output: unknown;
      readonly ms: number;
      readonly status: "done" | "budget";
    };

/** What a run has spent in total. */
export interface Spent extends Required<Spending> {
  /** The number of attempts of nodes that run an operator. */
  readonly steps: number;
}
