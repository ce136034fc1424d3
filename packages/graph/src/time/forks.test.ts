import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, type FlowDocument, operator, type Records, text } from "@tessera/core";
import { countOf } from "@tessera/testkit";
import { z } from "zod";
import { compile } from "../compile.js";
import { dice, digest, ending, randomFlow, World } from "../records/crashes.fixture.js";
import { memoryRecords } from "../records/memory.js";
import type { RunResult } from "../run.js";
import { isPending } from "../waits/entries.js";
import { waitingKit } from "../waits/waits.fixture.js";
import { barePath, type ForkChange, forkedDocument } from "./changes.js";
import { differenceOf } from "./difference.js";

const line: FlowDocument = {
  version: 1,
  name: "line",
  input: { value: "text" },
  nodes: {
    a: { run: "test.add", with: { add: "a" }, in: { value: "input.value" } },
    b: { run: "test.add", with: { add: "b" }, in: { value: "a.value" } },
    side: { run: "test.add", with: { add: "s" }, in: { value: "input.value" } },
    c: { run: "test.join", in: { values: ["b.value", "side.value"] } },
  },
  output: { value: "c.value" },
};

/** A flow that splits its input, and works on the parts. */
const listOf = (nodes: FlowDocument["nodes"], output: FlowDocument["output"]): FlowDocument => ({
  version: 1,
  name: "list",
  input: { value: "text" },
  nodes: { split: { run: "test.split", in: { value: "input.value" } }, ...nodes },
  output,
});

/** A run of a flow that is done or waits, and what forks it. */
async function recorded(document: FlowDocument, input: object, records: Records = memoryRecords()) {
  const kit = waitingKit();
  const flow = await compile(document, { operators: kit.all, records });
  const first = await flow.run(input as never, { id: "first" });
  const fork = async (change: ForkChange, id = "fork") => {
    const changed =
      change.config === undefined && change.operator === undefined ? document : forkedDocument(document, change);
    const forked = await compile(changed, { operators: kit.all, records });
    kit.log.started.length = 0;
    return { flow: forked, result: await forked.fork("first", change, { id }) };
  };
  return { kit, records, first, flow, fork };
}

