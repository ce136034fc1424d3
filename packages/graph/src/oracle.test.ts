import { describe, expect, it } from "@jest/globals";
import { type FlowDocument, type NodeDocument, type Source, TesseraError } from "@tessera/core";
import { splitReference } from "@tessera/core/internal";
import { countOf } from "@tessera/testkit";
import fc from "fast-check";
import { checkFlow, compile } from "./compile.js";
import { prune, testKit } from "./kit.fixture.js";

type Row = Record<string, unknown>;
const missing = Symbol("missing");

/** The rules of a flow, run in the plainest way: one recursive function, no queue, no slots, no plan. */
function naive(document: FlowDocument, input: Row): Row {
  const rows = new Map<string, Row | typeof missing>([["input", input]]);
  const at = (reference: string): unknown => {
    const [id, port] = splitReference(reference);
    if (!rows.has(id)) rows.set(id, run(document.nodes[id]!));
    const row = rows.get(id)!;
    return row === missing || row[port] === undefined ? missing : row[port];
  };
  const read = (source: Source): unknown => {
    if (typeof source === "string") return at(source);
    if (Array.isArray(source)) {
      const found = source.map(at).filter((value) => value !== missing);
      return found.length === 0 && source.length > 0 ? missing : found;
    }
    if ("value" in source) return source.value;
    if ("named" in source) {
      const found = Object.entries(source.named).map(([name, reference]) => [name, at(reference)]);
      const kept = found.filter(([, value]) => value !== missing);
      return kept.length === 0 && found.length > 0 ? missing : Object.fromEntries(kept);
    }
    for (const member of source.first) {
      const value = typeof member === "string" ? at(member) : member.value;
      if (value !== missing) return value;
    }
    return missing;
  };
  const run = (node: NodeDocument): Row | typeof missing => {
    for (const [reference, wanted] of Object.entries(node.when ?? {}))
      if (!(Array.isArray(wanted) ? wanted : [wanted]).includes(at(reference) as never)) return missing;
    const given: Row = {};
    for (const [port, source] of Object.entries(node.in)) {
      const value = read(source);
      if (value === missing) {
        if (port !== "also") return missing;
      } else given[port] = value;
    }
    if (node.each) {
      const list = given[node.each.over] as unknown[];
      const rows = list.map((element) => once(node, { ...given, [node.each!.over]: element }));
      const ports = typeof node.run === "string" ? ["value"] : Object.keys(node.run.output);
      return Object.fromEntries(ports.map((port) => [port, rows.map((row) => row[port])]));
    }
    if (!node.repeat) return once(node, given);
    let carried = given;
    for (let turn = 1; ; turn++) {
      const row = once(node, carried);
      if (row[node.repeat.until as string] === true) return { ...row, turns: turn, stopReason: "until" };
      if (turn === node.repeat.max) return { ...row, turns: turn, stopReason: "max" };
      carried = {
        ...carried,
        ...Object.fromEntries(Object.entries(node.repeat.carry).map(([to, from]) => [to, row[from]])),
      };
    }
  };
  const once = (node: NodeDocument, given: Row): Row => {
    if (typeof node.run !== "string") return naive(node.run, given);
    const value = given.value as string;
    const add = (node.with as { add?: string } | undefined)?.add ?? "";
    switch (node.run) {
      case "test.add":
      case "test.wait":
        return { value: value + add };
      case "test.choose":
        return { choice: "ab".includes(value[0]!) ? value[0] : "c", long: value.length > 3 };
      case "test.join":
        return {
          value: [...(given.values as string[]), ...(given.also === undefined ? [] : [`also ${given.also}`])].join(","),
        };
      case "test.names":
        return { value: JSON.stringify(given.values) };
      case "test.split":
        return { values: value === "" ? [] : value.split(",") };
      case "test.maybe":
        return { value, ...(value.includes("extra") && { extra: "extra" }) };
      default:
        throw new Error(node.run);
    }
  };
  const output: Row = {};
  for (const [name, source] of Object.entries(document.output)) {
    const value = read(source);
    if (value !== missing) output[name] = value;
  }
  return output;
}

const decisions = 2;
const inputs = Array.from({ length: decisions }, (_, i) => `c${i}`);
const pick = <T>(list: readonly T[], at: number): T => list[at % list.length]!;

