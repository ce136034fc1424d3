// public: Source, Each, Repeat, NodeDocument, FlowDocument, parseDocument
// internal: readingDocument, flowDocument, referencesOf, splitReference, readsOf, Policy
import { readingDocument } from "./document-reader.js";
import type { Json } from "./passage.js";
import type { PortType } from "./ports.js";
import { atOnce } from "./slices.js";

export { readingDocument } from "./document-reader.js";
export { flowDocument, source } from "./document-schema.js";

/** `"node.port"`; a list of them; the first that was not skipped; several by name; or a constant. */
export type Source =
  | string
  | string[]
  | { first: (string | { value: Json })[] }
  | { named: Record<string, string> }
  | { value: Json };

/**
 * What the scheduler does about a node that is slow or fails: a timeout for each attempt in milliseconds, retries,
 * and `onError`.
 */
export interface Policy {
  /** The time that each attempt may take, in milliseconds; at most a year. */
  timeoutMs?: number | undefined;
  /**
   * `attempts` is the number of all attempts. The pause between two starts with `backoffMs` milliseconds and doubles,
   * up to a year.
   */
  retry?: { attempts: number; backoffMs?: number | undefined } | undefined;
  onError?: "fail" | "skip" | undefined;
}

/** Runs a node for every element of a list: which input holds the list, how many at once, and the most elements. */
export interface Each {
  /** The input port that receives one element at a time. */
  over: string;
  /** How many elements run at the same time; by default all. */
  concurrency?: number | undefined;
  /** The most elements of the list; more are an error. */
  max: number;
}

/** Runs a node again and again: what ends it, what a turn carries to the next, and the most turns. */
export interface Repeat {
  /** Flags among the outputs of the body. The loop ends when one of them is true. */
  until?: string | string[] | undefined;
  /** A list among the outputs of the body. The loop ends when it is empty. */
  while?: string | undefined;
  /** For each input port, the output port of the last turn that feeds it. Other inputs keep their value. */
  carry: Record<string, string>;
  max: number;
}

/** One use of an operator or of a flow, as a document writes it. */
export interface NodeDocument {
  /** The name of an operator, or a whole flow. */
  run: string | FlowDocument;
  with?: Json | undefined;
  in: Record<string, Source>;
  /**
   * Conditions, by port reference. The node runs only if every port has the given value, or one of the given values.
   */
  when?: Record<string, Json> | undefined;
  each?: Each | undefined;
  repeat?: Repeat | undefined;
  policy?: Policy | undefined;
}

/** How a service serves a flow as a model: which input the last message of a chat feeds, and so on. */
export interface Serve {
  /** The input that the last message feeds; "query" by default. */
  query?: string | undefined;
  /** The input that the messages before it feed, as text or as a list of `{ role, content }`; "history" by default. */
  history?: string | undefined;
  /** The output that is the answer: a text or an answer; by default "text", else "answer". */
  text?: string | undefined;
  /** What the other inputs get. */
  with?: Record<string, Json> | undefined;
}

/** A flow as JSON: its input, its nodes and its output. `parseDocument` reads one. */
export interface FlowDocument {
  $schema?: string | undefined;
  version: 1;
  name: string;
  input: Record<string, PortType>;
  nodes: Record<string, NodeDocument>;
  output: Record<string, Source>;
  serve?: Serve | undefined;
}

/**
 * Reads a value as a flow document. Its size is checked first, so that a hostile one costs no more than an error.
 * @throws TesseraError BAD_DOCUMENT with a finding for each fault; DOCUMENT_TOO_LARGE.
 */
export const parseDocument = (value: unknown): FlowDocument => atOnce(readingDocument(value));

/** The references of a source, in order. */
export function referencesOf(source: Source): string[] {
  if (typeof source === "string") return [source];
  if (Array.isArray(source)) return source;
  if ("first" in source) return source.first.filter((member) => typeof member === "string");
  return "named" in source ? Object.values(source.named) : [];
}

/** Splits `"node.port"`. */
export function splitReference(reference: string): [node: string, port: string] {
  const dot = reference.indexOf(".");
  return [reference.slice(0, dot), reference.slice(dot + 1)];
}

/** Every node id and port that a node reads, its conditions included. */
export const readsOf = (node: NodeDocument): string[] => [
  ...Object.keys(node.when ?? {}),
  ...Object.values(node.in).flatMap(referencesOf),
];