describe("a fork", () => {
  it("runs the node that has other settings, and what follows; the rest is taken from the record", async () => {
    const { fork, kit, first } = await recorded(line, { value: "x" });
    expect(first.output).toEqual({ value: "xab,xs" });
    const { result } = await fork({ at: "line/b", config: { add: "B" } });
    expect(result.output).toEqual({ value: "xaB,xs" });
    expect(kit.log.started).toEqual(["line/b", "line/c"]);
    // only what it did itself counts
    expect(result.spent.steps).toBe(2);
  });

  it("runs another operator", async () => {
    const { fork, kit } = await recorded(line, { value: "x" });
    const { result } = await fork({ at: "line/b", operator: "test.wait", config: { add: "W" } });
    expect(result.output).toEqual({ value: "xaW,xs" });
    expect(kit.log.started).toEqual(["line/b", "line/c"]);
  });

  it("takes what a step gives from the change, and runs what reads it", async () => {
    const { fork, kit } = await recorded(line, { value: "x" });
    const { result } = await fork({ at: "line/a", output: { value: "given" } });
    expect(result.output).toEqual({ value: "givenb,xs" });
    expect(kit.log.started).toEqual(["line/b", "line/c"]);
  });

  it("runs nothing where what is given is what was there", async () => {
    const { fork, kit, first } = await recorded(line, { value: "x" });
    const { result } = await fork({ at: "line/a", output: { value: "xa" } });
    expect(result.output).toEqual(first.output);
    expect(kit.log.started).toEqual([]);
    expect(result.spent.steps).toBe(0);
  });

  it("runs a step once more where nothing but its path is said", async () => {
    const { fork, kit } = await recorded(line, { value: "x" });
    await fork({ at: "line/a" });
    expect(kit.log.started).toEqual(["line/a"]);
  });

  it("matches the elements of an each by content: one more at the front runs alone", async () => {
    const { fork, kit } = await recorded(
      listOf(
        {
          each: {
            run: "test.wait",
            with: { add: "!" },
            in: { value: "split.values" },
            each: { over: "value", max: 9 },
          },
          write: { run: "test.write", in: { value: "each.value" }, each: { over: "value", max: 9 } },
          join: { run: "test.join", in: { values: "write.value" } },
        },
        { value: "join.value" },
      ),
      { value: "a,b,c" },
    );
    const { result } = await fork({ at: "list/split", output: { values: ["new", "a", "b", "c"] } });
    expect(result.output).toEqual({ value: "new!,a!,b!,c!" });
    // what was written for an element is not written again because it moved
    expect(kit.log.started).toEqual(["list/each[0]", "list/write[0]", "list/join"]);
  });

  it("a write serves one element only: an equal one writes for itself", async () => {
    const { fork, kit } = await recorded(
      listOf(
        {
          pure: { run: "test.add", in: { value: "split.values" }, each: { over: "value", max: 9 } },
          write: { run: "test.write", in: { value: "pure.value" }, each: { over: "value", max: 9 } },
        },
        { values: "write.value" },
      ),
      { value: "a,a" },
    );
    const { result } = await fork({ at: "list/split", output: { values: ["a", "a", "a"] } });
    expect(result.output).toEqual({ values: ["a", "a", "a"] });
    expect(kit.log.started).toHaveLength(1);
    expect(kit.log.started[0]).toMatch(/write/);
  });

  it("forks within a nested flow and a turn of a loop", async () => {
    const inner: FlowDocument = {
      version: 1,
      name: "inner",
      input: { value: "text" },
      nodes: {
        a: { run: "test.add", with: { add: "a" }, in: { value: "input.value" } },
        b: { run: "test.add", with: { add: "b" }, in: { value: "a.value" } },
      },
      output: { value: "b.value" },
    };
    const { fork, kit, first } = await recorded(
      {
        version: 1,
        name: "outer",
        input: { value: "text" },
        nodes: { loop: { run: inner, repeat: { carry: { value: "value" }, max: 3 }, in: { value: "input.value" } } },
        output: { value: "loop.value" },
      },
      { value: "" },
    );
    expect(first.output).toEqual({ value: "ababab" });
    const { result } = await fork({ at: "outer/loop#2/a", output: { value: "?" } });
    expect(result.output).toEqual({ value: "?bab" });
    expect(kit.log.started).toEqual(["outer/loop#2/b", "outer/loop#3/a", "outer/loop#3/b"]);
    const { result: changed } = await fork({ at: "outer/loop#2/b", config: { add: "-" } }, "other");
    expect(changed.output).toEqual({ value: "a-a-a-" });
    expect(kit.log.started).toHaveLength(5);
  });

  it("of a run that failed runs what failed, and takes the rest", async () => {
    const kit = waitingKit();
    const records = memoryRecords();
    let broken = true;
    const fragile = operator({
      name: "test.fragile",
      version: 1,
      about: { module: "data", submodule: "test", summary: "Fails until it is mended." },
      config: z.strictObject({}),
      ports: { input: { value: text }, output: { value: text } },
      setup:
        () =>
        ({ value }) => {
          if (broken) throw new Error("broken");
          return { value: `${value}!` };
        },
    }) as unknown as AnyOperator;
    const document = { ...line, nodes: { ...line.nodes, c: { run: "test.fragile", in: { value: "b.value" } } } };
    const flow = await compile(
      { ...document, output: { value: "c.value", side: "side.value" } },
      { operators: [...kit.all, fragile], records },
    );
    await expect(flow.run({ value: "x" }, { id: "first" })).rejects.toMatchObject({ code: "NODE_FAILED" });
    broken = false;
    kit.log.started.length = 0;
    const { output } = await flow.fork("first", { at: "line/c" });
    expect(output).toEqual({ value: "xab!", side: "xs" });
    expect(kit.log.started).toEqual([]);
  });

  it("leaves out what a policy left out, where it had the same input", async () => {
    const { fork, kit } = await recorded(
      {
        version: 1,
        name: "policy",
        input: { value: "text" },
        nodes: {
          risky: { run: "test.risky", in: { value: "input.value" }, policy: { onError: "skip" } },
          other: { run: "test.add", in: { value: "input.value" } },
          join: { run: "test.join", in: { values: ["risky.value", "other.value"] } },
        },
        output: { value: "join.value" },
      },
      { value: "bad" },
    );
    const { result } = await fork({ at: "policy/other", output: { value: "given" } });
    expect(result.output).toEqual({ value: "given" });
    expect(kit.log.started).toEqual(["policy/join"]);
    await fork({ at: "policy/risky" }, "again");
    expect(kit.log.started).toEqual(["policy/risky"]);
  });

  it.each([
    ["an unknown node", { at: "line/d" }, "NOT_FOUND"],
    ["a flow, not a step", { at: "line" }, "NOT_FOUND"],
    ["an activation that was not", { at: "line/a[3]", output: { value: "x" } }, "NOT_FOUND"],
    ["a port that is not there", { at: "line/a", output: { value: "x", other: 1 } }, "BAD_INPUT"],
    ["a port that is missing", { at: "line/a", output: {} }, "BAD_INPUT"],
    ["a wrong value", { at: "line/a", output: { value: 7 } }, "BAD_INPUT"],
    ["an answer to no wait", { at: "line/a", answer: "yes" }, "BAD_INPUT"],
    ["two changes", { at: "line/a", answer: "yes", output: { value: "x" } }, "BAD_ARGUMENT"],
  ])("refuses %s, with a code, a place and a hint", async (_, change, code) => {
    const { flow, records } = await recorded(line, { value: "x" });
    await expect(flow.fork("first", change, { id: "fork" })).rejects.toMatchObject({ code, path: change.at });
    expect(await records.run("fork")).toBeUndefined();
  });

  it.each([["line/zz"], ["other/a"], ["line/a/b"]])("refuses other settings of %s", (at) => {
    expect(() => forkedDocument(line, { at, config: {} })).toThrow(
      expect.objectContaining({ code: "NOT_FOUND", path: at }) as never,
    );
  });
});