/** A random flow over the test operators: branches, joins of every kind, nested flows, lists and loops. */
const flows: fc.Arbitrary<FlowDocument> = fc
  .array(
    fc.record({
      kind: fc.nat(8),
      reads: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
      when: fc.option(
        fc.record({
          decision: fc.nat(),
          values: fc.subarray(["a", "b", "c"], { minLength: 1 }),
          flag: fc.boolean(),
          long: fc.boolean(),
        }),
      ),
      constant: fc.boolean(),
      slow: fc.boolean(),
    }),
    { minLength: 1, maxLength: 9 },
  )
  .chain((parts) => fc.tuple(fc.constant(parts), fc.nat(3), fc.array(fc.nat(), { minLength: 1, maxLength: 3 })))
  .map(([parts, shape, ends]) => {
    const nodes: Record<string, NodeDocument> = {};
    const texts = inputs.map((name) => `input.${name}`);
    for (const name of inputs) nodes[`choose-${name}`] = { run: "test.choose", in: { value: `input.${name}` } };
    parts.forEach(({ kind, reads, when, constant, slow }, index) => {
      const id = `n${index}`;
      const refs = reads.map((at) => pick(texts, at));
      const add = (source: Source): NodeDocument => ({
        run: slow ? "test.wait" : "test.add",
        with: { add: `${index}` },
        in: { value: source },
      });
      const inner: FlowDocument = {
        version: 1,
        name: "inner",
        input: { value: "text" },
        nodes: { a: add("input.value"), d: { run: "test.choose", in: { value: "input.value" } } },
        output: { value: "a.value", good: "d.long" },
      };
      const makers: (() => NodeDocument)[] = [
        () => add(refs[0]!),
        () => ({ run: "test.join", in: { values: refs } }),
        () => ({ run: "test.join", in: { values: refs.slice(0, 1), also: refs.at(-1)! } }),
        () => add({ first: constant ? [...refs, { value: "k" }] : refs }),
        () => ({
          run: "test.names",
          in: { values: { named: Object.fromEntries(refs.map((ref, at) => [`x${at}`, ref])) } },
        }),
        () => ({ run: inner, in: { value: refs[0]! } }),
        () => ({ run: inner, in: { value: refs[0]! }, repeat: { until: "good", carry: { value: "value" }, max: 4 } }),
        () => ({ run: "test.maybe", in: { value: refs[0]! } }),
        () => ({ run: "test.split", in: { value: refs[0]! } }),
      ];
      const node = makers[kind]!();
      if (when) {
        const decider = `choose-${pick(inputs, when.decision)}`;
        node.when = when.flag ? { [`${decider}.long`]: when.long } : { [`${decider}.choice`]: when.values };
      }
      nodes[id] = node;
      if (kind === 8) {
        nodes[`${id}-each`] = {
          run: "test.wait",
          with: { add: "e" },
          in: { value: `${id}.values` },
          each: { over: "value", max: 99 },
        };
        nodes[`${id}-join`] = { run: "test.join", in: { values: `${id}-each.value` } };
        texts.push(`${id}-join.value`);
      } else texts.push(`${id}.value`, ...(kind === 7 ? [`${id}.extra`] : []));
    });
    const members = ends.map((at) => pick(texts, Math.max(0, texts.length - 1 - (at % 4))));
    const sources: Source[] = [members[0]!, members, { first: members }, { first: [...members, { value: "end" }] }];
    const document: FlowDocument = {
      version: 1,
      name: "random",
      input: Object.fromEntries(inputs.map((name) => [name, "text" as const])),
      nodes,
      output: { out: sources[shape]! },
    };
    return prune(document);
  });

const everyInput = (): Row[] =>
  inputs.reduce<Row[]>(
    (rows, name) =>
      rows.flatMap((row) => ["a", "aaaa", "b", "b,extra", "c", "cccc"].map((value) => ({ ...row, [name]: value }))),
    [{}],
  );

describe("the scheduler and a naive interpreter", () => {
  it("give the same output for 300 random flows under every decision", async () => {
    const kit = testKit();
    let compiled = 0;
    await fc.assert(
      fc.asyncProperty(flows, async (document) => {
        const { findings } = checkFlow(document, kit.all);
        const starved = findings.filter(({ code }) => code === "STARVED_OUTPUT");
        expect(findings.filter((finding) => !starved.includes(finding))).toEqual([]);
        if (starved.length > 0) return;
        compiled++;
        const ready = await compile(document, { operators: kit.all, validate: true });
        for (const input of everyInput()) {
          const { output, status } = await ready.run(input);
          expect(status).toBe("done");
          expect(output).toEqual(naive(document, input));
          expect(Object.keys(output)).toEqual(["out"]);
        }
      }),
      { numRuns: 300 },
    );
    expect(compiled).toBeGreaterThan(100);
  });

  it("a flow is called starved only where some decision leaves its output empty", () => {
    const kit = testKit();
    let starved = 0;
    fc.assert(
      fc.property(flows, (document) => {
        const { findings } = checkFlow(document, kit.all);
        if (!findings.some(({ code }) => code === "STARVED_OUTPUT")) return;
        // an optional port may stay empty or not whatever the decisions are: only flows without one can be tried out
        if (Object.values(document.nodes).some(({ run }) => run === "test.maybe")) return;
        expect(everyInput().some((input) => !("out" in naive(document, input)))).toBe(true);
        starved++;
      }),
      { numRuns: 500 },
    );
    expect(starved).toBeGreaterThan(50);
  });
});

