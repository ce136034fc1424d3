import { describe, expect, it } from "@jest/globals";
import type { FlowDocument, NodeDocument, Source } from "@tessera/core";
import fc from "fast-check";
import { checkFlow } from "./compile.js";
import { everyBound, everyOutput } from "./explore.fixture.js";
import { prune, testKit } from "./kit.fixture.js";

const pick = <T>(list: readonly T[], at: number): T => list[at % list.length]!;

interface Part {
  kind: number;
  reads: number[];
  when: { decision: number; mask: number }[];
  skip: boolean;
  constant: boolean;
}

/** Small flows full of decisions: conditions on several, joins of every kind, errors that are skipped, optional ports. */
const flows: fc.Arbitrary<FlowDocument> = fc
  .record({
    optional: fc.boolean(),
    parts: fc.array(
      fc.record({
        kind: fc.nat(6),
        reads: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
        when: fc.array(fc.record({ decision: fc.nat(), mask: fc.integer({ min: 1, max: 7 }) }), { maxLength: 2 }),
        skip: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
        constant: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
      }),
      { minLength: 2, maxLength: 9 },
    ),
    ends: fc.array(fc.record({ shape: fc.nat(3), members: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }) }), {
      minLength: 1,
      maxLength: 3,
    }),
  })
  .map(({ optional, parts, ends }) => {
    const nodes: Record<string, NodeDocument> = { router: { run: "test.choose", in: { value: "input.value" } } };
    const texts = ["input.value", ...(optional ? ["input.also"] : [])];
    const decisions = ["input.flag", "router.choice", "router.long"];
    for (const [index, part] of parts.entries()) addNode(nodes, texts, decisions, part, index);
    const output = Object.fromEntries(
      ends.map(({ shape, members }, at): [string, Source] => {
        const refs = members.map((member) => pick(texts, Math.max(0, texts.length - 1 - (member % 5))));
        const shapes: Source[] = [
          refs[0]!,
          refs,
          { first: refs },
          { named: Object.fromEntries(refs.map((r, i) => [`x${i}`, r])) },
        ];
        return [`out${at}`, shapes[shape]!];
      }),
    );
    const input = { value: "text", flag: "flag", also: { optional: "text" } } as const;
    return prune({ version: 1, name: "random", input, nodes, output });
  });

function addNode(nodes: Record<string, NodeDocument>, texts: string[], decisions: string[], part: Part, index: number) {
  const { kind, reads, constant, skip } = part;
  const id = `n${index}`;
  const refs = reads.map((at) => pick(texts, at));
  const joined: Source = kind === 1 ? { first: constant ? [...refs, { value: "k" }] : refs } : refs[0]!;
  const node: NodeDocument =
    kind === 2
      ? { run: "test.join", in: { values: refs } }
      : kind === 3
        ? { run: "test.join", in: { values: [refs[0]!], also: refs.at(-1)! } }
        : {
            run: pick(["test.costly", "test.add", "", "", "test.choose", "test.maybe", "test.add"], kind),
            in: { value: joined },
          };
  for (const { decision, mask } of part.when) {
    const reference = pick(decisions, decision);
    const all = reference.endsWith("choice") ? ["a", "b", "c"] : [false, true];
    const values = all.filter((_, bit) => mask & (1 << bit));
    node.when = { ...node.when, [reference]: values.length > 0 ? values : [all[0]!] };
  }
  if (skip) node.policy = { onError: "skip" };
  nodes[id] = node;
  if (kind === 4) decisions.push(`${id}.choice`, `${id}.long`);
  else texts.push(`${id}.value`, ...(kind === 5 ? [`${id}.extra`] : []));
}