const asking: FlowDocument = {
  version: 1,
  name: "asking",
  input: { value: "text" },
  nodes: {
    draft: { run: "test.add", with: { add: "d" }, in: { value: "input.value" } },
    ask: { run: "test.ask", in: { value: "draft.value" } },
    send: { run: "test.write", in: { value: "ask.answer" } },
  },
  output: { value: "send.value" },
};

describe("a fork of a run that waits or waited", () => {
  it("with another answer runs only what follows, and asks nobody", async () => {
    const { fork, flow, kit } = await recorded(asking, { value: "x" });
    await flow.answer("first", { path: "asking/ask", value: "yes" });
    await flow.resume("first");
    const { result } = await fork({ at: "asking/ask", answer: "no" });
    expect(result).toMatchObject({ status: "done", output: { value: "no" } });
    expect(kit.log.started).toEqual(["asking/send"]);
  });

  it("answers a wait that is open still in the fork alone", async () => {
    const { fork, flow } = await recorded(asking, { value: "x" });
    const { result } = await fork({ at: "asking/ask", answer: "no" });
    expect(result.output).toEqual({ value: "no" });
    await flow.answer("first", { path: "asking/ask", value: "yes" });
    expect((await flow.resume("first")).output).toEqual({ value: "yes" });
  });

  it("asks anew where what is asked has changed; later lives still take what is before from the record", async () => {
    const { fork, flow, kit } = await recorded(
      {
        ...asking,
        nodes: {
          ...asking.nodes,
          after: { run: "test.add", with: { add: "+" }, in: { value: "draft.value" } },
          last: { run: "test.join", in: { values: ["send.value", "after.value"] } },
        },
        output: { value: "last.value" },
      },
      { value: "x" },
    );
    await flow.answer("first", { path: "asking/ask", value: "yes" });
    await flow.resume("first");
    const { result, flow: forked } = await fork({ at: "asking/draft", config: { add: "D" } });
    expect(result.waits).toMatchObject([{ path: "asking/ask", payload: "xD" }]);
    await forked.answer("fork", { path: "asking/ask", value: "yes" });
    const { output } = await forked.resume("fork");
    expect(output).toEqual({ value: "yes,xD+" });
    // the answer is the same as before, so that what it leads to is there already
    expect(kit.log.started.filter((path) => path === "asking/send")).toEqual([]);
  });

  it("keeps the answers of elements that moved", async () => {
    const { fork, flow, first } = await recorded(
      {
        version: 1,
        name: "many",
        input: { value: "text" },
        nodes: {
          split: { run: "test.split", in: { value: "input.value" } },
          ask: { run: "test.ask", in: { value: "split.values" }, each: { over: "value", max: 9 } },
        },
        output: { answers: "ask.answer" },
      },
      { value: "a,b" },
    );
    expect(first.waits).toHaveLength(2);
    for (const { path, payload } of first.waits!) await flow.answer("first", { path, value: `${payload}!` });
    await flow.resume("first");
    const { result } = await fork({ at: "many/split", output: { values: ["new", "b", "a"] } });
    expect(result.waits).toMatchObject([{ path: "many/ask[0]", payload: "new" }]);
    await flow.answer("fork", { path: "many/ask[0]", value: "n" });
    expect((await flow.resume("fork")).output).toEqual({ answers: ["n", "b!", "a!"] });
  });
});

