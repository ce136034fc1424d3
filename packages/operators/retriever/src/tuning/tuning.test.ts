import { describe, expect, it } from "@jest/globals";
import type { Hit, Passage } from "@tessera/core";
import { softmax } from "@tessera/core/internal";
import { ExactStore } from "@tessera/stores";
import { contextOf, hostOf, runOperator, scriptedEncoder, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { dense } from "../dense.js";
import { adaptQuery } from "./adapt.js";
import { type Adapter, adapt, type Loss, lossOf } from "./adapter.js";
import { recall } from "./recall.js";
import { supervise } from "./supervise.js";
import { superviseByModel } from "./supervise-by-model.js";

// the questions say in other words what the passages say: only learning can bring them together
const words = Array.from({ length: 24 }, (_, index) => [`ask${index}`, `told${index}`] as const);
const encoder = scriptedEncoder(256);
const host = () => hostOf({ "encoder/encoder": encoder });
const pairOf = (a: number, b: number) => ({
  query: `${words[a]![0]} ${words[b]![0]}`,
  positive: `${words[a]![1]} ${words[b]![1]}`,
});
const all = words.flatMap((_, a) => words.slice(a + 1).map((__, b) => pairOf(a, a + 1 + b)));
const train = all.filter((_, index) => index % 3 !== 0);
const heldOut = all.filter((_, index) => index % 3 === 0);
const settings = { encoder: "encoder", rank: 24, learningRate: 0.003, epochs: 10 };
const falls = (losses: number[]) => expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2);

testOperator(supervise, {
  host,
  cases: [
    {
      name: "row 25: learns from pairs, and its loss falls",
      config: { ...settings, others: 31 },
      input: { pairs: train },
      output: ({ losses }) => falls(losses as number[]),
    },
  ],
});

const records = train.slice(0, 120).map(({ query, positive }, index) => ({
  query,
  docs: [positive, ...[1, 2, 3].map((step) => train[(index + 7 * step) % train.length]!.positive)],
  lmScore: [-0.2, -0.6, -0.7, -0.8],
}));

testOperator(superviseByModel, {
  host,
  cases: [
    {
      name: "row 26: the divergence from what the model thinks falls over the epochs",
      config: settings,
      input: { records },
      output: ({ losses }) => falls(losses as number[]),
    },
  ],
});

const identity: Adapter = {
  ...{ space: encoder.space({}), width: 256, rank: 1 },
  ...{ up: Array(256).fill(0), down: Array(256).fill(1) },
};

testOperator(adaptQuery, {
  host,
  cases: [
    {
      name: "leaves a query as it is where U is 0",
      config: { encoder: "encoder" },
      input: { query: "ask1", adapter: identity },
      output: ({ vector }) => expect((vector as number[]).filter(Boolean)).toHaveLength(1),
    },
  ],
});

