import { describe, expect, it } from "@jest/globals";
import { mulberry32 } from "@tessera/core/internal";
import fc from "fast-check";
import { halve, planSearch } from "./halving.js";

describe("planSearch", () => {
  it("keeps within the runs that are given, asks the last rung everything, and never has fewer candidates than it could", () => {
    fc.assert(
      fc.property(
        fc.record({
          combinations: fc.integer({ min: 1, max: 400 }),
          choosing: fc.integer({ min: 4, max: 300 }),
          unseen: fc.integer({ min: 4, max: 300 }),
          runs: fc.option(fc.integer({ min: 1, max: 50_000 }), { nil: undefined }),
        }),
        (asked) => {
          let plan: ReturnType<typeof planSearch>;
          try {
            plan = planSearch(asked);
          } catch (error) {
            // too few only where one candidate, asked everything, does not fit
            expect(error).toMatchObject({ code: "BAD_ARGUMENT" });
            expect(asked.runs).toBeLessThan(2 * asked.choosing + 2 * asked.unseen);
            return;
          }
          if (asked.runs !== undefined) expect(plan.runs).toBeLessThanOrEqual(asked.runs);
          expect(plan.rungs.at(-1)!.questions).toBe(asked.choosing);
          for (const [index, rung] of plan.rungs.entries()) {
            expect(rung.candidates).toBeGreaterThan(0);
            const before = plan.rungs[index - 1];
            if (before) expect(rung.questions).toBeGreaterThanOrEqual(before.questions);
            if (before) expect(rung.candidates).toBe(Math.ceil(plan.rungs[0]!.candidates / 3 ** index));
          }
          // an independent count of the runs: every candidate of a rung is asked what it was not asked before
          let count = asked.choosing + 2 * asked.unseen;
          const been = new Array<number>(plan.rungs[0]!.candidates).fill(0);
          for (const { candidates, questions } of plan.rungs)
            for (let one = 0; one < candidates; one++) {
              count += questions - been[one]!;
              been[one] = questions;
            }
          expect(plan.runs).toBe(count);
        },
      ),
    );
  });

  it("takes at most 40 % of the grid by itself, from 15 combinations and 100 questions on", () => {
    for (let combinations = 15; combinations <= 200; combinations++) {
      const plan = planSearch({ combinations, choosing: 100, unseen: 0 });
      expect(plan.runs).toBeLessThanOrEqual(0.4 * combinations * 100);
    }
  });
});

describe("halve", () => {
  /** Candidates with a chance of being right for each question, and how many runs that took. */
  async function search(chances: readonly number[], questions: number, seed: number) {
    const plan = planSearch({ combinations: chances.length, choosing: questions, unseen: 0 });
    const values = new Map<number, number[]>();
    const random = mulberry32(seed);
    let runs = 0;
    const standings = await halve([...chances.keys()], plan, async (candidate, count) => {
      const known = values.get(candidate) ?? [];
      values.set(candidate, known);
      for (; known.length < count; runs++) known.push(Number(random() < chances[candidate]!));
      return { values: [...known] };
    });
    return { best: standings[0]!.candidate, standings, runs };
  }

  it("finds a planted optimum with at most 40 % of the grid's runs, in at least 95 of 100 seeds", async () => {
    let found = 0;
    for (let seed = 0; seed < 100; seed++) {
      const chances = Array.from({ length: 27 }, (_, index) => (index === (seed * 7) % 27 ? 0.8 : 0.5));
      const { best, runs } = await search(chances, 120, seed);
      expect(runs).toBeLessThanOrEqual(0.4 * 27 * 120);
      if (best === (seed * 7) % 27) found++;
    }
    expect(found).toBeGreaterThanOrEqual(95);
  });

  it("ranks those that were asked more before those that left, keeps the order of equals, and lets those that fail go", async () => {
    const plan = {
      rungs: [
        { candidates: 6, questions: 2 },
        { candidates: 2, questions: 6 },
      ],
      runs: 0,
    };
    const means = [0.1, 0.5, 0.5, 0.9, 0.2, 0.5];
    const standings = await halve([0, 1, 2, 3, 4, 5], plan, async (candidate, count) =>
      candidate === 3 && count > 2
        ? { values: [0.9, 0.9], failure: "NODE_FAILED: no" }
        : { values: new Array<number>(count).fill(means[candidate]!) },
    );
    expect(standings.map(({ candidate }) => candidate)).toEqual([1, 2, 5, 4, 0, 3]);
    expect(standings.map(({ values }) => values.length)).toEqual([6, 2, 2, 2, 2, 2]);
    expect(standings.at(-1)!.failure).toBe("NODE_FAILED: no");
  });
});
