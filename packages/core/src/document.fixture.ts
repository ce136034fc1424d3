// for tests only: the naive twin of the reader of documents, and values that it is compared on
import fc from "fast-check";
import type { FlowDocument } from "./document.js";
import { flowDocument } from "./document-schema.js";

interface Issue {
  code: string;
  path: PropertyKey[];
  message: string;
  errors?: Issue[][];
  issues?: Issue[];
}

export interface Told {
  readonly path: string;
  readonly message: string;
}

/** Reads a document by its schema alone, in one go. */
export function naiveRead(value: unknown): { document: FlowDocument } | { told: Told[] } {
  const parsed = flowDocument.safeParse(value);
  if (parsed.success) return { document: parsed.data };
  return { told: told(parsed.error.issues as Issue[], []) };
}

const depthOf = (list: readonly Issue[]): number => Math.max(0, ...list.map(({ path }) => path.length));

/** Of the alternatives of a union, the one that came furthest says what is wrong. */
const told = (list: readonly Issue[], prefix: PropertyKey[]): Told[] =>
  list.flatMap((issue) => {
    const path = [...prefix, ...issue.path];
    if (issue.code === "invalid_union" && issue.errors?.length) {
      const deepest = issue.errors.reduce((best, next) => (depthOf(next) > depthOf(best) ? next : best));
      if (depthOf(deepest) > 0) return told(deepest, path);
    }
    const message = (issue.code === "invalid_key" && issue.issues?.[0]?.message) || issue.message;
    return [{ path: path.map(String).join(".") || "document", message }];
  });

const name = fc.constantFrom("a", "b", "query", "text", "constructor", "input", "x-1", "toString");
const reference = fc.tuple(name, name).map(([node, port]) => `${node}.${port}`);
// a document may not use the key "__proto__", which fast-check draws now and then
const json = fc
  .jsonValue({ maxDepth: 2 })
  .filter((one) => !JSON.stringify(one).includes("__proto__")) as fc.Arbitrary<never>;
const constant = fc.record({ value: json });
const source = fc.oneof(
  reference,
  fc.array(reference, { maxLength: 3 }),
  fc.record({ first: fc.array(fc.oneof(reference, constant), { minLength: 1, maxLength: 3 }) }),
  fc.record({ named: fc.dictionary(name, reference, { maxKeys: 3 }) }),
  constant,
);
const structure = fc.letrec((tie) => ({
  any: fc.record(
    {
      type: fc.constantFrom("string", "object", "array", "null"),
      enum: fc.array(json, { minLength: 1, maxLength: 2 }),
      const: json,
      items: tie("any"),
      properties: fc.dictionary(name, tie("any"), { maxKeys: 2 }),
      required: fc.array(name, { maxLength: 2 }),
    },
    { requiredKeys: [] },
  ),
})).any;
const type = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom("text", "number", "flag", "hits", "any"),
    fc.record({ choice: fc.array(fc.string(), { minLength: 1, maxLength: 3 }) }),
    structure,
    fc.record({ list: tie("any") }),
    fc.record({ named: tie("any") }),
    fc.record({ optional: tie("any") }),
  ),
})).any;
const count = fc.integer({ min: 1, max: 9 });

/** Flow documents, nested ones too. */
export const documents: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  flow: fc.record(
    {
      $schema: fc.string(),
      version: fc.constant(1),
      name,
      input: fc.dictionary(name, type, { maxKeys: 2 }),
      nodes: fc.dictionary(
        name.filter((id) => id !== "input"),
        tie("node"),
        { maxKeys: 2 },
      ),
      output: fc.dictionary(name, source, { maxKeys: 2 }),
      serve: fc.record(
        { query: name, text: name, with: fc.dictionary(name, json, { maxKeys: 2 }) },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: ["version", "name", "input", "nodes", "output"] },
  ),
  node: fc.record(
    {
      run: fc.oneof({ maxDepth: 2, withCrossShrink: true }, fc.string(), tie("flow")),
      with: json,
      in: fc.dictionary(name, source, { maxKeys: 3 }),
      when: fc.dictionary(reference, json, { maxKeys: 2 }),
      each: fc.record({ over: name, concurrency: count, max: count }, { requiredKeys: ["over", "max"] }),
      repeat: fc.record(
        {
          until: fc.oneof(name, fc.array(name, { minLength: 1, maxLength: 2 })),
          carry: fc.dictionary(name, name),
          max: count,
        },
        { requiredKeys: ["carry", "max"] },
      ),
      policy: fc.record(
        { timeoutMs: count, retry: fc.record({ attempts: count }), onError: fc.constantFrom("fail", "skip") },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: ["run", "in"] },
  ),
})).flow;

/** What is put somewhere into a document to break it, or to change it. */
const stranger = fc.oneof(
  fc.constantFrom<unknown>(0, -1, 1.5, "", "no reference", "a.b", "text", null, true, [], {}, [5], ["a.b", 7], {
    value: 1,
  }),
  fc.constantFrom<unknown>(
    { first: [] },
    { first: ["a.b", 3] },
    { named: { "0": "a.b" } },
    { choice: [] },
    { list: "no" },
  ),
  json,
  source,
  type,
);

/** A document, and changes to it: which part (by a number), and what is done there. */
export const broken: fc.Arbitrary<unknown> = fc
  .tuple(
    documents,
    fc.array(
      fc.record({
        at: fc.nat(),
        how: fc.constantFrom("put", "remove", "add", "rename"),
        key: fc.oneof(name, fc.string()),
        value: stranger,
      }),
      { minLength: 1, maxLength: 3 },
    ),
  )
  .map(([document, changes]) => {
    const whole = structuredClone({ document });
    for (const { at, how, key, value } of changes) {
      const places: [parent: Record<string, unknown>, key: string][] = [];
      const walk = (parent: object) => {
        for (const [key, member] of Object.entries(parent)) {
          places.push([parent as Record<string, unknown>, key]);
          if (typeof member === "object" && member !== null) walk(member);
        }
      };
      walk(whole);
      const [parent, place] = places[at % places.length]!;
      const copy = structuredClone(value);
      if (how === "put") parent[place] = copy;
      else if (parent === (whole as never)) continue;
      else if (Array.isArray(parent)) parent.push(copy);
      else if (how === "add" && key !== "__proto__") parent[key] = copy;
      else {
        if (how === "rename" && key !== "__proto__") parent[key] = parent[place];
        delete parent[place];
      }
    }
    return whole.document;
  });
