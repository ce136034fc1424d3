import type { Bound, Json, PortType, Work } from "@tessera/core";
import type { z } from "zod";
import type { Asking } from "./asking.js";
import type { Feed } from "./gates.js";
// A circle of types: what is run names the run, and a run names what it runs and who hears of it.
import type { Owner, Run } from "./run.js";
import type { Scope } from "./scope.js";

/** The value of a port that was skipped. */
export const SKIPPED = Symbol("skipped");

export type Row = Record<string, unknown>;

/** One activation that is about to start. */
export interface Activation {
  readonly run: Run;
  readonly scope: Scope;
  readonly path: string;
  /** The values of its input ports. */
  readonly input: Row;
  /** Hears how it ends. */
  readonly owner: Owner;
  /** Tells the activations of one owner apart. */
  readonly key: number;
  /** Takes the parts that it streams; undefined where nobody does. */
  readonly feed: Feed | undefined;
}

/** What a node runs: an operator or a flow, as it is or in a policy, a loop or an `each`. */
export type Body = (activation: Activation) => Activity;

/** An activation that is ready to start. */
export interface Activity {
  /** Starts it. Its owner hears how it ends, at once or later. */
  start(): void;
}

/** Where a value comes from: slots of the activation's values, or a constant. */
export type SourceProgram =
  | { readonly kind: "slot"; readonly slot: number }
  | { readonly kind: "list"; readonly slots: readonly number[] }
  | { readonly kind: "first"; readonly members: readonly ({ slot: number } | { value: Json })[] }
  | { readonly kind: "named"; readonly names: readonly string[]; readonly slots: readonly number[] }
  | { readonly kind: "value"; readonly value: Json };

export interface Wire {
  readonly port: string;
  readonly source: SourceProgram;
  readonly optional: boolean;
  /** Whether every object has something of the port's name. */
  readonly inherited: boolean;
  /** Checks each value, where the types of the wire are not equal. */
  readonly check: z.ZodType | undefined;
}

export interface NodeProgram {
  readonly index: number;
  readonly id: string;
  /** "/" and the id: what follows the flow's path. */
  readonly suffix: string;
  readonly guards: readonly { readonly slot: number; readonly allowed: readonly unknown[] }[];
  readonly wires: readonly Wire[];
  /** How many other nodes it waits for, and which wait for it. */
  readonly waits: number;
  readonly readers: readonly number[];
  readonly outputs: readonly { readonly port: string; readonly slot: number }[];
  readonly body: Body;
  /** Which outputs of the flow its ports stream into: the whole of one, or a member of a `first`. */
  readonly streams: readonly { readonly port: string; readonly output: string; readonly member?: number }[];
}

export interface FlowProgram {
  readonly name: string;
  readonly input: readonly {
    readonly port: string;
    readonly slot: number;
    readonly optional: boolean;
    readonly type: PortType;
    readonly check: z.ZodType;
  }[];
  readonly slots: number;
  /** In an order where each comes after all it reads. */
  readonly nodes: readonly NodeProgram[];
  readonly waits: readonly number[];
  readonly roots: readonly number[];
  readonly output: readonly {
    readonly port: string;
    readonly source: SourceProgram;
    readonly inherited: boolean;
  }[];
  /** The outputs that are a `first` of slots alone or with constants after them. */
  readonly firsts: readonly { readonly output: string; readonly slots: readonly number[] }[];
}

export interface OperatorProgram {
  readonly name: string;
  readonly version: number;
  readonly config: unknown;
  readonly effects: "none" | "read" | "write";
  readonly bound: Bound | undefined;
  /** Of an operator with a bound. */
  readonly asking: Asking | undefined;
  /** Whether it may wait. */
  readonly waits: boolean;
  readonly work: Work<Row, Row>;
  readonly inputs: readonly { readonly port: string; readonly schema: z.ZodType }[];
  readonly outputs: readonly {
    readonly port: string;
    readonly optional: boolean;
    readonly inherited: boolean;
    readonly schema: z.ZodType;
  }[];
  /** The revisions, now, of the resources that the operator asked for. */
  readonly revisions: () => readonly string[];
}

/** Reads a source; SKIPPED where nothing of it arrived. */
export function read(source: SourceProgram, values: readonly unknown[]): unknown {
  switch (source.kind) {
    case "slot":
      return values[source.slot];
    case "value":
      return source.value;
    case "list": {
      const list: unknown[] = [];
      for (const slot of source.slots) if (values[slot] !== SKIPPED) list.push(values[slot]);
      return list.length === 0 && source.slots.length > 0 ? SKIPPED : list;
    }
    case "first":
      for (const member of source.members) {
        const value = "slot" in member ? values[member.slot] : member.value;
        if (value !== SKIPPED) return value;
      }
      return SKIPPED;
    case "named": {
      const record: Row = {};
      let found = source.slots.length === 0;
      source.slots.forEach((slot, index) => {
        if (values[slot] === SKIPPED) return;
        record[source.names[index]!] = values[slot];
        found = true;
      });
      return found ? record : SKIPPED;
    }
  }
}
