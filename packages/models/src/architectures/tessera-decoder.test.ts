import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { likeliest, logSoftmax, readSequence } from "../engines/reference/decoder.js";
import { readBundle } from "../formats/bundle.js";
import type { DecoderModel } from "./decoder.js";
import { decoderModel, readDecoderGolden, split } from "./tessera-decoder.js";

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

async function open(name: string): Promise<DecoderModel> {
  return decoderModel(await readBundle(fixture(name)));
}

/** The toy with another config; the hashes in it stay those of its files. */
async function altered(name: string, change: (config: Record<string, unknown>) => void): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tessera-decoder-"));
  folders.push(folder);
  await cp(fixture(name), folder, { recursive: true });
  const path = join(folder, "config.json");
  const config = JSON.parse(await readFile(path, "utf8"));
  change(config);
  await writeFile(path, JSON.stringify(config));
  return folder;
}

describe.each(["moe-toy", "dense-toy"])("the bundle %s, written by apps/train", (name) => {
  it("computes its golden cases: log-probabilities to 1e-4, modules, and the likeliest continuation", async () => {
    const model = await open(name);
    for (const { ids, logprobs, argmax, last, attention, feedforward, margin, greedy } of await readDecoderGolden(
      fixture(name),
      model,
    )) {
      const reading = readSequence(model, ids);
      for (const [t, expected] of logprobs.entries()) {
        expect(logSoftmax(reading.logits[t]!)[ids[t + 1]!]).toBeCloseTo(expected, 4);
        expect(likeliest(reading.logits[t]!)).toBe(argmax[t]);
      }
      for (const [id, logit] of last) expect(reading.logits.at(-1)![id]).toBeCloseTo(logit, 4);
      if (attention) {
        expect(reading.attention).toEqual(attention);
        expect(reading.feedforward).toEqual(feedforward);
        for (const [t, gap] of margin!.entries()) expect(reading.margin[t]).toBeCloseTo(gap, 5);
      }
      const written = [...ids];
      for (const next of greedy) {
        expect(likeliest(readSequence(model, written).logits.at(-1)!)).toBe(next);
        written.push(next);
      }
    }
  });
});

describe("the bundle of a decoder", () => {
  it("refuses configs that do not fit the tensors, each with what is wrong", async () => {
    const cases: [string, (config: Record<"attention" | "feedforward" | "specialTokens", object>) => void, RegExp][] = [
      ["moe-toy", (config) => Object.assign(config, { gate: 7 }), /gate\.input\.weight/],
      ["moe-toy", (config) => Object.assign(config.attention, { heads: 3 }), /divisible by heads/],
      ["moe-toy", (config) => Object.assign(config.attention, { top: 9 }), /fewer modules than top/],
      ["moe-toy", (config) => Object.assign(config.feedforward, { experts: [5] }), /one number a layer/],
      ["moe-toy", (config) => Object.assign(config.feedforward, { experts: [5, 4] }), /layers\.1\.feedforward/],
      ["moe-toy", (config) => Object.assign(config, { tiedEmbedding: false }), /head\.weight/],
      ["moe-toy", (config) => Object.assign(config, { layers: 1 }), /no place for the tensor/],
      ["moe-toy", (config) => Object.assign(config.specialTokens, { end: 160 }), /outside the vocabulary/],
      ["dense-toy", (config) => Object.assign(config, { emergent: { layers: [2], experts: 4, top: 2 } }), /not there/],
      ["dense-toy", (config) => Object.assign(config, { emergent: { layers: [0], experts: 5, top: 2 } }), /divide/],
    ];
    for (const [name, change, message] of cases) {
      const folder = await altered(name, change as never);
      const error = await readBundle(folder)
        .then(decoderModel)
        .catch((thrown: unknown) => thrown);
      expect(TesseraError.is(error) && error.code).toBe("BAD_BUNDLE");
      expect(`${(error as TesseraError).message} ${(error as TesseraError).path}`).toMatch(message);
    }
  });

  it("reads emergent experts, which all together are the dense layer", async () => {
    const ids = [1, 2, 3, 5, 8, 13];
    const dense = await open("dense-toy");
    const folder = await altered("dense-toy", (config) => {
      config.emergent = { layers: [1], experts: 4, top: 4 };
    });
    const emergent = decoderModel(await readBundle(folder));
    expect(emergent.layers[1]!.feedforward.input).toHaveLength(4);
    const [left, right] = [dense, emergent].map((model) => readSequence(model, ids).logits.at(-1)!);
    for (const [id, logit] of left!.entries()) expect(right![id]).toBeCloseTo(logit, 4);
    const fewer = split(dense.layers[1]!.feedforward, 4, 2);
    const half = readSequence(
      { ...dense, layers: [dense.layers[0]!, { ...dense.layers[1]!, feedforward: fewer }] },
      ids,
    );
    expect(half.feedforward.every((layers) => layers[1]!.length === 2)).toBe(true);
    expect(half.logits.at(-1)).not.toEqual(left);
  });

  it("reads a sequence as it reads its beginning: nothing looks ahead", async () => {
    const model = await open("moe-toy");
    const [long, short] = [readSequence(model, [7, 3, 9, 4]), readSequence(model, [7, 3])];
    expect(long.logits.slice(0, 2)).toEqual(short.logits);
  });
});
