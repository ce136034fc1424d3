import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import { openCodeEncoder } from "./encoders/code-encoder.js";
import { cpuEngine } from "./engines/cpu.js";
import { referenceEngine } from "./engines/reference/engine.js";
import { readGolden } from "./formats/encoder-bundle.js";
import { parseTokenizer } from "./tokenizer/tokenizer.js";
import { listModels } from "./tools/catalogue.js";
import { verifyModel } from "./tools/verify-model.js";

const shipped = fileURLToPath(new URL("../bundles", import.meta.url));
const models = await listModels([shipped]);
const encoders = models.filter(({ architecture }) => architecture === "tessera-encoder");
const languageModels = models.filter(({ architecture }) => architecture !== "tessera-encoder");

describe("the encoders that ship", () => {
  it("are there", () => expect(encoders.map(({ name }) => name)).toContain("code-encoder"));

  for (const { name, folder } of encoders) {
    it(`${name} reaches its golden vectors on every engine`, async () => {
      for (const verdict of await verifyModel(name, undefined, [shipped]))
        expect(verdict).toMatchObject({ passed: true });
    });

    it(`${name} tokenises its golden texts to their ids`, async () => {
      const encoder = await openCodeEncoder(folder, referenceEngine());
      const path = join(folder, "tokenizer.json");
      const tokenizer = parseTokenizer(await readFile(path, "utf8"), path);
      const { frames } = encoder.model;
      for (const { kind, text, ids } of await readGolden(folder, encoder.model)) {
        const { before, maxTokens } = frames[kind];
        expect([...before, ...tokenizer.encode(text, maxTokens - before.length)]).toEqual(ids);
      }
      await encoder.close();
    });
  }
});

describe("the language models that ship", () => {
  it("are there", () => expect(languageModels.map(({ name }) => name)).toContain("generator"));

  for (const { name } of languageModels)
    it(`${name} reaches its golden cases on the CPU, in both precisions`, async () => {
      const engines = [cpuEngine(), cpuEngine({ precision: "fp32" })];
      for (const verdict of await verifyModel(name, engines, [shipped]))
        expect(verdict).toMatchObject({ passed: true, places: expect.any(Number) });
    });
});
