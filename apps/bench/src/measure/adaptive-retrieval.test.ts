import { describe, expect, it } from "@jest/globals";
import type { CodeEncoder } from "@tessera/models";
import { type AdaptiveSet, measureAdaptive } from "./adaptive-retrieval.js";

/** A text of a number is a vector at that angle; exit 0 sees each passage turned by what stands after its blank. */
const angles = (text: string, exit: number): Float32Array => {
  const [own, wrong = 0] = text.split(" ").map(Number);
  const angle = exit === 0 ? own! + wrong : own!;
  return Float32Array.of(Math.cos(angle), Math.sin(angle));
};
const read: string[] = [];
const encoder = {
  model: {
    architecture: "tessera-bert-exits",
    default: { query: 6, index: 6 },
    exits: [{ layer: 0 }, { layer: 6 }],
    pairs: [0, 6].flatMap((query) => [0, 6].map((index) => ({ query, index }))),
  },
  space: () => "angles",
  encode: async (texts: readonly string[], { exit = 6 }: { exit?: number }) => {
    read.push(...texts.map((text) => `${exit} ${text}`));
    return texts.map((text) => angles(text, exit));
  },
} as unknown as CodeEncoder;
/** Exit 0 puts the gold passage of the question "0" third; of "1" first. */
const set: AdaptiveSet = {
  kind: "code",
  passages: ["0 0.5", "0.3 -0.2", "-0.4 0.1", "1"],
  questions: [
    { text: "0", gold: 0 },
    { text: "1", gold: 3 },
  ],
};

describe("adaptive retrieval on a tiny set", () => {
  it("reaches what the index gives without a look, and what the last exit gives where the look is deep enough", async () => {
    const reached = await measureAdaptive(encoder, set, [0, 2, 3]);
    const of = (index: number, query: number, depth: number) =>
      reached.find((one) => one.index === index && one.query === query && one.depth === depth)?.reciprocals;
    expect(of(6, 6, 0)).toEqual([1, 1]);
    expect(of(0, 6, 0)).toEqual([1 / 3, 1]);
    expect(of(0, 6, 2)).toEqual([1 / 3, 1]);
    expect(of(0, 6, 3)).toEqual([1, 1]);
  });

  it("looks at nothing again where the index is at the last exit", async () => {
    const reached = await measureAdaptive(encoder, set, [0, 3]);
    expect(reached.filter(({ index }) => index === 6).map(({ query, depth }) => [query, depth])).toEqual([
      [0, 0],
      [6, 0],
    ]);
    expect(reached.filter(({ index }) => index === 0)).toHaveLength(4);
  });

  it("counts a look as deep passages and one deep query more", async () => {
    const reached = await measureAdaptive(encoder, set, [0, 2]);
    const [plain, looked] = reached.filter(({ index, query }) => index === 0 && query === 0);
    const deep = reached.find(({ index, query }) => index === 6 && query === 6)!;
    expect(looked!.asking).toBeCloseTo(plain!.asking + 2 * deep.indexing + deep.asking, 6);
  });
});
