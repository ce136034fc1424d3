import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import { openCodeEncoder } from "../encoders/code-encoder.js";
import { cpuEngine } from "../engines/cpu.js";
import { ragged } from "../engines/engine.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { cosine } from "../engines/vectors.fixture.js";
import { kindOfCheckpoint, openEncoderFiles, openEncoderModel } from "../formats/open-model.js";
import { parseTokenizer } from "../tokenizer/tokenizer.js";
import { openCrossEncoder } from "./cross-encoder.js";
import type { EncoderModel } from "./encoder.js";

// written by `python tiny_encoders.py` (apps/train): the models' own libraries computed the vectors and the scores
const folderOf = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const goldenOf = async (name: string) => JSON.parse(await readFile(join(folderOf(name), "golden.json"), "utf8"));

const engines = () => [
  { engine: referenceEngine(), least: 0.999999 },
  { engine: cpuEngine({ workers: 1, precision: "fp32" }), least: 0.999999 },
  { engine: cpuEngine({ workers: 1 }), least: 0.99 },
];

interface Case {
  readonly ids: readonly number[];
  readonly vectors: Readonly<Record<string, readonly number[]>>;
}

/** Every engine gives the golden vectors, each within its precision. */
async function expectVectors(model: EncoderModel, cases: readonly Case[]): Promise<void> {
  const batch = ragged(cases.map(({ ids }) => ids));
  for (const { engine, least } of engines()) {
    const session = await engine.loadEncoder(model);
    try {
      for (const layer of Object.keys(cases[0]!.vectors)) {
        const found = await session.encode(batch, Number(layer));
        for (const [i, { vectors }] of cases.entries()) {
          const vector = found.subarray(i * model.hidden, (i + 1) * model.hidden);
          expect(cosine(vector, Float32Array.from(vectors[layer]!))).toBeGreaterThan(least);
        }
      }
    } finally {
      await session.close();
    }
  }
}

describe("ModernBERT", () => {
  it("has the vectors of transformers after a middle layer and the last, and its tokenizer's ids", async () => {
    const { cases } = (await goldenOf("modernbert-tiny")) as {
      cases: { text: string; ids: number[]; mean: Case["vectors"] }[];
    };
    const { model, tokenizer } = await openEncoderFiles(folderOf("modernbert-tiny"));
    // texts are longer than a local layer sees
    expect(Math.max(...cases.map(({ ids }) => ids.length))).toBeGreaterThan(9);
    expect(model.blocks.map(({ reach }) => reach)).toEqual([undefined, 4, 4, undefined]);
    await expectVectors(
      model,
      cases.map(({ ids, mean }) => ({ ids, vectors: mean })),
    );
    const ids = parseTokenizer(tokenizer.document);
    const { before, after } = model.frames.text;
    for (const { text, ids: expected } of cases) expect([...before, ...ids.encode(text), ...after]).toEqual(expected);
  });
});

describe("Qwen3-Embedding", () => {
  it("has the vectors of transformers at the last token, behind its instruction", async () => {
    const { cases } = (await goldenOf("qwen3-embedding-tiny")) as {
      cases: { text: string; ids: number[]; prompted: number[]; last: number[] }[];
    };
    const folder = folderOf("qwen3-embedding-tiny");
    expect(await kindOfCheckpoint(folder)).toBe("encoder");
    const { model, tokenizer } = await openEncoderFiles(folder);
    expect({ pooling: model.pooling, causal: model.causal }).toEqual({ pooling: "last", causal: true });
    await expectVectors(
      model,
      cases.map(({ ids, last }) => ({ ids, vectors: { 2: last } })),
    );
    const ids = parseTokenizer(tokenizer.document);
    const { prompt, before, after } = model.frames.query;
    for (const { text, prompted } of cases)
      expect([...before, ...ids.encode(prompt + text), ...after]).toEqual(prompted);
    expect(model.frames.text.prompt).toBeUndefined();
  });
});

describe("a table of model2vec", () => {
  it("has the vectors of its own library, with words that the tokenizer does not know", async () => {
    const { texts, vectors } = (await goldenOf("model2vec-tiny")) as { texts: string[]; vectors: number[][] };
    const folder = folderOf("model2vec-tiny");
    expect(await kindOfCheckpoint(folder)).toBe("encoder");
    for (const { engine } of engines()) {
      const encoder = await openCodeEncoder(folder, engine);
      try {
        const found = await encoder.encode([...texts, ""], { kind: "text" });
        for (const [i, vector] of vectors.entries())
          expect(cosine(found[i]!, Float32Array.from(vector))).toBeGreaterThan(0.9999);
        expect([...found.at(-1)!].every((value) => value === 0)).toBe(true);
      } finally {
        await encoder.close();
      }
    }
  });
});

describe("a cross-encoder", () => {
  it("has the scores of transformers, also where a pair is cut", async () => {
    const { query, texts, scores } = (await goldenOf("cross-tiny")) as {
      query: string;
      texts: string[];
      scores: number[];
    };
    for (const { engine, least } of engines()) {
      const reranker = await openCrossEncoder(folderOf("cross-tiny"), engine);
      try {
        const found = await reranker.rank(query, texts);
        for (const [i, score] of scores.entries())
          expect(Math.abs(found[i]! - score)).toBeLessThan(least > 0.999 ? 1e-4 : 0.2);
        expect(await reranker.rank(query, [])).toEqual([]);
      } finally {
        await reranker.close();
      }
    }
  });

  it("is refused where the folder is another model", async () => {
    await expect(openCrossEncoder(folderOf("bert-tiny"))).rejects.toMatchObject({
      code: "BAD_BUNDLE",
      message: expect.stringContaining("no cross-encoder"),
    });
    await expect(openCrossEncoder(folderOf("modernbert-tiny"))).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
    await expect(openEncoderModel(folderOf("cross-tiny"))).rejects.toMatchObject({ code: "BAD_BUNDLE" });
  });
});
