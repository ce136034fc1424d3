import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { canonical, canonicalJson, hashDocument } from "./canonical.js";
import { type FlowDocument, parseDocument, readsOf, referencesOf, splitReference } from "./document.js";
import { TesseraError } from "./errors.js";
import { limits } from "./limits.js";

const good: FlowDocument = {
  version: 1,
  name: "ask",
  input: { query: "text" },
  nodes: {
    search: { run: "retriever.sparse", with: { top: 5 }, in: { query: "input.query" } },
    inner: {
      run: { version: 1, name: "inner", input: { q: "text" }, nodes: {}, output: { q: "input.q" } },
      in: { q: "input.query" },
      when: { "search.found": true },
    },
  },
  output: { hits: "search.hits", text: { first: ["inner.q", { value: "none" }] } },
};

/** Parses, and requires a document or a TesseraError within a second of CPU time. */
function attempt(value: unknown): FlowDocument | TesseraError {
  const start = process.cpuUsage();
  try {
    return parseDocument(value);
  } catch (error) {
    expect(error).toBeInstanceOf(TesseraError);
    return error as TesseraError;
  } finally {
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1000).toBeLessThan(1000);
  }
}

const nested = (depth: number): unknown => {
  let flow: unknown = { version: 1, name: "leaf", input: {}, nodes: {}, output: {} };
  for (let i = 0; i < depth; i++)
    flow = { version: 1, name: "level", input: {}, nodes: { inner: { run: flow, in: {} } }, output: {} };
  return flow;
};
const wide = (count: number): unknown => ({
  ...good,
  nodes: Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, { run: "a.b", in: {} }])),
});
const listOf = (depth: number): unknown => {
  let type: unknown = "text";
  for (let i = 0; i < depth; i++) type = { list: type };
  return type;
};

describe("parseDocument", () => {
  it("gives back a good document, and one that went through JSON", () => {
    expect(parseDocument(good)).toEqual(good);
    expect(parseDocument(JSON.parse(JSON.stringify(good)))).toEqual(good);
  });

  it("accepts what is within the limits", () => {
    expect(attempt(nested(limits.depth - 1))).toHaveProperty("name", "level");
    expect(attempt(wide(limits.nodes))).toHaveProperty("name", "ask");
    expect(attempt({ ...good, input: { deep: listOf(200) } })).toHaveProperty("name", "ask");
  });

  it.each<[string, () => unknown]>([
    ["flows nested 1,000 deep", () => nested(1000)],
    ["values nested 100,000 deep", () => ({ ...good, input: { deep: listOf(100_000) } })],
    ["more nodes than the limit", () => wide(limits.nodes + 1)],
    [
      "nodes spread over nested flows",
      () => ({ ...good, nodes: { a: { run: wide(6000), in: {} }, b: { run: wide(6000), in: {} } } }),
    ],
    [
      "a million values",
      () => ({ ...good, nodes: { a: { run: "a.b", with: new Array(limits.values + 1).fill(0), in: {} } } }),
    ],
  ])("refuses %s as too large", (_, make) => {
    expect(attempt(make())).toMatchObject({ code: "DOCUMENT_TOO_LARGE" });
  });

  it("a value that refers to itself ends with an error", () => {
    const flow = { ...good, nodes: {} as Record<string, unknown> };
    flow.nodes.self = { run: flow, in: {} };
    flow.nodes.again = { run: flow, in: {} };
    const json: Record<string, unknown> = {};
    json.self = [json, json];
    for (const value of [flow, { ...good, nodes: { a: { run: "a.b", with: json, in: {} } } }, json])
      expect(attempt(value)).toBeInstanceOf(TesseraError);
  });

  it("a value that holds its parts many times over ends with an error", () => {
    let part: unknown = "text";
    for (let i = 0; i < 60; i++) part = { list: part, optional: part };
    expect(attempt({ ...good, input: { part } })).toMatchObject({ code: "DOCUMENT_TOO_LARGE" });
  });

  it("many thousand faults are counted, and the first thousand told", () => {
    const named = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`n${i}`, 0]));
    const error = attempt({ ...good, output: { all: { named } } }) as TesseraError;
    expect(error).toMatchObject({ code: "BAD_DOCUMENT" });
    expect(error.findings.length).toBe(limits.findings);
    expect(error.message).toContain("19000 more");
  });

  it.each(["__proto__", "constructor", "prototype", "toString", "hasOwnProperty"])(
    "the key %s is a name like any other or an error, and pollutes nothing",
    (key) => {
      const text = JSON.stringify({ ...good, KEY: 1 });
      const places = [
        text.replace('"KEY":1', `"${key}":{"polluted":true}`),
        text.replace('"search":', `"${key}":`),
        text.replace('"top":', `"${key}":`),
        text.replace('{"query":"text"}', `{"${key}":"text"}`),
        text.replace('{"query":"input.query"}', `{"${key}":{"value":{"${key}":{"polluted":true}}}}`),
        text.replace('"search.found":true', `"${key}.${key}":true`),
      ].map((place) => place.replace(',"KEY":1', ""));
      for (const place of places) {
        const outcome = attempt(JSON.parse(place));
        if (!(outcome instanceof TesseraError)) expect(outcome).toEqual(JSON.parse(place));
        else if (key === "__proto__") expect(outcome.code).toBe("BAD_DOCUMENT");
      }
      expect(({} as Record<string, unknown>).polluted).toBeUndefined();
      expect(Object.getPrototypeOf({})).toBe(Object.prototype);
    },
  );

  it("values that cannot be read end with an error", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const throwing = {
      get version(): never {
        throw new Error("no");
      },
      nodes: {},
    };
    for (const value of [proxy, throwing, new Map(), new Date(), () => 0, Symbol("s"), 10n, undefined, Number.NaN])
      expect(attempt(value)).toMatchObject({ code: "BAD_DOCUMENT" });
  });

  it("says where each fault is, all at once", () => {
    const error = attempt({
      ...good,
      version: 2,
      nodes: { ...good.nodes, search: { run: "a.b", in: { query: "inputquery" } }, input: { run: "a.b", in: {} } },
    }) as TesseraError;
    expect(error.findings.map(({ path }) => path).sort()).toEqual(["nodes.input", "nodes.search.in.query", "version"]);
    expect(error.hint).toBeDefined();
  });

  it("any JSON is a document or a TesseraError", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => void attempt(value)),
      { numRuns: 300 },
    );
  });

  it("any part of a good document replaced by anything is a document or a TesseraError", () => {
    const paths: string[][] = [];
    const walk = (value: unknown, path: string[]) => {
      if (path.length > 0) paths.push(path);
      if (typeof value === "object" && value !== null)
        for (const [key, part] of Object.entries(value)) walk(part, [...path, key]);
    };
    walk(good, []);
    fc.assert(
      fc.property(
        fc.constantFrom(...paths),
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true, withNullPrototype: true }),
        (path, value) => {
          const copy = structuredClone(good);
          let at = copy as unknown as Record<string, unknown>;
          for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
          at[path.at(-1)!] = value;
          attempt(copy);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("references", () => {
  it("are read from every kind of source, in order", () => {
    expect(referencesOf("a.b")).toEqual(["a.b"]);
    expect(referencesOf(["a.b", "c.d"])).toEqual(["a.b", "c.d"]);
    expect(referencesOf({ first: ["a.b", { value: 1 }, "c.d"] })).toEqual(["a.b", "c.d"]);
    expect(referencesOf({ named: { x: "a.b", y: "c.d" } })).toEqual(["a.b", "c.d"]);
    expect(referencesOf({ value: "a.b" })).toEqual([]);
    expect(readsOf(good.nodes.inner!)).toEqual(["search.found", "input.query"]);
    expect(splitReference("node.port")).toEqual(["node", "port"]);
  });
});

/** The same value with the keys of every object in another order. */
function shuffled(value: unknown, random: () => number): unknown {
  if (Array.isArray(value)) return value.map((member) => shuffled(member, random));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, part]) => [key, shuffled(part, random), random()] as const);
  return Object.fromEntries(entries.sort((a, b) => a[2] - b[2]).map(([key, part]) => [key, part]));
}

