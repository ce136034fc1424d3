import { describe, expect, it } from "@jest/globals";
import { first, flow, is, named, operator, text, value } from "@tessera/core";
import { z } from "zod";
import { checkFlow, compile } from "./compile.js";
import { findingsOf, testKit } from "./kit.fixture.js";

describe("rule 1: a node runs once, as soon as every source it reads has settled", () => {
  it("does not wait for nodes that it does not read", async () => {
    const kit = testKit();
    // a → b (long) and a → c → d: d must not wait for b
    const graph = flow("asymmetric", { value: "text" }, (f, input) => {
      const a = f.node("a", kit.wait({ ms: 1 }), { value: input.value });
      const b = f.node("b", kit.wait({ ms: 120 }), { value: a.value });
      const c = f.node("c", kit.wait({ ms: 20 }), { value: a.value });
      const d = f.node("d", kit.wait({ ms: 20 }), { value: c.value });
      return { value: f.node("e", kit.join(), { values: [b.value, d.value] }).value };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    expect((await ready.run({ value: "v" })).output).toEqual({ value: "v,v" });
    expect(kit.log.started.filter((path) => path !== "asymmetric/e")).toEqual(
      ["a", "b", "c", "d"].map((id) => `asymmetric/${id}`),
    );
    expect(kit.log.ended).toEqual(["a", "c", "d", "b"].map((id) => `asymmetric/${id}`));
    expect(kit.log.started.at(-1)).toBe("asymmetric/e");
    expect(kit.log.started).toHaveLength(5);
  });

  it("runs a chain of 5,000 synchronous nodes without recursion", async () => {
    const kit = testKit();
    const nodes = Object.fromEntries(
      Array.from({ length: 5000 }, (_, i) => [
        `n${i}`,
        { run: "test.add", with: { add: "" }, in: { value: i === 0 ? "input.value" : `n${i - 1}.value` } },
      ]),
    );
    const ready = await compile(
      { version: 1, name: "chain", input: { value: "text" }, nodes, output: { value: "n4999.value" } },
      { operators: kit.all },
    );
    expect(await ready.run({ value: "x" })).toMatchObject({ output: { value: "x" }, spent: { steps: 5000 } });
  });
});

describe("rule 2: skipping is per output port, and a join fires exactly once", () => {
  const branches = (kit: ReturnType<typeof testKit>) =>
    flow("branches", { value: "text" }, (f, input) => {
      const { choice } = f.node("choose", kit.choose(), { value: input.value });
      const a = f.node("a", kit.add({ add: "A" }), { value: input.value }, { when: is(choice, "a") });
      const b = f.node("b", kit.add({ add: "B" }), { value: input.value }, { when: is(choice, "a", "b") });
      const after = f.node("after", kit.add({ add: "+" }), { value: a.value });
      const list = f.node("list", kit.join(), { values: [b.value, after.value, input.value] });
      const names = f.node("names", kit.names(), { values: named({ x: b.value, y: after.value, z: input.value }) });
      const optional = f.node("optional", kit.join(), { values: [input.value], also: a.value });
      return {
        first: first(after.value, b.value, value("none")),
        list: list.value,
        names: names.value,
        optional: optional.value,
      };
    });

  it.each([
    ["a", { first: "aA+", list: "aB,aA+,a", names: '{"x":"aB","y":"aA+","z":"a"}', optional: "a,also aA" }],
    ["b", { first: "bB", list: "bB,b", names: '{"x":"bB","z":"b"}', optional: "b" }],
    ["c", { first: "none", list: "c", names: '{"z":"c"}', optional: "c" }],
  ])("joins under the choice %s", async (given, output) => {
    const kit = testKit();
    const ready = await compile(branches(kit).document, { operators: kit.all });
    expect((await ready.run({ value: given })).output).toEqual(output);
    for (const join of ["list", "optional"])
      expect(kit.log.started.filter((path) => path === `branches/${join}`)).toHaveLength(1);
  });

  it("skips the reader of a list whose members are all skipped, and runs one with no members", async () => {
    const kit = testKit();
    const graph = flow("lists", { value: "text" }, (f, input) => {
      const { choice } = f.node("choose", kit.choose(), { value: input.value });
      const a = f.node("a", kit.add(), { value: input.value }, { when: is(choice, "a") });
      const b = f.node("b", kit.add(), { value: input.value }, { when: is(choice, "a") });
      const join = f.node("join", kit.join(), { values: [a.value, b.value] });
      const empty = f.node("empty", kit.join(), { values: value([]) });
      return { joined: first(join.value, value("skipped")), empty: empty.value };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    expect((await ready.run({ value: "c" })).output).toEqual({ joined: "skipped", empty: "" });
    expect((await ready.run({ value: "a" })).output).toEqual({ joined: "a,a", empty: "" });
  });

  it("an output port that an operator leaves empty is skipped alone", async () => {
    const kit = testKit();
    const graph = flow("ports", { value: "text" }, (f, input) => {
      const maybe = f.node("maybe", kit.maybe(), { value: input.value });
      const reader = f.node("reader", kit.add({ add: "!" }), { value: maybe.extra });
      return { value: maybe.value, extra: first(reader.value, value("-")) };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    expect((await ready.run({ value: "plain" })).output).toEqual({ value: "plain", extra: "-" });
    expect((await ready.run({ value: "with extra" })).output).toEqual({ value: "with extra", extra: "extra!" });
  });
});

describe("rule 3: starvation is found at compile", () => {
  it("names a combination under which an output is not reached", async () => {
    const kit = testKit();
    const graph = flow("starved", { value: "text" }, (f, input) => {
      const { choice, long } = f.node("choose", kit.choose(), { value: input.value });
      const a = f.node("a", kit.add(), { value: input.value }, { when: is(choice, "a") });
      const b = f.node("b", kit.add(), { value: input.value }, { when: [is(choice, "b", "c"), is(long, true)] });
      return { value: first(a.value, b.value) };
    });
    const [finding, ...more] = await findingsOf(graph.document, kit);
    expect(more).toEqual([]);
    expect(finding).toMatchObject({ code: "STARVED_OUTPUT", path: "starved.value" });
    expect(finding!.message).toMatch(
      /choose\.choice is "[bc]" and choose\.long is false|choose\.long is false and choose\.choice is "[bc]"/,
    );
  });

  it("accepts branches that cover every choice, and takes an error that is skipped for one more choice", async () => {
    const kit = testKit();
    const covered = flow("covered", { value: "text" }, (f, input) => {
      const { choice } = f.node("choose", kit.choose(), { value: input.value });
      const a = f.node("a", kit.add(), { value: input.value }, { when: is(choice, "a") });
      const rest = f.node("rest", kit.add(), { value: input.value }, { when: is(choice, "b", "c") });
      return { value: first(a.value, rest.value) };
    });
    expect(await findingsOf(covered.document, kit)).toEqual([]);

    const fails = flow("fails", { value: "text" }, (f, input) => {
      const risky = f.node("risky", kit.risky(), { value: input.value }, { policy: { onError: "skip" } });
      return { value: risky.value };
    });
    const [finding] = await findingsOf(fails.document, kit);
    expect(finding).toMatchObject({ code: "STARVED_OUTPUT" });
    expect(finding!.message).toContain("risky fails");
  });

  it("decides over any number of decisions where they do not depend on each other", async () => {
    const kit = testKit();
    const nodes: Record<string, unknown> = {};
    for (let i = 0; i < 50; i++) {
      nodes[`c${i}`] = { run: "test.choose", in: { value: "input.value" } };
      nodes[`n${i}`] = { run: "test.add", in: { value: "input.value" }, when: { [`c${i}.long`]: true } };
    }
    const members = Array.from({ length: 50 }, (_, i) => `n${i}.value`);
    nodes.join = { run: "test.join", in: { values: [...members, "input.value"] } };
    const document = { version: 1, name: "many", input: { value: "text" }, nodes, output: { value: "join.value" } };
    expect(await findingsOf(document, kit)).toEqual([]);
    nodes.join = { run: "test.join", in: { values: members } };
    expect(await findingsOf(document, kit)).toMatchObject([{ code: "STARVED_OUTPUT", path: "many.value" }]);
    const total = { ...document, output: { value: { first: ["join.value", { value: "" }] } } };
    expect(await findingsOf(total, kit)).toEqual([]);
  });
});

describe("rule 4: a loop is `repeat`, and always ends", () => {
  const loop = (until: number, max: number, how: object) => ({
    version: 1,
    name: "loop",
    input: { n: "number" },
    nodes: {
      again: {
        run: "test.increment",
        with: { until },
        in: { n: "input.n" },
        repeat: { carry: { n: "n" }, max, ...how },
      },
    },
    output: { n: "again.n", turns: "again.turns", stopReason: "again.stopReason" },
  });

  it.each([
    ["a flag", loop(3, 10, { until: "done" }), { n: 3, turns: 3, stopReason: "until" }],
    ["any of several flags", loop(3, 10, { until: ["done", "done"] }), { n: 3, turns: 3, stopReason: "until" }],
    ["an empty list", loop(99, 10, { while: "rest" }), { n: 3, turns: 3, stopReason: "empty" }],
    ["the bound", loop(99, 4, { until: "done" }), { n: 4, turns: 4, stopReason: "max" }],
  ])("ends by %s", async (_, document, output) => {
    const ready = await compile(document, { operators: testKit().all });
    expect((await ready.run({ n: 0 })).output).toEqual(output);
  });

  it("takes 100,000 turns of a synchronous body without recursion", async () => {
    const ready = await compile(loop(1e9, 100_000, { until: "done" }), { operators: testKit().all });
    expect((await ready.run({ n: 0 })).output).toMatchObject({ n: 100_000 });
  });

  it("carries what it names, keeps the other inputs, and counts turns for a body that asks", async () => {
    const kit = testKit();
    const body = flow("body", { value: "text", keep: "text", turn: "number" }, (f, input) => {
      const spoken = f.node("speak", kit.speak({ good: 3 }), { value: input.keep, turn: input.turn });
      const joined = f.node("join", kit.join(), { values: [input.value, spoken.value] });
      return { value: joined.value, good: spoken.good };
    });
    const graph = flow("turns", { value: "text" }, (f, input) => {
      const again = f.repeat(
        "again",
        body,
        { until: "good", carry: { value: "value" }, max: 5 },
        { value: input.value, keep: value("k") },
      );
      return { value: again.value };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    expect((await ready.run({ value: "v" })).output).toEqual({ value: "v,k 1,k 2,k 3" });
  });

  it("refuses a circle of nodes, a loop without a bound, and one that reads the wrong ports", async () => {
    const circle = {
      version: 1,
      name: "circle",
      input: {},
      nodes: {
        x: { run: "test.add", in: { value: "y.value" } },
        y: { run: "test.add", in: { value: "x.value" } },
      },
      output: { value: "x.value" },
    };
    expect((await findingsOf(circle)).map(({ code }) => code)).toContain("CYCLE");
    const { max: _, ...unbounded } = loop(1, 1, {}).nodes.again.repeat as { max: number };
    const without = { ...loop(1, 1, {}), nodes: { again: { ...loop(1, 1, {}).nodes.again, repeat: unbounded } } };
    await expect(compile(without, { operators: testKit().all })).rejects.toMatchObject({ code: "BAD_DOCUMENT" });
    for (const how of [
      { until: "n" },
      { until: "nobody" },
      { while: "done" },
      { carry: { n: "rest" } },
      { carry: { m: "n" } },
    ])
      expect((await findingsOf(loop(1, 1, how))).map(({ code }) => code)).toEqual(["BAD_REPEAT"]);
  });
});

describe("rule 5: bounds compose, and a budget is never exceeded by what starts", () => {
  it("prints the most that a flow can spend, over branches, loops, lists and attempts", () => {
    const kit = testKit();
    const graph = flow("bounds", { value: "text", values: { list: "text" } }, (f, input) => {
      const { choice } = f.node("choose", kit.choose(), { value: input.value });
      const one = f.node("one", kit.costly(), { value: input.value }, { when: is(choice, "a") });
      const many = f.each(
        "many",
        kit.costly(),
        { over: "value", max: 4 },
        { value: input.values },
        { when: is(choice, "b", "c") },
      );
      const joined = f.node("join", kit.join(), { values: many.value });
      const loop = f.repeat(
        "loop",
        kit.costly(),
        { until: "done", carry: { value: "value" }, max: 3 },
        { value: input.value },
        { policy: { retry: { attempts: 2 } } },
      );
      return { value: first(one.value, joined.value), loop: loop.value };
    });
    // choose 1, the dearer branch 4 + 1 for its join, the loop 3 × 2
    expect(checkFlow(graph.document, kit.all).bound).toEqual({ steps: 1 + 5 + 6, calls: 10, tokens: 100, layers: 0 });
  });

  const loop = (config: object, kit = testKit()) =>
    flow("loop", { value: "text" }, (f, input) => {
      const again = f.repeat("again", kit.costly(config), { until: "done", carry: { value: "value" }, max: 9 }, input);
      return { value: again.value, turns: again.turns, why: again.stopReason };
    });

  it("row 62: stops a loop at its last whole turn", async () => {
    const kit = testKit();
    const ready = await compile(loop({ report: 10 }, kit).document, { operators: kit.all });
    const result = await ready.run({ value: "v" }, { budget: { tokens: 39 } });
    expect(result).toEqual({
      status: "budget",
      output: { value: "v$$$", turns: 3, why: "budget" },
      spent: { steps: 3, calls: 3, tokens: 30, layers: 0, cost: 0 },
    });
  });

  it("reserves bounds, so that calls at the same time do not overspend together", async () => {
    const kit = testKit();
    const graph = flow("parallel", { values: { list: "text" } }, (f, input) => {
      const many = f.each("many", kit.costly({ report: 1, ms: 5 }), { over: "value", max: 9 }, { value: input.values });
      return { values: first(many.value, value([])), other: value("kept") };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    const result = await ready.run({ values: ["a", "b", "c", "d"] }, { budget: { tokens: 25 } });
    expect(result).toMatchObject({
      status: "budget",
      output: { values: [], other: "kept" },
      spent: { calls: 2, tokens: 2 },
    });
    expect(await ready.run({ values: ["a", "b"] }, { budget: { tokens: 25 } })).toMatchObject({ status: "done" });
  });

  it("charges the bound to an operator that reports nothing, and gives what was reached", async () => {
    const kit = testKit();
    const graph = flow("reached", { value: "text" }, (f, input) => {
      const one = f.node("one", kit.costly(), { value: input.value });
      const two = f.node("two", kit.costly(), { value: one.value });
      return { one: one.value, two: two.value };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    expect(await ready.run({ value: "v" }, { budget: { calls: 1 } })).toEqual({
      status: "budget",
      output: { one: "v$" },
      spent: { steps: 1, calls: 1, tokens: 10, layers: 0, cost: 0 },
    });
  });

  it("refuses an operator that uses a model and declares no bound", async () => {
    const unbounded = operator({
      name: "test.unbounded",
      version: 1,
      about: { module: "generation", submodule: "test", summary: "Uses a model." },
      config: z.strictObject({}),
      ports: { input: { value: text }, output: { value: text } },
      async setup(_, host) {
        await host.resource("model", "any");
        return ({ value }) => ({ value });
      },
    });
    const graph = flow("model", { value: "text" }, (f, input) => ({ value: f.node("m", unbounded(), input).value }));
    await expect(
      compile(graph.document, { operators: [unbounded], host: { resource: async () => ({ revision: "1" }) as never } }),
    ).rejects.toMatchObject({ code: "INVALID_FLOW", findings: [{ code: "UNBOUNDED", path: "model/m" }] });
  });
});
