import { describe, expect, it } from "@jest/globals";
import { type Encoder, type Hit, type Passage, TesseraError } from "@tessera/core";
import { ExactStore } from "@tessera/stores";
import { contextOf, hostOf, runOperator, testOperator } from "@tessera/testkit";
import { adaptive } from "./adaptive.js";

/**
 * An encoder of three exits whose passages lie on the axes: exit 2 cannot tell x from y, exit 4 can a little, exit 6 can.
 * A query that says "clear" is told apart at once.
 */
const views: Record<number, [number, number]> = { 2: [Math.SQRT1_2, Math.SQRT1_2], 4: [0.72, 0.694], 6: [1, 0] };
const asked: (number | undefined)[] = [];
const encoder: Encoder = {
  revision: "1",
  space: ({ exit = 6 }) => `axes/exit-${exit}`,
  searches: ({ exit = 6 }) => (exit === 3 ? ["axes/exit-3"] : [`axes/exit-${exit}`, "axes/exit-6"]),
  encode: async (texts, { exit }) => {
    asked.push(exit);
    return texts.map((text) => Float32Array.from(text.includes("clear") ? [0, 1] : views[exit ?? 6]!));
  },
};
const passages: Passage[] = ["x", "y"].map((id) => ({ id, text: id, metadata: {} }));
const store = new ExactStore({ space: "axes/exit-6", width: 2 });
await store.upsert(passages, [Float32Array.of(1, 0), Float32Array.of(0, 1)]);
const host = () => hostOf({ "store/axes": store, "encoder/main": encoder });
const config = { store: "axes", encoder: "main", exits: [2, 4, 6], margin: 0.1, top: 1 };
const ids = (output: Record<string, unknown>) => (output.hits as Hit[]).map(({ passage }) => passage.id);

testOperator(adaptive, {
  host,
  cases: [
    {
      name: "a clear question is answered by the first exit",
      config,
      input: { query: "clear" },
      output: (output) => expect([ids(output), output.depth]).toEqual([["y"], 2]),
    },
    {
      name: "a close one goes down until the margin is reached",
      config,
      input: { query: "which" },
      output: (output) => expect([ids(output), output.depth]).toEqual([["x"], 6]),
    },
    {
      name: "a margin of zero never goes deeper",
      config: { ...config, margin: 0 },
      input: { query: "which" },
      output: (output) => expect(output.depth).toBe(2),
    },
    {
      name: "one admitted passage has no rival",
      config,
      input: { query: "which", filter: { field: "id", equals: "y" } },
      output: (output) => expect([ids(output), output.depth]).toEqual([["y"], 2]),
    },
  ],
});

describe("retriever.adaptive", () => {
  it("spends the layers of the exits it tried, and its bound is all of them", async () => {
    const context = contextOf();
    asked.length = 0;
    await runOperator(adaptive, config, { query: "which" }, { host: host(), context });
    expect(asked).toEqual([2, 4, 6]);
    expect(context.spent.layers).toBe(2 + 4 + 6);
    expect(adaptive.bound?.(adaptive.config.parse(config))).toEqual({ calls: 0, tokens: 0, layers: 12 });
  });

  it("refuses an exit whose queries may not search the store, and exits that do not rise", async () => {
    const refused = await Promise.resolve(
      adaptive.setup(adaptive.config.parse({ ...config, exits: [3, 6] }), host()),
    ).catch((error: unknown) => error);
    expect(TesseraError.is(refused) && refused.code).toBe("SPACE_MISMATCH");
    expect(adaptive.config.safeParse({ ...config, exits: [4, 2] }).success).toBe(false);
  });
});
