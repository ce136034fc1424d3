import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { readSequence } from "../engines/reference/decoder.js";
import { openDecoderModel } from "../formats/open-model.js";
import { decoderFolder, denseFamilies, goldenLogits, mixtureFamilies } from "./llama.fixture.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-llama-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const largest = (found: readonly Float32Array[], expected: readonly Float32Array[]): number =>
  Math.max(...found.flatMap((row, t) => Array.from(row, (value, i) => Math.abs(value - expected[t]![i]!))));

describe("a decoder saved by transformers", () => {
  it.each([...denseFamilies, ...mixtureFamilies])("has the logits and routes of %s", async (family) => {
    const golden = await goldenLogits(family);
    const found = readSequence(await openDecoderModel(decoderFolder(family)), golden.ids);
    expect(largest(found.logits, golden.logits)).toBeLessThan(1e-4);
    // layers without a router are not among the golden routes
    const routed = golden.ids.map((_, t) => found.feedforward[t]!.filter((chosen) => chosen.length > 1));
    for (const [layer, routes] of (golden.routes ?? []).entries())
      expect(routed.map((layers) => layers[layer])).toEqual(routes);
  });

  it.each([...denseFamilies, ...mixtureFamilies])("of version 4 is the same model: %s", async (family) => {
    const copy = join(folder, family);
    await cp(decoderFolder(family), copy, { recursive: true });
    await cp(join(copy, "config-4.json"), join(copy, "config.json"));
    const golden = await goldenLogits(family);
    const ids = golden.ids.slice(0, 12);
    const found = readSequence(await openDecoderModel(copy), ids);
    expect(largest(found.logits, golden.logits)).toBeLessThan(1e-4);
  });

  const changed = async (family: string, change: (config: Record<string, unknown>) => void): Promise<TesseraError> => {
    const copy = join(folder, `${family}-changed`);
    await cp(decoderFolder(family), copy, { recursive: true });
    const path = join(copy, "config.json");
    const config = JSON.parse(await readFile(path, "utf8"));
    change(config);
    await writeFile(path, JSON.stringify(config));
    const error = await openDecoderModel(copy).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(TesseraError);
    expect((error as TesseraError).code).toBe("BAD_BUNDLE");
    return error as TesseraError;
  };
  it.each([
    ["hidden_act", "gelu", "hidden_act"],
    ["rms_norm_eps", undefined, "rms_norm_eps"],
    ["rope_parameters", { rope_type: "longrope", rope_theta: 1 }, 'rope_type "longrope" is not read'],
    ["rope_parameters", undefined, "rope_theta"],
    ["num_attention_heads", 3, "heads"],
    ["hidden_size", 64, "the shape is [64,32], the config asks for [64,64]"],
    ["num_hidden_layers", 1, "no place for the tensor"],
    ["num_hidden_layers", 3, "the tensor is missing"],
    ["eos_token_id", 64, "outside the vocabulary"],
    ["model_type", "mamba", 'model_type "mamba" is not read'],
  ])("is refused where %s is %j", async (field, value, message) => {
    const error = await changed("llama", (config) => {
      config[field] = value;
    });
    expect(error.message).toContain(message);
  });

  it("is refused where more experts are chosen than there are", async () => {
    const error = await changed("mixtral", (config) => {
      config.num_experts_per_tok = 6;
    });
    expect(error.message).toContain("6 of 5 experts");
  });

  it("reads no further than its context where a window slides, and ends at several ids", async () => {
    expect((await openDecoderModel(decoderFolder("mistral"))).context).toBe(64);
    const copy = join(folder, "ends");
    await cp(decoderFolder("llama"), copy, { recursive: true });
    await writeFile(join(copy, "generation_config.json"), JSON.stringify({ eos_token_id: [2, 5] }));
    expect((await openDecoderModel(copy)).ends).toEqual([2, 5]);
  });
});
