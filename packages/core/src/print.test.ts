import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { canonical } from "./canonical.js";
import type { FlowDocument, NodeDocument, Source } from "./document.js";
import { parseDocument } from "./document.js";
import type { TesseraError } from "./errors.js";
import { type Flow, first, flow, is, named, type Ref, value } from "./flow.js";
import { use } from "./operator.js";
import type { Json } from "./passage.js";
import { type PrintOptions, printFlow } from "./print.js";

const core: Record<string, unknown> = { flow, first, is, named, use, value };

/** Runs printed code for real: its imports become the parameters of a function. */
function evaluate(code: string, modules: Record<string, Record<string, unknown>> = {}): FlowDocument {
  const parameters = new Map<string, unknown>();
  const body = code
    .replace(/^import \{ (.*) \} from "(.*)";$/gm, (_, names: string, from: string) => {
      for (const name of names.split(", ")) {
        const [exported, local = exported] = name.split(" as ");
        const found = from === "@tessera/core" ? core : modules[from]!;
        expect(Object.hasOwn(found, exported!)).toBe(true);
        expect(parameters.has(local!)).toBe(false);
        parameters.set(local!, found[exported!]);
      }
      return "";
    })
    .replace(/^export const (\S+) = /m, "return ");
  const made = new Function(...parameters.keys(), `"use strict";${body}`)(...parameters.values()) as Flow<
    unknown,
    unknown
  >;
  return made.document;
}

/** code → JSON → code → JSON */
function roundTrip(document: FlowDocument, options?: PrintOptions, modules?: Record<string, Record<string, unknown>>) {
  const once = evaluate(printFlow(document, options), modules);
  expect(canonical(once)).toEqual(canonical(document));
  expect(parseDocument(JSON.parse(JSON.stringify(once)))).toEqual(once);
  expect(printFlow(once, options)).toBe(printFlow(document, options));
}

const json = (fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>).filter(
  (one) => !JSON.stringify(one).includes("__proto__"),
);

// names that a careless printer would write as they are
const names = [
  ...[
    "a",
    "b2",
    "node",
    "x-y",
    "x_y",
    "xY",
    "f",
    "flow",
    "input2",
    "then",
    "constructor",
    "toString",
    "default",
    "class",
  ],
  ...["await", "value", "named", "first", "is", "use", "arguments", "undefined", "A", "a-", "rank", "fuse", "Function"],
];
const ports = fc.constantFrom("hits", "query", "then", "name", "a-b", "length", "constructor", "ref", "value");
const config = fc.option(fc.dictionary(fc.constantFrom("top", "a b", "'", '"', "</script>", "\u2028"), json), {
  nil: undefined,
});
const policies = fc.option(
  fc.record(
    {
      timeoutMs: fc.integer({ min: 1, max: 9 }),
      retry: fc.constant({ attempts: 2 }),
      onError: fc.constantFrom("fail" as const, "skip" as const),
    },
    { requiredKeys: [] },
  ),
  { nil: undefined },
);
const operators = ["fuser.rank", "fuser.fuse", "data.first", "retriever.find"];

const withReference = (known: string[]): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom("input", ...known), ports)
    .map(([id, port]) => (id === "input" ? "input.query" : `${id}.${port}`));

const sourceFrom = (known: string[]): fc.Arbitrary<Source> => {
  const reference = withReference(known);
  const constant = fc.record({ value: json });
  return fc.oneof(
    reference,
    fc.array(reference, { maxLength: 3 }),
    fc.record({ first: fc.array(fc.oneof(reference, constant), { minLength: 1, maxLength: 3 }) }),
    fc.record({
      named: fc.dictionary(fc.constantFrom("x", "y-z", "then", "constructor"), reference, { noNullPrototype: true }),
    }),
    constant,
  );
};

const dictionaryOf = (known: string[]) =>
  fc.dictionary(ports, sourceFrom(known), { maxKeys: 3, noNullPrototype: true });

function nodeAfter(known: string[], depth: number): fc.Arbitrary<NodeDocument> {
  const how = fc.constantFrom<Pick<NodeDocument, "each" | "repeat">>(
    {},
    {},
    { each: { over: "query", max: 5 } },
    { each: { over: "query", max: 5, concurrency: 2 } },
    { repeat: { until: ["good", "done"], carry: { query: "hits" }, max: 3 } },
    { repeat: { while: "rest", carry: {}, max: 3 } },
  );
  const body: fc.Arbitrary<Pick<NodeDocument, "run" | "with">> = fc.oneof(
    { arbitrary: fc.record({ run: fc.constantFrom(...operators), with: config }), weight: 4 },
    ...(depth > 0 ? [{ arbitrary: fc.record({ run: documentAt(depth - 1) }), weight: 1 }] : []),
  );
  const when = fc.option(
    fc.dictionary(withReference(known), fc.constantFrom<Json>("deep", true, false, ["deep", "shallow"]), {
      minKeys: 1,
      maxKeys: 2,
      noNullPrototype: true,
    }),
    { nil: undefined },
  );
  return fc.tuple(body, dictionaryOf(known), when, policies, how).map(([ran, input, condition, policy, how]) => ({
    ...ran,
    in: input,
    ...(condition && { when: condition }),
    ...(policy && { policy }),
    ...how,
  }));
}

