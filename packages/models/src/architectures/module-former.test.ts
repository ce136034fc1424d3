import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { cpuEngine } from "../engines/cpu.js";
import { ragged } from "../engines/engine.js";
import { likeliest, logSoftmax, readSequence } from "../engines/reference/decoder.js";
import { openDecoderModel } from "../formats/open-model.js";
import { readSafetensors, type Tensor, writeSafetensors } from "../formats/safetensors.js";

const fixture = fileURLToPath(new URL("../fixtures/molm-toy", import.meta.url));
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** The toy with another config or other tensors. */
async function altered(
  changeConfig: (config: Record<string, unknown>) => void,
  changeTensors: (tensors: Map<string, Tensor>) => void = () => {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tessera-molm-"));
  folders.push(folder);
  await cp(fixture, folder, { recursive: true });
  const config = JSON.parse(await readFile(join(fixture, "config.json"), "utf8"));
  changeConfig(config);
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const file = "model.safetensors";
  const tensors = readSafetensors(await readFile(join(fixture, file)), file);
  changeTensors(tensors);
  await rm(join(folder, file));
  await writeFile(join(folder, file), writeSafetensors(tensors));
  return folder;
}

describe("a checkpoint in the layout of MoLM", () => {
  it("computes the golden cases of apps/train: log-probabilities to 1e-4, and the chosen modules", async () => {
    const model = await openDecoderModel(fixture);
    const { cases } = JSON.parse(await readFile(join(fixture, "golden.json"), "utf8"));
    expect(cases.length).toBeGreaterThanOrEqual(3);
    for (const { ids, logprobs, argmax, last, attention, feedforward } of cases) {
      const reading = readSequence(model, ids);
      for (const [t, expected] of logprobs.entries()) {
        expect(logSoftmax(reading.logits[t]!)[ids[t + 1]]).toBeCloseTo(expected, 4);
        expect(likeliest(reading.logits[t]!)).toBe(argmax[t]);
      }
      const after = logSoftmax(reading.logits.at(-1)!);
      for (const [id, expected] of last.entries()) expect(after[id]).toBeCloseTo(expected, 4);
      expect(reading.attention).toEqual(attention);
      expect(reading.feedforward).toEqual(feedforward);
    }
  });

  it("reaches them on the CPU engine, where keys and values are the input itself", async () => {
    const model = await openDecoderModel(fixture);
    const { cases } = JSON.parse(await readFile(join(fixture, "golden.json"), "utf8"));
    const cache = { blocks: 16, blockTokens: 4 };
    const session = await cpuEngine({ workers: 1, precision: "fp32" }).loadDecoder(model, cache);
    for (const { ids, logprobs } of cases) {
      const { scores } = await session.step({
        ...ragged([ids]),
        cached: Int32Array.of(0),
        blocks: [Int32Array.from({ length: cache.blocks }, (_, i) => i)],
        sampling: [undefined],
        scored: [true],
      });
      for (const [t, expected] of logprobs.entries()) expect(scores![0]![t]).toBeCloseTo(expected, 4);
    }
    await session.close();
  });

  it("passes over the buffers of the published files", async () => {
    const folder = await altered(
      () => {},
      (tensors) => {
        tensors.set("transformer.h.0.attn.mask", { shape: [2, 2], values: new Int8Array(4) });
        tensors.set("transformer.h.0.attn.cum_weight", { shape: [2, 2], values: new Float32Array(4) });
      },
    );
    const [left, right] = [await openDecoderModel(fixture), await openDecoderModel(folder)];
    expect(right.layers).toEqual(left.layers);
    expect(right.revision).not.toBe(left.revision);
  });

  it("refuses what does not fit, each with what is wrong", async () => {
    const cases: [(config: Record<string, unknown>) => void, (tensors: Map<string, Tensor>) => void, RegExp][] = [
      [(config) => Object.assign(config, { att_hidden: 12 }), () => {}, /must be n_embd/],
      [(config) => Object.assign(config, { k_mlp: 6 }), () => {}, /more modules are chosen/],
      [(config) => Object.assign(config, { gate_type: "gmm" }), () => {}, /gate_type/],
      [(config) => Object.assign(config, { eos_token_id: 160 }), () => {}, /outside the vocabulary/],
      [(config) => Object.assign(config, { n_layer: 3 }), () => {}, /missing.*transformer\.h\.2/],
      [(config) => Object.assign(config, { n_layer: 1 }), () => {}, /no place for the tensor/],
      [(config) => Object.assign(config, { ffd_hidden: 13 }), () => {}, /\[4,24,12\]|\[5,24,12\]/],
      [
        () => {},
        (tensors) => {
          tensors.get("lm_head.weight")!.values[5] = Number.NaN;
        },
        /not finite.*lm_head/,
      ],
    ];
    for (const [changeConfig, changeTensors, message] of cases) {
      const error = await openDecoderModel(await altered(changeConfig, changeTensors)).catch(
        (thrown: unknown) => thrown,
      );
      expect(TesseraError.is(error) && error.code).toBe("BAD_BUNDLE");
      expect(`${(error as TesseraError).message} ${(error as TesseraError).path}`).toMatch(message);
    }
  });
});
