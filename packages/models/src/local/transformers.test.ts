import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "@jest/globals";
import type { TesseraError } from "@tessera/core";
import { cosine } from "../engines/vectors.fixture.js";
import { openTransformersEncoder } from "./transformers-encoder.js";
import { openTransformersReranker } from "./transformers-reranker.js";

// written by `python tiny_encoders.py` (apps/train): transformers computed the vectors and the scores
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const read = async (path: string) => JSON.parse(await readFile(path, "utf8"));

const program = fileURLToPath(new URL("transformers.fixture.ts", import.meta.url));
const sources = new URL("../../../../apps/setup/sources.mjs", import.meta.url).href;

describe("models that transformers.js computes", () => {
  it("have the vectors and scores of transformers", async () => {
    const { cases } = (await read(join(fixture("bert-tiny"), "golden.json"))) as {
      cases: { text: string; mean: Record<string, number[]> }[];
    };
    const golden = await read(join(fixture("cross-tiny"), "golden.json"));
    const texts = cases.map(({ text }) => text);
    const asked = JSON.stringify({ texts, query: golden.query, passages: golden.texts });
    const words = [`--import=${sources}`, program, fixture("bert-tiny"), fixture("cross-tiny"), asked];
    const env = { ...process.env, NODE_OPTIONS: "" };
    const { stdout } = await promisify(execFile)(process.execPath, ["--conditions=@tessera/source", ...words], { env });
    const { name, width, vectors, scores } = JSON.parse(stdout);
    expect({ name, width }).toEqual({ name: "bert-tiny", width: 32 });
    for (const [i, { mean }] of cases.entries()) {
      expect(vectors[i]).toHaveLength(32);
      expect(cosine(Float32Array.from(vectors[i]), Float32Array.from(mean["3"]!))).toBeGreaterThan(0.99999);
    }
    expect(scores).toHaveLength(golden.scores.length);
    for (const [i, score] of golden.scores.entries()) expect(scores[i]).toBeCloseTo(score, 4);
  });

  it("are refused by what their folder lacks", async () => {
    const codeOf = async (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => "none",
        (error: TesseraError) => `${error.code}: ${error.message}`,
      );
    const folder = await mkdtemp(join(tmpdir(), "tessera-transformers-"));
    try {
      await cp(fixture("bert-tiny"), folder, { recursive: true });
      expect(await codeOf(openTransformersEncoder({ folder, dtype: "q8" }))).toMatch(
        /^BAD_BUNDLE: .*no weights for ONNX/,
      );
      expect(await codeOf(openTransformersEncoder({ folder, threads: 0 }))).toMatch(/^BAD_ARGUMENT/);
      await rm(join(folder, "tokenizer.json"));
      expect(await codeOf(openTransformersReranker({ folder }))).toMatch(/^BAD_BUNDLE: .*cannot be read/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
