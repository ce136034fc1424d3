// public: FlowBound
import type { AnyOperator, Bound, FlowDocument, NodeDocument, Ports, PortType, Source } from "@tessera/core";

/** A port of a plan: its type as a wire carries it, and whether it can be left out or skipped. */
export interface PlannedPort {
  readonly type: PortType;
  readonly optional: boolean;
}
export type PlannedPorts = ReadonlyMap<string, PlannedPort>;

/** A node that has been checked: what it runs, and the types of its ports. */
export interface NodePlan {
  readonly id: string;
  /** The static address, "ask/attempt/rerank". */
  readonly path: string;
  readonly document: NodeDocument;
  readonly body: OperatorBody | FlowPlan;
  /** What one activation takes and gives. */
  readonly input: PlannedPorts;
  readonly output: PlannedPorts;
  /** What the node gives its readers: lists for `each`, and the turns of a `repeat`. */
  readonly gives: PlannedPorts;
  /** True where the node, or something inside it, changes the world. */
  readonly writes: boolean;
  /** True where the node, or something inside it, may wait. */
  readonly waits: boolean;
}

export interface OperatorBody {
  readonly kind: "operator";
  readonly operator: AnyOperator;
  readonly config: unknown;
  readonly ports: { readonly input: Ports; readonly output: Ports };
}

/** A flow that has been checked; its nodes stand in an order where each comes after all it reads. */
export interface FlowPlan {
  readonly kind: "flow";
  readonly document: FlowDocument;
  readonly path: string;
  readonly input: PlannedPorts;
  readonly nodes: readonly NodePlan[];
  readonly output: ReadonlyMap<string, { readonly source: Source; readonly type: PortType }>;
}

/** The most that a run of a flow can spend: steps, model calls, tokens, and layers of encoders. */
export interface FlowBound extends Bound {
  readonly steps: number;
  readonly layers: number;
  /** How often a run may wait at most; absent where it never does. */
  readonly waits?: number;
}
