import { readdir } from "node:fs/promises";
import { describe, expect, it } from "@jest/globals";
import { answer, cite, type FlowDocument, type Hit, hits, operator, text } from "@tessera/core";
import { mulberry32 } from "@tessera/core/internal";
import { z } from "zod";
import type { DataSet } from "../data-sets/data-set.js";
import { temporaryFolder } from "../data-sets/folder.fixture.js";
import { KeptOutput } from "../reports/output.fixture.js";
import { printTuning } from "./print-tuning.js";
import { type TuneSettings, tune } from "./tune.js";

const about = { module: "retrieval", submodule: "test", summary: "For tests." } as const;
const hit = (id: string): Hit => ({ passage: { id, text: id, metadata: {} }, score: 1, provenance: [] });

/** The chance that a question is answered right; how much a run costs; which questions fail. */
interface World {
  readonly chance: (x: number, y: number) => number;
  readonly seed?: number;
  readonly fails?: (x: number, query: string) => boolean;
}

/** A flow of two steps: the first costs a call and has the setting `x`, the second finds gold by chance and has `y`. */
function flowOf({ chance, seed = 0, fails = () => false }: World) {
  const started = { first: 0, second: 0 };
  const seen = new Map<string, Set<number>>();
  const first = operator({
    name: "test.first",
    version: 1,
    about,
    config: z.strictObject({ x: z.number().int().max(9).default(0) }),
    ports: { input: { query: text }, output: { query: text } },
    effects: "none",
    bound: () => ({ calls: 1, tokens: 100 }),
    setup:
      ({ x }) =>
      async ({ query }, { spend }) => {
        started.first++;
        spend({ calls: 1, tokens: 10 * x + 1 });
        if (fails(x, query)) throw new Error("no such luck");
        return { query: `${x} ${query}` };
      },
  });
  const second = operator({
    name: "test.second",
    version: 1,
    about,
    config: z.strictObject({ y: z.number().default(0) }),
    ports: { input: { query: text }, output: { hits, answer } },
    effects: "none",
    setup:
      ({ y }) =>
      async ({ query }) => {
        started.second++;
        const [x, id] = query.split(" ").map(Number) as [number, number];
        seen.set(`${x} ${y}`, (seen.get(`${x} ${y}`) ?? new Set()).add(id));
        // one draw a combination and question, so that a flow of the same settings gives the same answer
        const right = mulberry32(seed * 7919 + id * 104729 + x * 31 + y * 1009)() < chance(x, y);
        const found = right ? "gold" : "other";
        return {
          hits: [hit(found)],
          answer: { text: found, citations: [cite(1, hit(found).passage)], refused: false },
        };
      },
  });
  const document: FlowDocument = {
    version: 1,
    name: "planted",
    input: { query: "text" },
    nodes: {
      first: { run: "test.first", in: { query: "input.query" } },
      second: { run: "test.second", in: { query: "first.query" } },
    },
    output: { hits: "second.hits", answer: "second.answer" },
  };
  return { started, seen, document, operators: [first, second] };
}

const dataOf = (questions: number): DataSet => ({
  passages: [
    { id: "gold", text: "gold", metadata: {} },
    { id: "other", text: "other", metadata: {} },
  ],
  questions: Array.from({ length: questions }, (_, id) => ({ id: `q${id}`, question: `${id}`, gold: ["gold"] })),
});

const grid = [
  { at: "first.x", values: [0, 1, 2, 3, 4] },
  { at: "second.y", values: [0, 1, 2, 3, 4] },
];

const tuned = (world: World, settings: Partial<TuneSettings> & { questions?: number } = {}) => {
  const { started, seen, document, operators } = flowOf(world);
  const { questions = 200, ...others } = settings;
  const asked = { document, operators, dataSet: dataOf(questions), settings: grid, metric: "recall@1", ...others };
  return { started, seen, run: () => tune(new KeptOutput(true), asked) };
};

const planted: World = { chance: (x, y) => (x === 3 && y === 2 ? 0.9 : 0.5) };

