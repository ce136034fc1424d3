import { describe, expect, it } from "@jest/globals";
import { flow, type Hit } from "@tessera/core";
import { hostOf, runOperator, scriptedEncoder, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { mmr } from "./mmr.js";

const hit = (id: string, score: number, text = id): Hit => ({
  passage: { id, text, metadata: {} },
  score,
  provenance: [],
});
const order = (output: Record<string, unknown>) => (output.hits as Hit[]).map(({ passage }) => passage.id).join("");
const scores = (output: Record<string, unknown>) => (output.hits as Hit[]).map(({ score }) => score);
const host = () => hostOf({ "encoder/main": scriptedEncoder() });

// a and b say the same; c is orthogonal to both
const three = {
  hits: [hit("a", 1), hit("b", 0.9), hit("c", 0)],
  vectors: [
    [1, 0],
    [2, 0],
    [0, 5],
  ],
};

testOperator(mmr, {
  host,
  cases: [
    {
      name: "equals the steps by hand",
      config: { lambda: 0.5 },
      input: three,
      output: (output) => {
        // first a (0.5); then b has 0.5·0.9 − 0.5·1 = −0.05 and c has 0
        expect(order(output)).toBe("acb");
        expect(scores(output)).toEqual([0.5, 0, expect.closeTo(-0.05, 12)]);
      },
    },
    {
      name: "row 28: MMR with lambda 1 is the order of relevance",
      config: { lambda: 1 },
      input: three,
      output: (output) => expect(order(output)).toBe("abc"),
    },
    {
      name: "row 28: MMR with lambda 0 maximises novelty",
      config: { lambda: 0 },
      input: three,
      output: (output) => expect(order(output)).toBe("acb"),
    },
    {
      name: "asks the encoder",
      config: { encoder: "main", lambda: 1 },
      input: { query: "red apple", hits: [hit("x", 9, "blue sky"), hit("y", 1, "red apple")] },
      output: (output) => {
        expect(order(output)).toBe("yx");
        expect(scores(output)[0]).toBeCloseTo(1, 6);
      },
    },
    {
      name: "picks no more than it is told to",
      config: { top: 2 },
      input: three,
      output: (o) => expect(order(o)).toBe("ac"),
    },
    {
      name: "nothing stays nothing",
      config: { encoder: "main" },
      input: { query: "q", hits: [] },
      output: { hits: [] },
    },
  ],
});

const vector = fc.tuple(
  fc.integer({ min: -3, max: 3 }),
  fc.integer({ min: -3, max: 3 }),
  fc.integer({ min: 1, max: 3 }),
);
const many = fc.uniqueArray(fc.tuple(fc.constantFrom(..."abcdefg"), fc.integer({ min: 0, max: 9 }), vector), {
  selector: ([id]) => id,
  minLength: 1,
});

describe("reranker.mmr", () => {
  it("row 28: the output is a permutation whose scores never rise (equation 12), and agrees with a naive twin", async () => {
    await fc.assert(
      fc.asyncProperty(many, fc.constantFrom(0, 0.3, 0.5, 1), async (members, lambda) => {
        const found = members.map(([id, score]) => hit(id, score));
        const output = await runOperator(mmr, { lambda }, { hits: found, vectors: members.map(([, , v]) => v) });
        expect(order(output).split("").sort()).toEqual(members.map(([id]) => id).sort());
        const got = scores(output);
        for (let i = 1; i < got.length; i++) expect(got[i]!).toBeLessThanOrEqual(got[i - 1]!);

        const cosine = (a: number[], b: number[]) =>
          a.reduce((sum, x, i) => sum + x * b[i]!, 0) / Math.hypot(...a) / Math.hypot(...b);
        const [low, high] = [Math.min(...members.map((m) => m[1])), Math.max(...members.map((m) => m[1]))];
        const picked: typeof members = [];
        for (const id of order(output)) {
          const worth = ([, score, v]: (typeof members)[number]) =>
            lambda * (high === low ? 1 : (score - low) / (high - low)) -
            (1 - lambda) * Math.max(0, ...picked.map(([, , other]) => cosine(v, other)));
          const left = members.filter((member) => !picked.includes(member));
          const chosen = left.find((member) => member[0] === id)!;
          expect(worth(chosen)).toBeCloseTo(Math.max(...left.map(worth)), 9);
          picked.push(chosen);
        }
      }),
    );
  });

  it("its ports follow from its config, also in TypeScript", () => {
    flow(
      "typed",
      { query: "text", found: "hits", vectors: { list: { list: "number" } } },
      (f, { query, found, vectors }) => {
        f.node("a", mmr({ encoder: "main" }), { query, hits: found });
        f.node("b", mmr({ lambda: 0.7 }), { vectors, hits: found });
        // @ts-expect-error an encoder needs the query
        f.node("c", mmr({ encoder: "main" }), { hits: found });
        // @ts-expect-error without an encoder there are vectors
        f.node("d", mmr(), { query, hits: found });
        return { found };
      },
    );
  });
});