describe("the check of decisions", () => {
  it("finds what trying every combination finds, on 1,000 random flows", () => {
    const { all } = testKit();
    const seen = { starved: 0, reached: 0, decided: 0 };
    fc.assert(
      fc.property(flows, (document) => {
        const { findings, plan, bound } = checkFlow(document, all);
        const expected = everyOutput(plan);
        if (expected.some(({ code }) => code === "TOO_MANY_COMBINATIONS")) return;
        expect(findings.map(({ code, path }) => [code, path])).toEqual(expected.map(({ code, path }) => [code, path]));
        if (expected.length === 0) expect(bound).toEqual(everyBound(plan));
        if (expected.length > 0) seen.starved++;
        else seen.reached++;
        if (Object.values(document.nodes).filter(({ when }) => when).length > 2) seen.decided++;
      }),
      { numRuns: 1000 },
    );
    expect(Math.min(seen.starved, seen.reached, seen.decided)).toBeGreaterThan(100);
  });

  it("names reasons that are enough: what is decided so leaves the output empty", () => {
    const { all } = testKit();
    let named = 0;
    fc.assert(
      fc.property(flows, (document) => {
        for (const { code, message, path } of checkFlow(document, all).findings) {
          if (code !== "STARVED_OUTPUT" || message.endsWith("and more")) continue;
          const name = path!.split(".").at(-1)!;
          const forced = { ...document, output: { [name]: document.output[name]! } };
          for (const reason of message.split(" when ")[1]!.split(" and ")) {
            if (reason === "it runs at all") continue;
            named++;
            // each reason speaks of something that the output depends on
            expect(Object.keys({ input: 1, ...prune(forced).nodes })).toContain(reason.split(/[. ]/)[0]);
          }
        }
      }),
      { numRuns: 300 },
    );
    expect(named).toBeGreaterThan(60);
  });
});

type Shape = () => { document: FlowDocument; codes?: string[] };
const many = 10_000;
const flow = (
  input: FlowDocument["input"],
  nodes: Record<string, NodeDocument>,
  output: FlowDocument["output"],
): FlowDocument => ({ version: 1, name: "large", input, nodes, output });
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const line = (count: number, node: (before: string, i: number) => NodeDocument) =>
  Object.fromEntries(range(count).map((i) => [`n${i}`, node(i === 0 ? "input.value" : `n${i - 1}.value`, i)]));
const add = (value: Source, more: Partial<NodeDocument> = {}): NodeDocument => ({
  run: "test.add",
  in: { value },
  ...more,
});
const flags = (count: number): FlowDocument["input"] => ({
  value: "text",
  ...Object.fromEntries(range(count).map((i) => [`f${i}`, "flag" as const])),
});

