import { cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { openCodeEncoder } from "../encoders/code-encoder.js";
import { cpuEngine } from "../engines/cpu.js";
import { ragged } from "../engines/engine.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { cosine } from "../engines/vectors.fixture.js";
import { openEncoderModel } from "../formats/open-model.js";

// written by `python checkpoints.py bert` (apps/train): transformers saved the weights and computed the vectors
const fixture = fileURLToPath(new URL("../fixtures/bert-tiny", import.meta.url));
interface Golden {
  readonly cases: readonly {
    readonly text: string;
    readonly ids: readonly number[];
    readonly mean: Readonly<Record<string, readonly number[]>>;
    readonly first: Readonly<Record<string, readonly number[]>>;
  }[];
}
const golden = JSON.parse(await readFile(join(fixture, "golden.json"), "utf8")) as Golden;

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** The fixture with some files replaced (JSON), or removed (undefined). */
async function altered(files: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tessera-bert-"));
  folders.push(folder);
  await cp(fixture, folder, { recursive: true });
  for (const [name, value] of Object.entries(files)) {
    await rm(join(folder, name), { force: true });
    if (value === undefined) continue;
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));
  }
  return folder;
}

const json = async (name: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(fixture, name), "utf8"));

describe("a BERT folder", () => {
  it.each(["mean", "first"] as const)(
    "gives the vectors of transformers at every layer, pooling %s",
    async (pooling) => {
      const folder =
        pooling === "mean" ? fixture : await altered({ "1_Pooling/config.json": { pooling_mode_cls_token: true } });
      const model = await openEncoderModel(folder);
      const batch = ragged(golden.cases.map(({ ids }) => ids));
      for (const engine of [
        referenceEngine(),
        cpuEngine({ workers: 1, precision: "fp32" }),
        cpuEngine({ workers: 1 }),
      ]) {
        const session = await engine.loadEncoder(model);
        for (const layer of [1, 2, 3]) {
          const found = await session.encode(batch, layer);
          for (const [i, { [pooling]: vectors }] of golden.cases.entries()) {
            const vector = found.subarray(i * 32, (i + 1) * 32);
            const expected = vectors[layer]!;
            if (engine.info.dtype === "int8") expect(cosine(vector, expected)).toBeGreaterThan(0.999);
            else for (const [at, value] of expected.entries()) expect(vector[at]).toBeCloseTo(value, 5);
          }
        }
        await session.close();
      }
    },
  );

  it("is framed, cut and prompted as its files say", async () => {
    const encoder = await openCodeEncoder(fixture, referenceEngine());
    const { frames } = encoder.model;
    expect(frames.text).toEqual({ prompt: undefined, before: [2], after: [3], maxTokens: 32 });
    expect(frames.query).toEqual({ prompt: "sort: ", before: [2], after: [3], maxTokens: 32 });
    for (const { text, mean } of golden.cases) {
      const [vector] = await encoder.encode([text], { kind: "text" });
      expect(cosine(vector!, mean["3"]!)).toBeCloseTo(1, 5);
    }
    const [asked, spelled] = await Promise.all([
      encoder.encode(["a list"], { kind: "query" }),
      encoder.encode(["sort: a list"], { kind: "text" }),
    ]);
    expect([...asked[0]!]).toEqual([...spelled[0]!]);
    await encoder.close();
  });

  it("opens without the files of sentence-transformers, and with vocab.txt alone, as the mean", async () => {
    const vocabulary = Object.entries((await json("tokenizer.json")).model as object).find(
      ([name]) => name === "vocab",
    )![1] as Record<string, number>;
    const lines = Object.entries(vocabulary)
      .sort((a, b) => a[1] - b[1])
      .map(([token]) => token);
    const bare = {
      "modules.json": undefined,
      "1_Pooling/config.json": undefined,
      "sentence_bert_config.json": undefined,
      "config_sentence_transformers.json": undefined,
    };
    const folder = await altered({
      ...bare,
      "tokenizer.json": undefined,
      "vocab.txt": `${lines.join("\n")}\n`,
      "tokenizer_config.json": { model_max_length: 32 },
    });
    const encoder = await openCodeEncoder(folder, referenceEngine());
    for (const { text, mean } of golden.cases) {
      const [vector] = await encoder.encode([text], { kind: "query" });
      expect(cosine(vector!, mean["3"]!)).toBeCloseTo(1, 5);
    }
    await encoder.close();
  });

  it("of another size, shape, pooling or module is refused by name within a second", async () => {
    const config = await json("config.json");
    const refusals: [files: Record<string, unknown>, message: RegExp][] = [
      [{ "config.json": { ...config, hidden_size: 36 } }, /shape is \[.*the config asks for|missing/],
      [{ "config.json": { ...config, num_attention_heads: 5 } }, /heads do not divide/],
      [{ "config.json": { ...config, num_hidden_layers: 4 } }, /tensor is missing/],
      [{ "config.json": { ...config, num_hidden_layers: 2 } }, /no place for the tensor/],
      [{ "config.json": { ...config, hidden_act: "mish" } }, /hidden_act/],
      [{ "config.json": { ...config, position_embedding_type: "relative_key" } }, /position_embedding_type/],
      [{ "config.json": { ...config, vocab_size: 1e12 } }, /config asks for/],
      [{ "config.json": "{" }, /not JSON/],
      [{ "1_Pooling/config.json": { pooling_mode_max_tokens: true } }, /pooling max_tokens is not computed/],
      [{ "1_Pooling/config.json": { pooling_mode: "weightedmean" } }, /pooling weightedmean/],
      [
        { "modules.json": [{ type: "sentence_transformers.models.Dense", path: "2_Dense" }] },
        /module .*Dense is not computed/,
      ],
      [{ "model-00002-of-00004.safetensors": undefined }, /cannot be read/],
      [{ "model.safetensors.index.json": { weight_map: { a: "../a.safetensors" } } }, /outside the folder/],
      [{ "tokenizer.json": undefined }, /cannot be read/],
      [{ "tokenizer.json": "{}" }, /model|Invalid/],
    ];
    for (const [files, message] of refusals) {
      const started = process.cpuUsage();
      const encoder = openCodeEncoder(await altered(files), referenceEngine()).then((opened) =>
        opened.encode(["a"], { kind: "text" }),
      );
      const error = await encoder.catch((thrown: unknown) => thrown);
      expect(TesseraError.is(error) ? error.code : error).toBe("BAD_BUNDLE");
      expect((error as Error).message).toMatch(message);
      const { user, system } = process.cpuUsage(started);
      expect(user + system).toBeLessThan(1e6);
    }
  });

  it("whose weights are cut short, or claim ten gigabytes in a kilobyte, is refused", async () => {
    const cut = await altered({});
    const shard = "model-00002-of-00004.safetensors";
    await truncate(join(cut, shard), 5000);
    await expect(openEncoderModel(cut)).rejects.toMatchObject({ code: "BAD_BUNDLE" });
    const header = JSON.stringify({
      "embeddings.word_embeddings.weight": {
        dtype: "F32",
        shape: [2_500_000, 1000],
        data_offsets: [0, 10_000_000_000],
      },
    });
    const bytes = Buffer.alloc(8 + header.length + 1000);
    bytes.writeBigUInt64LE(BigInt(header.length));
    bytes.write(header, 8);
    const claimed = await altered({ "model.safetensors.index.json": undefined });
    await writeFile(join(claimed, "model.safetensors"), bytes);
    await expect(openEncoderModel(claimed)).rejects.toMatchObject({
      code: "BAD_BUNDLE",
      message: expect.stringContaining("cut short"),
    });
  });
});