describe("the difference of two runs", () => {
  it("has the steps that changed, came and went, and why", async () => {
    const { fork, records } = await recorded(line, { value: "x" });
    await fork({ at: "line/b", config: { add: "B" } });
    const difference = await differenceOf(records, "first", "fork");
    expect(difference).toMatchObject({
      same: 2,
      moved: 0,
      steps: [
        {
          path: "line/b",
          change: "changed",
          because: ["output"],
          before: { output: { value: "xab" } },
          after: { output: { value: "xaB" } },
        },
        { path: "line/c", change: "changed", because: ["input", "output"] },
      ],
    });
    expect(await differenceOf(records, "first", "first")).toEqual({ same: 4, moved: 0, steps: [] });
  });
});

type Made = { document: FlowDocument; input: { value: string }; change: ForkChange };

/** A change of a random flow: what some step of the run gave, or the operator of its node. */
async function madeUp(seed: number, records: Records, world: World): Promise<Made | undefined> {
  const next = dice(seed * 13 + 5);
  const document = randomFlow(seed, { nodes: 5, depth: 2 });
  const ready = await compile(document, { operators: world.operators(), host: world.host, records });
  await ready.run({ value: "ab" }, { id: "first", seed: 3 });
  const { entries } = await records.journal("first");
  const steps = [...entries.values()].filter((entry) => !entry.mark && !entry.skipped && !isPending(entry));
  const told = steps.filter(({ operator }) => ["test.pure", "test.read", "test.write", "test.paid"].includes(operator));
  const step = told[next(Math.max(1, told.length))];
  if (!step) return undefined;
  const names = ["pure", "read", "write", "paid"]
    .map((name) => `test.${name}`)
    .filter((name) => name !== step.operator);
  const change: ForkChange =
    next(2) === 0
      ? { at: step.path, output: { value: digest(`given${seed}`) } }
      : { at: step.path, operator: names[next(3)]! };
  return { document, input: { value: "ab" }, change };
}

/** A world in which nothing fails only once: another attempt would write again. */
function steady(world: World): World {
  world.failed.has = () => true;
  return world;
}

/** A whole new run in which a step gives what the change says. */
async function whole(
  world: World,
  { document, input, change }: Made,
): Promise<{ result: RunResult; records: Records }> {
  const records = memoryRecords();
  const changed = change.operator === undefined ? document : forkedDocument(document, change);
  const bare = change.at.replaceAll(/!\d+/g, "");
  const patched = world.operators().map((one) =>
    change.output === undefined
      ? one
      : ({
          ...one,
          setup: async (config: never, host: never) => {
            const work = await one.setup(config, host);
            return (row: never, context: { path: string }) =>
              context.path === bare ? change.output : work(row, context as never);
          },
        } as unknown as AnyOperator),
  );
  const ready = await compile(changed, { operators: patched, host: world.host, records });
  return { result: (await ready.run(input, { id: "whole", seed: 3 })) as RunResult, records };
}