describe("the canonical form", () => {
  it("is the same text for equal values only, whatever the order of keys", () => {
    const values = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
    fc.assert(
      fc.property(values, values, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (a, b, stream) => {
        expect(canonicalJson(shuffled(a, () => stream.next().value))).toBe(canonicalJson(a));
        expect(JSON.parse(canonicalJson(a))).toEqual(a);
        expect(canonicalJson(a) === canonicalJson(b)).toBe(equal(a, b));
      }),
    );
  });

  it("has a hash that does not depend on spelling", () => {
    const spelt: FlowDocument = {
      output: good.output,
      $schema: "https://example.org/flow.json",
      nodes: {
        inner: { ...good.nodes.inner!, with: {}, policy: {}, when: { "search.found": [true] } },
        search: { ...good.nodes.search!, when: {}, with: { top: 5 } },
      },
      input: good.input,
      name: "ask",
      version: 1,
    };
    expect(hashDocument(spelt)).toBe(hashDocument(good));
    expect(canonical(canonical(spelt))).toEqual(canonical(spelt));
    expect(hashDocument(JSON.parse(JSON.stringify(spelt)))).toBe(hashDocument(good));
  });

  it.each<[string, (document: FlowDocument) => unknown]>([
    ["the name", (document) => Object.assign(document, { name: "other" })],
    ["a config", ({ nodes }) => Object.assign(nodes.search!, { with: { top: 6 } })],
    ["an operator", ({ nodes }) => Object.assign(nodes.search!, { run: "retriever.dense" })],
    ["a wire", ({ nodes }) => Object.assign(nodes.search!.in, { query: { value: "x" } })],
    ["a condition", ({ nodes }) => Object.assign(nodes.inner!.when!, { "search.found": false })],
    ["a nested flow", ({ nodes }) => Object.assign(nodes.inner!.run, { name: "other" })],
    ["a policy", ({ nodes }) => Object.assign(nodes.search!, { policy: { timeoutMs: 1 } })],
    ["an input's type", ({ input }) => Object.assign(input, { query: "any" })],
    ["an output", ({ output }) => Object.assign(output, { hits: { first: ["search.hits"] } })],
  ])("has a hash that changes with %s", (_, change) => {
    const copy = structuredClone(good);
    change(copy);
    expect(hashDocument(copy)).not.toBe(hashDocument(good));
  });
});

/** Deep equality of JSON values, written out: the oracle of the canonical text. */
function equal(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [Object.keys(a), Object.keys(b)];
  return (
    left.length === right.length &&
    left.every(
      (key) => Object.hasOwn(b, key) && equal((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
    )
  );
}
