import type { Finding, FlowDocument, Json } from "../api/types.js";
import type { Interval } from "../evaluate/use-evaluation.js";

// what the routes of searches give; docs/studio.md and /openapi.json describe them

export interface Change {
  readonly at: string;
  readonly from?: Json;
  readonly to: Json;
}
export interface Trial {
  readonly changes: readonly Change[];
  readonly hash: string;
  readonly questions: number;
  readonly mean: number;
  readonly failure?: string;
}
export interface Winner {
  readonly document: FlowDocument;
  readonly changes: readonly Change[];
  readonly choosing: Interval;
  readonly unseen: Interval & { readonly p: number };
  readonly failed: number;
}
export interface TuningResult {
  readonly before: number;
  readonly trials: readonly Trial[];
  readonly best?: Winner;
  readonly confirmed: boolean;
  readonly spent: { readonly runs: number; readonly calls: number; readonly tokens: number };
}
export interface TuningRow {
  readonly id: string;
  readonly flow: string;
  readonly set: string;
  readonly metric: string;
  readonly status: "running" | "done" | "failed" | "cancelled";
  readonly started: string;
  readonly progress: { readonly done: number; readonly planned: number };
}
export interface TuningState extends TuningRow {
  readonly laid?: {
    readonly smaller: boolean;
    readonly plan: { readonly runs: number; readonly rungs: readonly { candidates: number; questions: number }[] };
    readonly grid: { readonly combinations: number; readonly runs: number };
    readonly questions: { readonly choosing: number; readonly unseen: number };
  };
  readonly trials: readonly Trial[];
  readonly result?: TuningResult;
  readonly error?: Finding;
}
