import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import { countOf } from "@tessera/testkit";
import { readGolden } from "./architectures/tessera-encoder.js";
import { openCodeEncoder } from "./encoders/code-encoder.js";
import { cpuEngine } from "./engines/cpu.js";
import { gpuOnDemand } from "./engines/gpu/choose.js";
import { referenceEngine, referenceVectors } from "./engines/reference/engine.js";
import { cosine } from "./engines/vectors.fixture.js";
import { openEncoderModel } from "./formats/open-model.js";
import { parseTokenizer } from "./tokenizer/tokenizer.js";
import { listModels } from "./tools/catalogue.js";
import { verifyModel } from "./tools/verify-model.js";

const shipped = fileURLToPath(new URL("../../weights/bundles", import.meta.url));
const models = await listModels([shipped]);
const encoderArchitectures = ["tessera-encoder", "tessera-bert-exits"];
const encoders = models.filter(({ architecture }) => encoderArchitectures.includes(architecture));
const languageModels = models.filter(({ architecture }) => !encoderArchitectures.includes(architecture));

describe("the encoders that ship", () => {
  it("are there", () => expect(encoders.map(({ name }) => name)).toEqual(["code-encoder", "code-encoder-2"]));

  for (const { name, folder } of encoders) {
    it(`${name} reaches its golden vectors on the CPU, and on the GPU where there is one`, async () => {
      for (const verdict of await verifyModel(name, [cpuEngine(), gpuOnDemand()], [shipped]))
        expect(verdict).toMatchObject({ passed: true });
    });

    it(`${name} reaches its golden vectors on the reference`, async () => {
      const model = await openEncoderModel(folder);
      const longest = countOf({ usual: 16, long: Number.POSITIVE_INFINITY });
      const cases = (await readGolden(folder, model)).filter(({ ids }) => ids.length <= longest);
      expect(cases.length).toBeGreaterThan(4);
      for (const { ids, vectors } of cases)
        for (const [exit, vector] of referenceVectors(model, Int32Array.from(ids)))
          expect(cosine(vector, vectors[exit]!)).toBeGreaterThan(0.9995);
    });

    it(`${name} tokenises its golden texts to their ids`, async () => {
      const encoder = await openCodeEncoder(folder, referenceEngine());
      const path = join(folder, "tokenizer.json");
      const tokenizer = parseTokenizer(await readFile(path, "utf8"), path);
      const { frames } = encoder.model;
      for (const { kind, text, ids } of await readGolden(folder, encoder.model)) {
        const { before, after, maxTokens } = frames[kind];
        const room = maxTokens - before.length - after.length;
        expect([...before, ...tokenizer.encode(text, room), ...after]).toEqual(ids);
      }
      await encoder.close();
    });
  }
});

describe("the language models that ship", () => {
  it("are there", () => expect(languageModels.map(({ name }) => name)).toContain("code-language-model"));

  for (const { name } of languageModels)
    it(`${name} reaches its golden cases on the CPU, in both precisions`, async () => {
      const engines = [cpuEngine(), cpuEngine({ precision: "fp32" })];
      for (const verdict of await verifyModel(name, engines, [shipped]))
        expect(verdict).toMatchObject({ passed: true, places: expect.any(Number) });
    });
});