describe("tuning", () => {
  it.each<Loss>(["contrastive", "divergence"])(
    "row 25: the gradient of the %s loss (equations 10 and 16) equals finite differences",
    (loss) => {
      const score = fc.double({ min: -1, max: 1, noNaN: true });
      fc.assert(
        fc.property(fc.array(fc.tuple(score, score), { minLength: 2, maxLength: 6 }), (rows) => {
          const scores = rows.map(([value]) => value);
          const shares = softmax(
            rows.map(([, value]) => value),
            0.5,
          );
          const target = loss === "contrastive" ? scores.map((_, i) => Number(i === 0)) : shares;
          const at = (values: number[]) => lossOf(values, target, loss, 0.3).value;
          const { gradient } = lossOf(scores, target, loss, 0.3);
          for (const [i, slope] of gradient.entries()) {
            const moved = (step: number) => scores.map((value, j) => (i === j ? value + step : value));
            expect(slope).toBeCloseTo((at(moved(1e-5)) - at(moved(-1e-5))) / 2e-5, 4);
          }
        }),
      );
    },
  );

  it("row 26: the shares of equation 11 sum to 1, and keep the order of the scores", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -30, max: 0, noNaN: true }), { minLength: 1 }), (scores) => {
        const shares = softmax(scores, 0.1);
        expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
        expect(shares[scores.indexOf(Math.max(...scores))]).toBe(Math.max(...shares));
      }),
    );
  });

  it("row 27, row 59: recall on questions that were held out is higher after learning than before", async () => {
    const passages = all.map(({ positive }, index): Passage => ({ id: `p${index}`, text: positive, metadata: {} }));
    const store = new ExactStore({ space: encoder.space({}), width: 256 });
    const texts = passages.map(({ text }) => text);
    await store.upsert(passages, await encoder.encode(texts, { kind: "text" }));
    const both = hostOf({ "encoder/encoder": encoder, "store/dense": store });
    const { adapter } = await runOperator(supervise, { ...settings, others: 31 }, { pairs: train }, { host: both });
    const recallOf = async (learnt: unknown) => {
      let found = 0;
      for (const { query, positive } of heldOut) {
        const { vector } = await runOperator(
          adaptQuery,
          { encoder: "encoder" },
          { query, adapter: learnt },
          { host: both },
        );
        const input = { query, vector: vector as number[] };
        const { hits } = await runOperator(dense, { store: "dense", encoder: "encoder", top: 5 }, input, {
          host: both,
        });
        found += Number((hits as Hit[]).some(({ passage }) => passage.text === positive));
      }
      return found / heldOut.length;
    };
    const before = await recallOf(identity);
    const after = await recallOf(adapter);
    expect(before).toBeLessThan(0.3);
    expect(after).toBeGreaterThan(0.8);
  });

  it("keeps the epoch with the least loss on the pairs held back, and ends when it has not fallen for five", async () => {
    const wrong = train.slice(0, 40).map(({ query }, index) => ({ ...train[(17 * index) % 40]!, query }));
    const learn = (more: object, pairs = wrong) =>
      runOperator(supervise, { ...settings, ...more }, { pairs }, { host: host(), context: contextOf() });
    const { adapter, losses, validation } = (await learn({ epochs: 60, validation: 0.25 })) as {
      [port: string]: unknown;
      losses: number[];
      validation: number[];
    };
    const best = validation.indexOf(Math.min(...validation));
    expect(losses.length).toBe(best + 5);
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    if (best === 0) expect((adapter as Adapter).up.every((value) => value === 0)).toBe(true);
    else expect((await learn({ epochs: best, validation: 0.25 })).adapter).toEqual(adapter);
    // with none held back it is the last epoch
    const { adapter: last, validation: none } = await learn({ epochs: 2, validation: 0 });
    expect(none).toEqual([]);
    expect(last).not.toEqual((await learn({ epochs: 1, validation: 0 })).adapter);
  });

  it("measures recall with an adapter and without, by the text of a passage or its title and text", async () => {
    const store = new ExactStore({ space: encoder.space({}), width: 256 });
    const passages = [
      { id: "a", text: "told1", metadata: {} },
      { id: "b", text: "told2", title: "Second", metadata: {} },
      { id: "c", text: "told3", metadata: {} },
    ];
    await store.upsert(passages, await encoder.encode(["told1", "told2", "told3"], { kind: "text" }));
    const both = hostOf({ "encoder/encoder": encoder, "store/dense": store });
    const measure = async (pairs: object[], more: object = {}) =>
      (
        await runOperator(recall, { store: "dense", encoder: "encoder", top: 1 }, { pairs, ...more } as never, {
          host: both,
        })
      ).recall;
    const asked = [
      { query: "told1", positive: "told1" },
      { query: "told2", positive: "Second\ntold2" },
      { query: "told3", positive: "told1" },
      { query: "told3", positive: "elsewhere" },
    ];
    expect(await measure(asked)).toBe(0.5);
    expect(await measure(asked, { adapter: identity })).toBe(0.5);
    expect(await measure([])).toBe(0);
    await expect(measure(asked, { adapter: { ...identity, space: "another" } })).rejects.toMatchObject({
      code: "SPACE_MISMATCH",
    });
  });

  it("gives the same adapter for the same seed, and refuses one of another encoder, and no examples", async () => {
    const config = { ...settings, rank: 2, epochs: 1 };
    const once = () =>
      runOperator(supervise, config, { pairs: train.slice(0, 20) }, { host: host(), context: contextOf() });
    expect(await once()).toEqual(await once());
    const other = hostOf({ "encoder/encoder": scriptedEncoder(64) });
    await expect(
      runOperator(adaptQuery, { encoder: "encoder" }, { query: "q", adapter: identity }, { host: other }),
    ).rejects.toMatchObject({ code: "SPACE_MISMATCH" });
    expect(() => adapt({ ...identity, up: [] }, new Float32Array(256), identity.space)).toThrow(
      expect.objectContaining({ code: "SPACE_MISMATCH" }),
    );
    await expect(runOperator(supervise, config, { pairs: [] }, { host: host() })).rejects.toMatchObject({
      code: "BAD_VALUE",
    });
  });
});
