import { z } from "zod";
import { TesseraError } from "./errors.js";
import type { Json } from "./passage.js";
import { type PortType, portType } from "./ports.js";

/** Limits that keep a hostile document from costing more than an error; no time in a document is longer than a year. */
export const limits = {
  depth: 32,
  nodes: 10_000,
  nesting: 256,
  values: 1_000_000,
  findings: 1_000,
  milliseconds: 365 * 86_400_000,
} as const;

/** `"node.port"`; a list of them; the first that was not skipped; several by name; or a constant. */
export type Source =
  | string
  | string[]
  | { first: (string | { value: Json })[] }
  | { named: Record<string, string> }
  | { value: Json };

export interface Policy {
  /** For each attempt; at most a year. */
  timeoutMs?: number | undefined;
  /** `attempts` counts all of them; the pause doubles from `backoffMs` on, up to a year. */
  retry?: { attempts: number; backoffMs?: number | undefined } | undefined;
  onError?: "fail" | "skip" | undefined;
}

export interface Each {
  /** The input port that receives one element at a time. */
  over: string;
  /** How many run at once; by default all. */
  concurrency?: number | undefined;
  /** More elements than this are an error. */
  max: number;
}

export interface Repeat {
  /** Flags of the body; any of them ends the loop. */
  until?: string | string[] | undefined;
  /** A list of the body; the loop ends when it is empty. */
  while?: string | undefined;
  /** Input port ← output port, from one turn to the next. Inputs not carried keep their value. */
  carry: Record<string, string>;
  max: number;
}

export interface NodeDocument {
  /** The name of an operator, or a flow: a flow is an operator. */
  run: string | FlowDocument;
  with?: Json | undefined;
  in: Record<string, Source>;
  /** Runs only where every port named has (one of) the values given. */
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

export interface FlowDocument {
  $schema?: string | undefined;
  version: 1;
  name: string;
  input: Record<string, PortType>;
  nodes: Record<string, NodeDocument>;
  output: Record<string, Source>;
  serve?: Serve | undefined;
}

const name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, "a name has letters, digits, - and _, and begins with a letter");
const reference = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]*\.[A-Za-z][A-Za-z0-9_-]*$/, 'a source is written "node.port"');
const constant = z.strictObject({ value: z.json() });
const milliseconds = z.number().max(limits.milliseconds, `at most ${limits.milliseconds} ms, which is a year`);

export const source: z.ZodType<Source> = z.union([
  reference,
  z.array(reference),
  z.strictObject({ first: z.array(z.union([reference, constant])).min(1) }),
  z.strictObject({ named: z.record(name, reference) }),
  constant,
]);

const nodeDocument: z.ZodType<NodeDocument> = z.lazy(() =>
  z.strictObject({
    run: z.union([z.string(), flowDocument]),
    with: z.json().optional(),
    in: z.record(name, source),
    when: z.record(reference, z.json()).optional(),
    each: z
      .strictObject({ over: name, concurrency: z.int().positive().optional(), max: z.int().positive() })
      .optional(),
    repeat: z
      .strictObject({
        until: z.union([name, z.array(name).min(1)]).optional(),
        while: name.optional(),
        carry: z.record(name, name),
        max: z.int().positive(),
      })
      .optional(),
    policy: z
      .strictObject({
        timeoutMs: milliseconds.positive().optional(),
        retry: z
          .strictObject({ attempts: z.int().min(1).max(100), backoffMs: milliseconds.nonnegative().optional() })
          .optional(),
        onError: z.enum(["fail", "skip"]).optional(),
      })
      .optional(),
  }),
);

/** The schema of a flow document, version 1. */
export const flowDocument: z.ZodType<FlowDocument> = z.lazy(() =>
  z.strictObject({
    $schema: z.string().optional(),
    version: z.literal(1),
    name,
    input: z.record(name, portType),
    nodes: z.record(
      name.refine((id) => id !== "input", '"input" is the name of the flow\'s own input'),
      nodeDocument,
    ),
    output: z.record(name, source),
    serve: z
      .strictObject({
        query: name.optional(),
        history: name.optional(),
        text: name.optional(),
        with: z.record(name, z.json()).optional(),
      })
      .optional(),
  }),
);

