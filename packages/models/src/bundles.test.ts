import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import { listModels, verifyModel } from "./catalogue.js";
import { openCodeEncoder } from "./code-encoder.js";
import { readGolden } from "./encoder-bundle.js";
import { referenceEngine } from "./engines/reference.js";
import { parseTokenizer } from "./tokenizer.js";

const shipped = fileURLToPath(new URL("../bundles", import.meta.url));
const encoders = (await listModels([shipped])).filter(({ architecture }) => architecture === "tessera-encoder");

describe("the encoders that ship", () => {
  it("are there", () => expect(encoders.map(({ name }) => name)).toContain("code-encoder"));

  for (const { name, folder } of encoders) {
    it(`${name} reaches its golden vectors on every engine`, async () => {
      for (const verdict of await verifyModel(name, undefined, [shipped]))
        expect(verdict).toMatchObject({ passed: true });
    }, 120_000);

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
