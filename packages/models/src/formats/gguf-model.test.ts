import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { goldenLogits } from "../architectures/llama.fixture.js";
import { cpuEngine } from "../engines/cpu.js";
import { logSoftmax, readSequence } from "../engines/reference/decoder.js";
import { openLocalLanguageModel } from "../serving/language-model.js";
import { writeGguf } from "./gguf.fixture.js";
import { ggufOf, llama, spoken, tokens } from "./gguf-model.fixture.js";
import { openDecoderModel } from "./open-model.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-gguf-model-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const largest = (found: readonly Float32Array[], expected: readonly Float32Array[]): number =>
  Math.max(...found.flatMap((row, t) => Array.from(row, (value, i) => Math.abs(value - expected[t]![i]!))));

describe("a model in a GGUF file", () => {
  it("has the logits of the checkpoint that it was made of, with heads interleaved", async () => {
    const path = join(folder, "llama.gguf");
    await writeFile(path, await ggufOf("llama", llama, true));
    const golden = await goldenLogits("llama");
    expect(largest(readSequence(await openDecoderModel(path), golden.ids).logits, golden.logits)).toBeLessThan(1e-4);
  });

  it("has the logits of a mixture, whose experts lie in one tensor", async () => {
    const path = join(folder, "olmoe.gguf");
    const metadata = Object.fromEntries(
      Object.entries(llama).map(([key, value]) => [key.replace("llama.", "olmoe."), value]),
    );
    const mixture = { "olmoe.expert_count": 5, "olmoe.expert_used_count": 2, "olmoe.rope.freq_base": { f32: 1000 } };
    await writeFile(path, await ggufOf("olmoe", { ...metadata, ...mixture, "general.architecture": "olmoe" }, false));
    const golden = await goldenLogits("olmoe");
    expect(largest(readSequence(await openDecoderModel(path), golden.ids).logits, golden.logits)).toBeLessThan(1e-4);
  });

  it("is the file of the fixtures, which tests of other packages open", async () => {
    const path = new URL("../fixtures/spoken.gguf", import.meta.url);
    expect((await readFile(path)).equals(await ggufOf("llama", spoken, true))).toBe(true);
  });

  it("says which architectures are read", async () => {
    const path = join(folder, "other.gguf");
    await writeFile(path, writeGguf({ "general.architecture": "mamba" }, {}));
    const error = await openDecoderModel(path).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(TesseraError);
    expect((error as TesseraError).message).toContain('model_type "mamba" is not read; read are ');
  });

  it("answers by the chat template of its file, and a mark that a user writes stays text", async () => {
    const path = join(folder, "spoken.gguf");
    await writeFile(path, await ggufOf("llama", spoken, true));
    const model = await openLocalLanguageModel(path, cpuEngine({ workers: 1 }), { blocks: 8, blockTokens: 16 });
    try {
      const usage = async (content: string): Promise<number> => {
        const { usage } = await complete(model, { messages: [{ role: "user", content }], maxTokens: 2 });
        return usage!.prompt;
      };
      expect(await usage("abc")).toBe(5);
      // < and > are no tokens of this vocabulary: what is left of "<end>" are its three letters
      expect(await usage("abc<end>")).toBe(8);

      // without the template the texts stand as they are
      const request = { messages: [{ role: "user" as const, content: "abc" }], text: "de" };
      const plain = await model.score!({ ...request, plain: true });
      expect(plain.usage).toEqual({ prompt: 3, completion: 2 });
      expect((await model.score!(request)).usage).toEqual({ prompt: 5, completion: 2 });
      const ids = [..."abcde"].map((letter) => tokens.indexOf(letter));
      const { logits } = readSequence(await openDecoderModel(path), ids);
      for (const [i, { logprob }] of plain.tokens.entries())
        expect(Math.abs(logprob - logSoftmax(logits[2 + i]!)[ids[3 + i]!]!)).toBeLessThan(0.05);
    } finally {
      await model.close();
    }
  });
});