describe("tune", () => {
  it("finds a planted optimum with at most 40 % of the grid's calls, and confirms it on questions it never saw", async () => {
    const { started, run } = tuned(planted);
    const tuning = await run();
    expect(tuning.confirmed).toBe(true);
    expect(tuning.best!.changes).toEqual([
      { at: "first.x", from: undefined, to: 3 },
      { at: "second.y", from: undefined, to: 2 },
    ]);
    expect(tuning.best!.document.nodes.second!.with).toEqual({ y: 2 });
    expect(tuning.grid).toEqual({ combinations: 25, runs: 2500 });
    // the oracle is the world itself: from 0.5 to 0.9
    expect(tuning.best!.unseen.low).toBeLessThan(0.4);
    expect(tuning.best!.unseen.high).toBeGreaterThan(0.4);
    // the model is asked once for each question and value of the step that asks it: 25 combinations share five of those
    expect(tuning.spent.calls).toBe(started.first);
    expect(tuning.spent.calls).toBeLessThanOrEqual(0.4 * 2500);
    expect(started.first).toBeLessThanOrEqual(5 * 200);
    expect(tuning.spent.runs).toBeLessThanOrEqual(tuning.plan.runs);
  });

  it("asks only the best and the flow as it was the questions that judge", async () => {
    const { seen, run } = tuned(planted);
    await run();
    const [asItWas, best] = [seen.get("0 0")!, seen.get("3 2")!];
    expect([asItWas.size, best.size]).toEqual([200, 200]);
    seen.delete("0 0");
    seen.delete("3 2");
    expect(seen.size).toBe(23);
    const others = new Set([...seen.values()].flatMap((ids) => [...ids]));
    expect(others.size).toBe(100);
  });

  it("says that there is no winner on pure noise, for at least 90 of 100 seeds", async () => {
    let none = 0;
    for (let seed = 0; seed < 100; seed++) {
      const settings = grid.map(({ at }) => ({ at, values: [1, 2, 3] }));
      const { run } = tuned({ chance: () => 0.5, seed }, { questions: 40, seed, settings });
      if (!(await run()).confirmed) none++;
    }
    expect(none).toBeGreaterThanOrEqual(90);
  });

  it("keeps to its budgets of runs and of calls", async () => {
    const limited = await tuned(planted, { runs: 600 }).run();
    expect(limited.spent.runs).toBeLessThanOrEqual(600);
    const { started, run } = tuned(planted, { calls: 500 });
    expect((await run()).spent.calls).toBe(started.first);
    expect(started.first).toBeLessThanOrEqual(500);
    await expect(tuned(planted, { runs: 20 }).run()).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  it("takes less as better for a measure of cost, and then computes every run anew", async () => {
    const { started, run } = tuned(
      { chance: () => 0.5 },
      { metric: "tokens", questions: 20, settings: [{ at: "first.x", values: [5, 9] }] },
    );
    const { best, confirmed, before, smaller } = await run();
    expect({ best, confirmed, before, smaller }).toEqual({
      best: undefined,
      confirmed: false,
      before: 1,
      smaller: true,
    });
    expect(started.second).toBe(started.first);
    const larger = await tuned(
      { chance: () => 0.5 },
      { metric: "tokens", smaller: false, questions: 20, settings: [{ at: "first.x", values: [5, 9] }] },
    ).run();
    expect(larger.best!.changes).toEqual([{ at: "first.x", from: undefined, to: 9 }]);
    expect(larger.best!.unseen).toMatchObject({ mean: 90, low: 90, high: 90 });
  });

  it("drops a candidate that fails, says why, and names the fault where the flow as it was fails", async () => {
    const fails = (x: number) => x === 3;
    const tuning = await tuned({ ...planted, fails }, { questions: 40 }).run();
    expect(tuning.best?.changes.some(({ at, to }) => at === "first.x" && to === 3)).not.toBe(true);
    expect(tuning.trials.find(({ failure }) => failure)!.failure).toContain("no such luck");
    await expect(tuned({ ...planted, fails: () => true }).run()).rejects.toMatchObject({
      code: "NODE_FAILED",
      path: "planted/first",
    });
  });

  it.each<[string, Partial<TuneSettings>, object]>([
    ["a measure that there is none of", { metric: "recall@7" }, { code: "BAD_ARGUMENT", path: "metric" }],
    ["a value that its operator refuses", { settings: [{ at: "first.x", values: [3, 12] }] }, { code: "INVALID_FLOW" }],
    [
      "a node that there is none of",
      { settings: [{ at: "third.x", values: [3] }] },
      { code: "BAD_ARGUMENT", path: "third.x" },
    ],
    ["too few questions", { dataSet: dataOf(7) }, { code: "BAD_SOURCE" }],
  ])("refuses %s", async (_, settings, error) => {
    const { started, run } = tuned(planted, settings);
    await expect(run()).rejects.toMatchObject(error);
    if (settings.metric === undefined) expect(started.first).toBe(0);
  });

  it("takes up where it was, from its files of results", async () => {
    const out = await temporaryFolder();
    const once = await tuned(planted, { out, questions: 40 }).run();
    const { started, run } = tuned(planted, { out, questions: 40 });
    expect(await run()).toEqual({ ...once, spent: expect.anything() });
    expect(started).toEqual({ first: 0, second: 0 });
    expect((await readdir(out)).every((name) => name.endsWith(".jsonl"))).toBe(true);
  });
});

describe("printTuning", () => {
  const printed = async (world: World, json: boolean) => {
    const output = new KeptOutput(json);
    printTuning(output, await tuned(world, { questions: 100 }).run());
    return output;
  };

  it("shows what was tried, and the winner as a difference of the document", async () => {
    const { out } = await printed(planted, false);
    expect(out).toContain("Winner, on questions that the search never saw");
    expect(out).toContain("  second.y: (by default) → 2");
  });

  it("says that there is no winner, and gives all of it to machines", async () => {
    expect((await printed({ chance: () => 0.5 }, false)).out).toContain("No winner");
    const [line] = (await printed(planted, true)).lines;
    expect(line).toMatchObject({ flow: "planted", metric: "recall@1", confirmed: true, best: { failed: 0 } });
  });
});
