// what the routes of the service give; docs/service.md and /openapi.json describe them

export type { FlowDocument, Json, NodeDocument, Source } from "@tessera/core";

import type { FlowDocument, Json } from "@tessera/core";

export interface Finding {
  readonly code: string;
  readonly message: string;
  readonly path?: string;
  readonly hint?: string;
  readonly findings?: readonly Finding[];
}

export interface Bound {
  readonly steps: number;
  readonly calls: number;
  readonly tokens: number;
}

/** A port: its type as documents write it, and in words. */
export interface Port {
  readonly type: Json;
  readonly words: string;
  readonly optional?: boolean;
}
export type Ports = Readonly<Record<string, Port>>;
export interface NodePorts {
  readonly input: Ports;
  readonly output: Ports;
}

export interface Schema {
  readonly type?: string;
  readonly enum?: readonly Json[];
  readonly const?: Json;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly default?: Json;
  readonly description?: string;
}

export interface FlowSummary {
  readonly name: string;
  readonly hash: string;
  readonly uploaded: boolean;
  readonly input: Schema;
  readonly output: readonly string[];
  readonly bound: Bound;
}
export interface FlowDetail extends FlowSummary {
  readonly document: FlowDocument;
}

export interface CatalogueFlow {
  readonly name: string;
  readonly summary: string;
  readonly about: string;
  readonly paper?: { readonly authors: string; readonly id: string };
  readonly bound: Bound;
  readonly nodes: number;
  readonly document: FlowDocument;
  readonly resources?: readonly string[];
  /** Why it cannot run here; absent where it can. */
  readonly missing?: readonly Finding[];
}

export interface Operator {
  readonly name: string;
  readonly version: number;
  readonly about: {
    readonly module: string;
    readonly submodule: string;
    readonly summary: string;
    readonly paper?: string;
  };
  readonly effects: "none" | "read" | "write";
  readonly asksModel: boolean;
  readonly config: Schema;
  readonly ports?: NodePorts;
}

export interface Check {
  readonly hash?: string;
  readonly bound?: Bound;
  readonly notices?: readonly { readonly path: string; readonly message: string }[];
  readonly findings: readonly Finding[];
  readonly ports?: Readonly<Record<string, NodePorts & { readonly writes?: boolean }>>;
  readonly resources?: readonly string[];
  readonly typescript?: string;
  /** By the words of a source: by the words of a target, how it fits. */
  readonly fits?: Readonly<Record<string, Readonly<Record<string, "whole" | "member">>>>;
}

export interface Spent {
  readonly steps: number;
  readonly calls: number;
  readonly tokens: number;
  readonly layers?: number;
  readonly cost?: number;
}

export type RunStatus = "running" | "waiting" | "done" | "budget" | "failed" | "cancelled" | "interrupted";

/** What a run waits for. */
export interface Wait {
  readonly path: string;
  readonly kind: "answer" | "signal" | "time";
  readonly payload?: Json;
  readonly schema?: Schema;
  readonly signal?: string;
  readonly due?: string;
}

export interface WaitingRun {
  readonly id: string;
  readonly flow: string;
  readonly started: string;
  readonly waits: readonly Wait[];
}

export interface RunState {
  readonly id: string;
  readonly flow: string;
  readonly status: RunStatus;
  readonly input: Readonly<Record<string, Json>>;
  readonly output?: Readonly<Record<string, Json>>;
  readonly error?: Finding;
  readonly waits?: readonly Wait[];
  readonly spent?: Spent;
  readonly seed?: number;
  /** The run that it takes steps from, and the step at which it is another. */
  readonly fork?: { readonly of: string; readonly change: { readonly at: string } };
  readonly started: string;
  readonly ended?: string;
}

/** The steps that two runs do not have in common. */
export interface RunDifference {
  readonly same: number;
  readonly moved: number;
  readonly steps: readonly { readonly path: string; readonly because?: readonly string[] }[];
}

export interface RunRow {
  readonly id: string;
  readonly flow: string;
  readonly status: RunStatus;
  readonly started: string;
  readonly ended?: string;
  readonly spent?: Spent;
  /** The beginning of its question. */
  readonly about?: string;
}

export interface RunEvent {
  readonly sequence: number;
  readonly type: string;
  readonly data: Json;
}

export interface Place {
  readonly unit: string;
  readonly from: number;
  readonly to: number;
  readonly inside?: readonly string[];
}
export interface Passage {
  readonly id: string;
  readonly text: string;
  readonly title?: string;
  readonly source?: {
    readonly path: string;
    readonly lines?: readonly [number, number];
    readonly place?: Place;
    readonly symbol?: string;
  };
}
export interface Hit {
  readonly passage: Passage;
  readonly score: number;
  readonly provenance: readonly { readonly operator: string; readonly rank: number; readonly score: number }[];
}
export interface Citation {
  readonly marker: number;
  readonly passage: string;
  readonly path?: string;
  readonly lines?: readonly [number, number];
  readonly place?: Place;
  readonly symbol?: string;
}
export interface Answer {
  readonly text: string;
  readonly citations: readonly Citation[];
  readonly refused: boolean;
}

export interface SourceFile {
  readonly path: string;
  readonly kind: string;
  readonly passages: number;
  readonly characters: number;
}
export interface SourceIndex {
  readonly root: string;
  readonly files: readonly SourceFile[];
  readonly skipped: readonly { readonly path: string; readonly reason: string; readonly detail?: string }[];
  readonly ways: readonly string[];
}