/** Damages one place of a document. */
const damaged = fc
  .tuple(
    flows,
    fc.nat(),
    fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom("__proto__", "constructor", "n0.value", "input", {}, [], null),
    ),
  )
  .map(([document, at, junk]) => {
    const copy = JSON.parse(JSON.stringify(document)) as Record<string, unknown>;
    const places: [Record<string, unknown>, string][] = [];
    const walk = (value: unknown): void => {
      if (typeof value !== "object" || value === null) return;
      for (const key of Object.keys(value)) {
        places.push([value as Record<string, unknown>, key]);
        walk((value as Record<string, unknown>)[key]);
      }
    };
    walk(copy);
    const [owner, key] = places[at % places.length]!;
    if (at % 3 === 0) delete owner[key];
    else if (at % 3 === 1) owner[key] = junk;
    else
      Object.defineProperty(owner, typeof junk === "string" ? junk : JSON.stringify(junk ?? null).slice(0, 20), {
        value: owner[key],
        enumerable: true,
        configurable: true,
        writable: true,
      });
    return copy;
  });

describe("hostile documents", () => {
  it("each of thousands of documents, half of them damaged, compiles or gets a TesseraError; none pollutes", async () => {
    const kit = testKit();
    const before = Object.getOwnPropertyNames(Object.prototype).length;
    await fc.assert(
      fc.asyncProperty(fc.oneof(flows, damaged), async (document) => {
        try {
          const ready = await compile(document, { operators: kit.all });
          await ready.run({ c0: "a", c1: "bbbb" }).catch((error) => expect(TesseraError.is(error)).toBe(true));
        } catch (error) {
          if (!TesseraError.is(error)) throw error;
        }
      }),
      { numRuns: countOf({ usual: 1_500, long: 10_000 }), endOnFailure: true },
    );
    expect(Object.getOwnPropertyNames(Object.prototype)).toHaveLength(before);
    expect(({} as Row).run).toBeUndefined();
  });

  it.each([
    ["nested 1,000 flows deep", () => nested(1000), "DOCUMENT_TOO_LARGE"],
    ["with 10,001 nodes", () => wide(10_001), "DOCUMENT_TOO_LARGE"],
    [
      "named after a prototype",
      () =>
        JSON.parse('{"version":1,"name":"p","input":{},"nodes":{"__proto__":{"run":"test.add","in":{}}},"output":{}}'),
      "BAD_DOCUMENT",
    ],
    [
      "reading what every object has",
      () => ({ version: 1, name: "p", input: {}, nodes: {}, output: { x: "constructor.name" } }),
      "INVALID_FLOW",
    ],
    ["referring to itself", () => circular(), "BAD_DOCUMENT"],
    ["no object", () => 7, "BAD_DOCUMENT"],
  ])("a document %s is refused quickly", async (_, make, code) => {
    await expect(compile(make(), { operators: testKit().all })).rejects.toMatchObject({
      code: expect.stringMatching(new RegExp(`${code}|DOCUMENT_TOO_LARGE`)),
    });
  });

  it("10,000 nodes in a line and side by side compile", async () => {
    const ready = await compile(wide(10_000), { operators: testKit().all });
    expect((await ready.run({ value: "v" })).spent.steps).toBe(10_000);
  });
});

function nested(depth: number): FlowDocument {
  let run: string | FlowDocument = "test.add";
  for (let i = 0; i < depth; i++)
    run = {
      version: 1,
      name: "n",
      input: { value: "text" },
      nodes: { a: { run, in: { value: "input.value" } } },
      output: { value: "a.value" },
    };
  return run as FlowDocument;
}

function wide(count: number): FlowDocument {
  const nodes: Record<string, NodeDocument> = {};
  for (let i = 0; i < count - 1; i++)
    nodes[`n${i}`] = { run: "test.add", in: { value: i % 2 === 0 ? "input.value" : `n${i - 1}.value` } };
  nodes.join = { run: "test.join", in: { values: Array.from({ length: count - 1 }, (_, i) => `n${i}.value`) } };
  return { version: 1, name: "wide", input: { value: "text" }, nodes, output: { value: "join.value" } };
}

function circular(): unknown {
  const document: Row = { version: 1, name: "c", input: {}, nodes: {}, output: {} };
  document.nodes = { a: { run: document, in: {} } };
  return document;
}