/**
 * Reads a value as a flow document. It is measured before it is parsed, so that a hostile one costs only an error.
 * @throws TesseraError BAD_DOCUMENT (with one finding a place), DOCUMENT_TOO_LARGE.
 */
export function parseDocument(value: unknown): FlowDocument {
  const parsed = attempt(() => {
    measure(value);
    return flowDocument.safeParse(value);
  });
  if (parsed.success) return parsed.data;
  const found = issues(parsed.error.issues as Issue[], []);
  const findings = found
    .slice(0, limits.findings)
    .map(({ path, message }) => new TesseraError("BAD_DOCUMENT", message, { path: path.join(".") || "document" }));
  const more = found.length > findings.length ? ` (and ${found.length - findings.length} more than are listed)` : "";
  throw new TesseraError("BAD_DOCUMENT", `not a flow document: ${findings[0]!.path}: ${findings[0]!.message}${more}`, {
    findings,
    hint: "a flow has version, name, input, nodes and output",
  });
}

/** A value in memory may throw where it is read (a getter, a revoked proxy). */
function attempt<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (TesseraError.is(cause)) throw cause;
    throw new TesseraError("BAD_DOCUMENT", "the value cannot be read", { cause });
  }
}

interface Issue {
  code: string;
  path: PropertyKey[];
  message: string;
  errors?: Issue[][];
  keys?: string[];
  issues?: Issue[];
}

/** Zod hides what is wrong inside a union; the alternative that came furthest says it. */
function issues(list: readonly Issue[], prefix: PropertyKey[]): { path: string[]; message: string }[] {
  return list.flatMap((issue) => {
    const path = [...prefix, ...issue.path];
    if (issue.code === "invalid_union" && issue.errors?.length) {
      const deepest = issue.errors.reduce((best, next) => (depthOf(next) > depthOf(best) ? next : best));
      if (depthOf(deepest) > 0) return issues(deepest, path);
    }
    const inner = issue.code === "invalid_key" ? issue.issues?.[0]?.message : undefined;
    return [{ path: path.map(String), message: inner ?? issue.message }];
  });
}

const depthOf = (list: readonly Issue[]): number =>
  list.reduce((deepest, { path }) => Math.max(deepest, path.length), 0);

/** Refuses what is nested too deeply, is too large, or has a key that would set a prototype; walks without recursion. */
function measure(value: unknown): void {
  const stack: { value: unknown; nesting: number; depth: number }[] = [{ value, nesting: 0, depth: 0 }];
  const seen = new Set<unknown>();
  let nodes = 0;
  let values = 0;
  while (stack.length > 0) {
    const { value: next, nesting, depth } = stack.pop()!;
    if (typeof next !== "object" || next === null) continue;
    if (nesting > limits.nesting || depth > limits.depth)
      throw new TesseraError(
        "DOCUMENT_TOO_LARGE",
        `flows may be nested ${limits.depth} deep, values ${limits.nesting}`,
      );
    if (seen.has(next) && nesting > limits.nesting / 2)
      throw new TesseraError("BAD_DOCUMENT", "the value refers to itself, or holds the same part many times over");
    seen.add(next);
    const keys = Object.keys(next);
    values += keys.length;
    if (values > limits.values)
      throw new TesseraError("DOCUMENT_TOO_LARGE", `a document may hold ${limits.values} values`);
    if (keys.includes("__proto__"))
      throw new TesseraError("BAD_DOCUMENT", 'a document may not use the key "__proto__"');
    const isFlow = Object.hasOwn(next, "nodes") && Object.hasOwn(next, "version");
    const own = isFlow ? (next as { nodes: unknown }).nodes : undefined;
    if (typeof own === "object" && own !== null) nodes += Object.keys(own).length;
    if (nodes > limits.nodes) throw new TesseraError("DOCUMENT_TOO_LARGE", `a document may hold ${limits.nodes} nodes`);
    for (const key of keys)
      stack.push({
        value: (next as Record<string, unknown>)[key],
        nesting: nesting + 1,
        depth: depth + (isFlow ? 1 : 0),
      });
  }
}

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