/** Flows of up to 6 nodes, each of which reads the input and nodes before it; written in any order. */
function documentAt(depth: number): fc.Arbitrary<FlowDocument> {
  return fc.uniqueArray(fc.constantFrom(...names), { maxLength: 6 }).chain((ids) =>
    fc
      .tuple(
        fc.constantFrom(...names),
        fc.tuple(...ids.map((_, i) => nodeAfter(ids.slice(0, i), depth))),
        dictionaryOf(ids),
        fc.boolean(),
        fc.option(fc.constant({ query: "query", with: { limit: 3 } }), { nil: undefined }),
      )
      .map(([name, nodes, output, backwards, serve]) => {
        const entries = nodes.map((node, i) => [ids[i]!, node] as const);
        return parseDocument(
          JSON.parse(
            JSON.stringify({
              version: 1,
              name,
              input: { query: "text", limit: { optional: "number" } },
              nodes: Object.fromEntries(backwards ? entries.reverse() : entries),
              output,
              serve,
            }),
          ),
        );
      }),
  );
}

describe("printFlow", () => {
  it("code → JSON → code → JSON is the identity on generated flows", () => {
    fc.assert(
      fc.property(documentAt(2), (document) => roundTrip(document)),
      { numRuns: process.env.TESSERA_LONG ? 1000 : 300 },
    );
  });

  it("and where operators are imported, under names that collide", () => {
    const constants: Record<string, [from: string, name: string]> = {
      "fuser.rank": ["@tessera/fuser", "rank"],
      "fuser.fuse": ["@tessera/fuser", "fuse"],
      "data.first": ["@tessera/data", "first"],
      "retriever.find": ["@tessera/retriever", "fuse"],
    };
    const modules: Record<string, Record<string, unknown>> = {};
    for (const [operator, [from, name]] of Object.entries(constants))
      modules[from] = { ...modules[from], [name]: (settings?: Json) => use(operator, settings) };
    const importOf = (operator: string) => {
      const [from, name] = constants[operator]!;
      return { from, name };
    };
    fc.assert(
      fc.property(documentAt(1), (document) => roundTrip(document, { importOf }, modules)),
      { numRuns: 300 },
    );
  });

  it("prints what a person would write", () => {
    const built = flow("ask-code", { query: "text" }, (f, { query }) => {
      const found: Record<string, Ref<Json>> = f.node("search", use("retriever.find", { top: 3 }), { query });
      return { hits: first(found.hits!, value([])) };
    });
    const importOf = () => ({ from: "@tessera/retriever", name: "search" });
    expect(printFlow(built.document, { importOf })).toBe(
      [
        'import { first, flow, value } from "@tessera/core";',
        'import { search } from "@tessera/retriever";',
        "",
        'export const askCode = flow("ask-code", {"query":"text"}, (f, input) => {',
        '  const search2 = f.node("search", search({"top":3}), { query: input.query });',
        "  return { hits: first(search2.hits, value([])) };",
        "});",
        "",
      ].join("\n"),
    );
  });

  it("refuses nodes that have no order", () => {
    const of = (nodes: Record<string, NodeDocument>): FlowDocument => ({
      version: 1,
      name: "x",
      input: {},
      nodes,
      output: {},
    });
    const codeOf = (document: FlowDocument) => {
      try {
        printFlow(document);
        return "printed";
      } catch (error) {
        return (error as TesseraError).code;
      }
    };
    expect(codeOf(of({ a: { run: "o.o", in: { x: "a.y" } } }))).toBe("CYCLE");
    expect(codeOf(of({ a: { run: "o.o", in: { x: "b.y" } }, b: { run: "o.o", in: {}, when: { "a.y": true } } }))).toBe(
      "CYCLE",
    );
    expect(codeOf(of({ a: { run: "o.o", in: { x: "toString.y" } } }))).toBe("UNKNOWN_NODE");
    const line = Array.from({ length: 10_000 }, (_, i): [string, NodeDocument] => [
      `n${i}`,
      { run: "o.o", in: i < 9999 ? { x: `n${i + 1}.y` } : {} },
    ]);
    expect(codeOf(of(Object.fromEntries(line)))).toBe("printed");
  });
});