const shapes: Record<string, Shape> = {
  "a line": () => ({
    document: flow(
      { value: "text" },
      line(many, (before) => add(before)),
      { value: `n${many - 1}.value` },
    ),
  }),
  "a fan into one list": () => ({
    document: flow(
      { value: "text" },
      {
        ...Object.fromEntries(range(many - 1).map((i) => [`n${i}`, add("input.value")])),
        join: { run: "test.join", in: { values: range(many - 1).map((i) => `n${i}.value`) } },
      },
      { value: "join.value" },
    ),
  }),
  "a line whose every node is an output": () => ({
    document: flow(
      { value: "text" },
      line(many, (before) => add(before)),
      Object.fromEntries(range(many).map((i) => [`o${i}`, `n${i}.value`])),
    ),
  }),
  "a line of errors that are skipped": () => ({
    document: flow(
      { value: "text" },
      line(many, (before) => add({ first: [before, { value: "" }] }, { policy: { onError: "skip" } })),
      { value: { first: [`n${many - 1}.value`, { value: "" }] } },
    ),
  }),
  "a line of errors that are skipped, read by another node": () => ({
    document: flow(
      { value: "text" },
      {
        ...line(many - 1, (before) => add({ first: [before, { value: "" }] }, { policy: { onError: "skip" } })),
        last: add({ first: [`n${many - 2}.value`, "input.value"] }),
      },
      { value: "last.value" },
    ),
  }),
  "a line where each may fail, all of them outputs": () => ({
    document: flow(
      { value: "text" },
      line(many, (before) => add(before, { policy: { onError: "skip" } })),
      Object.fromEntries(range(many).map((i) => [`o${i}`, `n${i}.value`])),
    ),
    codes: range(many).map(() => "STARVED_OUTPUT"),
  }),
  "a line in which each node has a flag of its own": () => ({
    document: flow(
      flags(many),
      line(many, (before, i) => add(before, { when: { [`input.f${i}`]: true } })),
      {
        value: { first: [`n${many - 1}.value`, "input.value"] },
      },
    ),
  }),
  "flags of which each opens a node, and a line behind": () => ({
    document: flow(
      flags(many / 2),
      {
        ...Object.fromEntries(
          range(many / 2).map((i) => [`a${i}`, add("input.value", { when: { [`input.f${i}`]: true } })]),
        ),
        n0: { run: "test.join", in: { values: [...range(many / 2).map((i) => `a${i}.value`), "input.value"] } },
        ...Object.fromEntries(range(many / 2 - 1).map((i) => [`n${i + 1}`, add(`n${i}.value`)])),
      },
      Object.fromEntries(range(many / 2).map((i) => [`o${i}`, `n${i}.value`])),
    ),
  }),
  "a line of branches, each on a flag of its own, that join again": () => ({
    document: flow(
      flags(many / 4),
      Object.fromEntries(
        range(many / 4).flatMap((i): [string, NodeDocument][] => [
          [`a${i}`, add(i === 0 ? "input.value" : `j${i - 1}.value`, { when: { [`input.f${i}`]: true } })],
          [`b${i}`, add(i === 0 ? "input.value" : `j${i - 1}.value`, { when: { [`input.f${i}`]: false } })],
          [`j${i}`, add({ first: [`a${i}.value`, `b${i}.value`] })],
        ]),
      ),
      { value: `j${many / 4 - 1}.value` },
    ),
  }),
  "a router with a branch for each of many choices": () => ({
    document: flow(
      { value: "text", way: { choice: range(many - 1).map((i) => `w${i}`) } },
      {
        ...Object.fromEntries(
          range(many - 1).map((i) => [`n${i}`, add("input.value", { when: { "input.way": `w${i}` } })]),
        ),
        join: add({ first: range(many - 1).map((i) => `n${i}.value`) }),
      },
      { value: "join.value" },
    ),
  }),
  "decisions that all depend on each other": () => ({
    // the two halves of a word are equal: a function that no order of its variables makes small
    document: flow(
      flags(80),
      Object.fromEntries(
        range(40).flatMap((i): [string, NodeDocument][] => {
          const both = (value: boolean) => ({ [`input.f${i}`]: value, [`input.f${i + 40}`]: value });
          return [
            [`t${i}`, add(i === 0 ? "input.value" : `j${i - 1}.value`, { when: both(true) })],
            [`f${i}`, add(i === 0 ? "input.value" : `j${i - 1}.value`, { when: both(false) })],
            [`j${i}`, { run: "test.join", in: { values: [`t${i}.value`, `f${i}.value`] } }],
          ];
        }),
      ),
      { value: { first: ["j39.value", "input.value"] }, other: "j39.value" },
    ),
    codes: ["STARVED_OUTPUT"],
  }),
};

describe("a large flow is checked within its limit of visits and two seconds of processor time", () => {
  const { all } = testKit();
  it.each(Object.keys(shapes))("%s", (name) => {
    const { document, codes = [] } = shapes[name]!();
    const start = process.cpuUsage();
    const { findings } = checkFlow(document, all);
    const { user, system } = process.cpuUsage(start);
    expect(findings.map(({ code }) => code)).toEqual(codes);
    expect((user + system) / 1e6).toBeLessThan(2);
  });

  it("what depends on too many decisions at once is a finding that names the limit, and the bound is the sum", () => {
    const { document } = shapes["decisions that all depend on each other"]!();
    const branches = (name: string, first: boolean, second?: boolean): [string, NodeDocument][] =>
      range(40).map((i) => [
        `${name}${i}`,
        add("input.value", {
          when: { [`input.f${i}`]: first, ...(second !== undefined && { [`input.f${i + 40}`]: second }) },
        }),
      ]);
    // the first halves are read first, so that no flag stands beside the one that it is compared with
    const early = branches("first", true);
    const late = [...branches("more", true, false), ...branches("less", false, true)];
    const members = ["j39.value", ...[...early, ...late].map(([id]) => `${id}.value`)];
    const whole: FlowDocument = {
      ...document,
      nodes: { ...Object.fromEntries(early), ...document.nodes, ...Object.fromEntries(late) },
      output: { value: { first: members } },
    };
    const { findings } = checkFlow(whole, all);
    expect(findings).toMatchObject([{ code: "TOO_MANY_COMBINATIONS", path: "large.value" }]);
    expect(findings[0]!.message).toContain("400,000 steps");
    const total: FlowDocument = {
      ...whole,
      output: { value: { first: [...members, { value: "" }] } },
    };
    expect(checkFlow(total, all)).toMatchObject({ findings: [], bound: { steps: 240 } });
  });
});
