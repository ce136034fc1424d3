import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { dot } from "@tessera/core/internal";
import type { EncoderModel, Matrix } from "../architectures/encoder.js";
import { pairsOf } from "../architectures/encoder.js";
import { type EncoderSession, ragged } from "../engines/engine.js";
import { type CodeEncoder, encoderOver } from "./code-encoder.js";
import { indexEncoder } from "./index-encoder.js";
import { openVectors } from "./vectors.js";

const matrix = (rows: number, columns: number): Matrix => ({ rows, columns, values: new Float32Array(rows * columns) });

/** A session that counts what it computes: a text's vector is at the angle of its first id times the exit. */
function counted(exits: readonly number[], architecture = "tessera-bert-exits") {
  const computed: { exit: number; texts: number }[] = [];
  const session: EncoderSession = {
    exits,
    hidden: 2,
    async encode({ ids, offsets }, exit) {
      computed.push({ exit, texts: offsets.length - 1 });
      const angles = [...offsets.slice(0, -1)].map((offset) => (ids[offset]! * (exit + 1)) / 500);
      return Float32Array.from(angles.flatMap((angle) => [Math.cos(angle), Math.sin(angle)]));
    },
    close: async () => {},
  };
  const frame = { before: [], after: [], maxTokens: 8 };
  const last = exits.at(-1)!;
  const model = {
    name: "counted",
    revision: "1",
    architecture,
    hidden: 2,
    embedding: matrix(256, 2),
    exits: exits.map((layer) => ({ layer })),
    widths: [2],
    frames: { query: frame, code: frame, text: frame },
    pairs: pairsOf(exits),
    default: { query: last, index: last },
  } as unknown as EncoderModel;
  const tokenizer = { encode: async (texts: readonly string[]) => ragged(texts.map((text) => [text.charCodeAt(0)])) };
  return { computed, encoder: encoderOver(session, model, { kind: "cpu", device: "", dtype: "fp32" }, tokenizer) };
}

describe("an encoder as an index uses it", () => {
  it("indexes exit 0, asks with the deepest, and looks closer with it; deep vectors are made once", async () => {
    const { computed, encoder } = counted([0, 2, 6]);
    const index = indexEncoder(encoder, "code");
    expect(index.space({})).toBe(encoder.space({ exit: 0 }));
    expect(index.searches({})).toContain(index.space({}));
    expect(index).toMatchObject({ closer: { exit: 6 }, words: 0.4, languages: ["en"] });
    expect(indexEncoder(counted([0, 2, 6], "bert").encoder, "code").languages).toBeUndefined();
    await index.encode(["a", "b"], { kind: "text" });
    await index.encode(["a"], { kind: "query" });
    await index.encode(["a"], { kind: "query", exit: 6 });
    const [first] = await index.encode(["a", "b"], { kind: "text", exit: 6 });
    const [b, c, again] = await index.encode(["b", "c", "a"], { kind: "text", exit: 6 });
    expect(computed).toEqual([
      { exit: 0, texts: 2 },
      { exit: 6, texts: 1 },
      { exit: 6, texts: 1 },
      { exit: 6, texts: 2 },
      { exit: 6, texts: 1 },
    ]);
    expect([...again!]).toEqual([...first!]);
    const fresh = await encoder.encode(["b", "c"], { kind: "text", exit: 6 });
    expect([[...b!], [...c!]]).toEqual(fresh.map((vector) => [...vector]));
  });

  it("indexes the exit that is named, or the default where there is no exit 0, and then looks no closer", async () => {
    const exits = counted([0, 2, 6]).encoder;
    expect(indexEncoder(exits, "text", 6).closer).toBeUndefined();
    expect(indexEncoder(exits, "text", 6)).toMatchObject({ words: 0.3 });
    expect(indexEncoder(exits, "text", 2)).toMatchObject({ closer: { exit: 6 } });
    expect(() => indexEncoder(exits, "text", 5)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    const plain = indexEncoder(counted([1, 2, 3], "bert").encoder, "code");
    expect(plain).toMatchObject({ closer: undefined, words: 0 });
    expect(plain.space({})).toMatch(/exit-3/);
    // of an encoder that was not measured nothing is known
    expect(indexEncoder(counted([1, 2], "tessera-encoder").encoder, "code")).toMatchObject({ words: 0.5 });
  });
});

describe("the name of what makes vectors", () => {
  let encoder: CodeEncoder | undefined;
  beforeAll(async () => {
    const vectors = await openVectors("code-encoder");
    encoder = vectors.model;
  });
  afterAll(() => encoder?.close());

  it("takes hash, a model, both, and an exit", async () => {
    const hash = await openVectors("hash");
    expect(hash).toMatchObject({ usesHash: true, model: undefined });
    const joined = await openVectors("hash+code-encoder@4");
    expect(joined.usesHash).toBe(true);
    const over = joined.encoderOver(undefined, "code");
    expect(over.space({})).toMatch(/exit-4\/width-128/);
    const [vector] = await over.encode(["a list"], { kind: "text" });
    expect(vector).toHaveLength(joined.widthOver(undefined));
    expect(dot(vector!, vector!)).toBeCloseTo(1, 4);
    await joined.close();
    const error = await openVectors("code-encoder@5").catch((thrown: unknown) => thrown);
    expect(TesseraError.is(error) && error.code).toBe("BAD_ARGUMENT");
    await expect(openVectors("no-such-model")).rejects.toMatchObject({ code: "UNKNOWN_RESOURCE" });
  });
});