describe("a fork of a random flow with a random change", () => {
  it("is a whole new run with that change; exactly what had another input is run, also where its process dies", async () => {
    let forks = 0;
    let taken = 0;
    let ran = 0;
    for (let seed = 1; seed <= countOf({ usual: 150, long: 5_000 }); seed++) {
      const world = new World();
      const records = memoryRecords();
      const made = await madeUp(seed, records, world);
      if (!made) continue;
      forks++;
      const { document, change } = made;
      const changed = change.operator === undefined ? document : forkedDocument(document, change);
      const next = dice(seed);
      steady(world);
      let result: RunResult | undefined;
      // some lives end at some write
      for (let life = 0; !result; life++) {
        const kept = life < 3 && next(2) === 0 ? ending(records, next(12)) : records;
        const ready = await compile(changed, { operators: world.operators(), host: world.host, records: kept });
        const going = (await records.run("fork")) ? ready.resume("fork") : ready.fork("first", change, { id: "fork" });
        result = (await going.catch((error) => {
          if (!/the process is dead/.test(error.message)) throw error;
        })) as RunResult | undefined;
      }
      const oracle = await whole(steady(new World()), made);
      expect({ seed, output: result.output }).toEqual({ seed, output: oracle.result.output });
      // by what both runs noted: a step is run where the first run has none of its node with that input
      const [first, own, all] = await Promise.all([
        records.journal("first"),
        records.journal("fork"),
        oracle.records.journal("whole"),
      ]);
      const node = (path: string) => path.replaceAll(/\[\d+\]|#\d+|!\d+/g, "");
      const known = new Set(
        [...first.entries.values()]
          .filter(({ path }) => change.operator === undefined || node(path) !== node(change.at))
          .map(({ path, operator, input }) => `${node(path)} ${operator} ${input}`),
      );
      const isNew = ({ path, operator, input }: { path: string; operator: string; input: string }) =>
        !known.has(`${node(path)} ${operator} ${input}`);
      const executed = [...own.entries.values()].filter(
        ({ from, given, skipped, mark }) => !from && !given && !skipped && !mark,
      );
      for (const entry of executed)
        if (entry.operator !== "test.write")
          expect({ seed, path: entry.path, new: isNew(entry) }).toMatchObject({ new: true });
      for (const entry of all.entries.values())
        if (isNew(entry) && !entry.skipped && entry.path.replaceAll(/!\d+/g, "") !== change.at.replaceAll(/!\d+/g, ""))
          expect({
            seed,
            path: entry.path,
            there: executed.some((one) => node(one.path) === node(entry.path) && one.input === entry.input),
          }).toMatchObject({ there: true });
      // writes are counted: each of the first run serves one
      const writes = (entries: Iterable<{ path: string; operator: string; input: string }>) => {
        const counts = new Map<string, number>();
        for (const { path, operator, input } of entries)
          if (operator === "test.write")
            counts.set(`${node(path)} ${input}`, (counts.get(`${node(path)} ${input}`) ?? 0) + 1);
        return counts;
      };
      const [had, wrote, needed] = [first.entries.values(), executed, all.entries.values()].map((entries) =>
        writes([...entries].filter(({ path }) => barePath(path) !== barePath(change.at))),
      );
      const stand =
        change.operator === undefined ? () => true : (key: string) => !key.startsWith(`${node(change.at)} `);
      for (const [key, count] of needed!) {
        const served = stand(key) ? (had!.get(key) ?? 0) : 0;
        expect({ seed, key, wrote: wrote!.get(key) ?? 0 }).toEqual({ seed, key, wrote: Math.max(0, count - served) });
      }
      taken += [...own.entries.values()].filter(({ from }) => from).length;
      ran += executed.length;
    }
    expect(forks).toBeGreaterThan(100);
    expect(taken).toBeGreaterThan(forks);
    expect(ran).toBeGreaterThan(forks);
  });
});
