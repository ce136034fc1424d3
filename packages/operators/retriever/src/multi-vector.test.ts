import { describe, expect, it } from "@jest/globals";
import type { Hit, Passage, Resource } from "@tessera/core";
import { ExactStore } from "@tessera/stores";
import { hostOf, runOperator, scriptedEncoder, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { headImportance, headOf } from "./heads.js";
import { multiVector } from "./multi-vector.js";

const passages: Passage[] = ["red lantern", "old harbour", "rye bread", "red harbour bread"].map((text, index) => ({
  id: `p${index}`,
  text,
  metadata: {},
}));
const whole = scriptedEncoder(64);
const heads = [0, 1, 2, 3].map((index) => headOf(whole, index, 4));
const resources: Record<string, Resource> = {};
for (const [index, encoder] of heads.entries()) {
  const store = new ExactStore({ space: encoder.space({}), width: 16 });
  await store.upsert(
    passages,
    await encoder.encode(
      passages.map(({ text }) => text),
      { kind: "text" },
    ),
  );
  Object.assign(resources, { [`store/head-${index}`]: store, [`encoder/head-${index}`]: encoder });
}
const config = {
  heads: [0, 1, 2, 3].map((index) => ({ store: `head-${index}`, encoder: `head-${index}`, weight: index + 1 })),
  top: 4,
};

// a naive twin: every head sorts all passages by cosine, and votes
const votes = new Map(passages.map(({ id }) => [id, 0]));
for (const [index, encoder] of heads.entries()) {
  const [query] = await encoder.encode(["red lantern"], { kind: "query" });
  const vectors = await encoder.encode(
    passages.map(({ text }) => text),
    { kind: "text" },
  );
  const cosine = (vector: Float32Array) =>
    vector.reduce((sum, x, i) => sum + x * query![i]!, 0) / (Math.hypot(...vector) * Math.hypot(...query!) || 1);
  const ranked = passages
    .map(({ id }, place) => ({ id, cosine: cosine(vectors[place]!) }))
    .sort((a, b) => b.cosine - a.cosine || (a.id < b.id ? -1 : 1));
  for (const [place, { id }] of ranked.entries()) votes.set(id, votes.get(id)! + (index + 1) / 2 ** place);
}

testOperator(multiVector, {
  host: () => hostOf(resources),
  cases: [
    {
      name: "row 24: the votes are s_i · 2^(−p), summed over the heads",
      config,
      input: { query: "red lantern" },
      output: ({ hits }) => {
        const found = hits as Hit[];
        for (const { passage, score } of found) expect(score).toBeCloseTo(votes.get(passage.id)!, 12);
        expect(found.map(({ score }) => score)).toEqual([...votes.values()].sort((a, b) => b - a));
        // each head gives 1 + 1/2 + 1/4 + 1/8 of its weight, to whomever
        expect(found.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(10 * 1.875, 12);
      },
    },
  ],
});

describe("heads", () => {
  it("row 24: one head alone is its store's own order", async () => {
    const [only] = config.heads;
    const { hits } = await runOperator(
      multiVector,
      { heads: [only] },
      { query: "harbour" },
      { host: hostOf(resources) },
    );
    const [vector] = await heads[0]!.encode(["harbour"], { kind: "query" });
    const alone = await (resources["store/head-0"] as ExactStore).search({ vector: vector!, top: 10 });
    expect((hits as Hit[]).map(({ passage }) => passage.id)).toEqual(alone.map(({ passage }) => passage.id));
  });

  it("are refused where a store holds another head's vectors, or there is no such part", async () => {
    const crossed = { heads: [{ store: "head-0", encoder: "head-1" }] };
    await expect(runOperator(multiVector, crossed, { query: "q" }, { host: hostOf(resources) })).rejects.toMatchObject({
      code: "SPACE_MISMATCH",
    });
    expect(() => headOf(whole, 4, 4)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    await expect(headOf(whole, 0, 3).encode(["x"], { kind: "text" })).rejects.toMatchObject({ code: "SPACE_MISMATCH" });
  });

  it("have the importance that counting every pair gives", () => {
    const component = fc.float({ min: -1, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(component, component, component), { minLength: 2, maxLength: 8 }), (rows) => {
        const vectors = rows.map((row) => Float32Array.from(row)).filter((vector) => Math.hypot(...vector) > 1e-3);
        fc.pre(vectors.length > 1);
        const unit = vectors.map((vector) => [...vector].map((x) => x / Math.hypot(...vector)));
        let [distance, pairs] = [0, 0];
        for (const [i, a] of unit.entries())
          for (const [j, b] of unit.entries())
            if (i !== j) {
              distance += 1 - a.reduce((sum, x, k) => sum + x * b[k]!, 0);
              pairs++;
            }
        const length = vectors.reduce((sum, vector) => sum + Math.hypot(...vector), 0) / vectors.length;
        expect(headImportance(vectors)).toBeCloseTo((length * distance) / pairs, 5);
      }),
    );
  });
});
