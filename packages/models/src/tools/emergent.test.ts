import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { decoderModel } from "../architectures/tessera-decoder.js";
import { cpuEngine } from "../engines/cpu.js";
import { readSequence } from "../engines/reference/decoder.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { type Bundle, readBundle } from "../formats/bundle.js";
import { balancedClusters, convertToEmergent, mergeEmergent } from "./emergent.js";
import { verifyModel } from "./verify-model.js";

const dense = fileURLToPath(new URL("../fixtures/dense-toy", import.meta.url));
const ids = [1, 2, 3, 5, 8, 13, 21, 34];
let folder: string;
let serial = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-emergent-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
const fresh = (): string => join(folder, `${serial++}`);
const logitsOf = async (path: string) => readSequence(decoderModel(await readBundle(path)), ids).logits;

/** The neurons of a layer as texts, in any order: its key, its scale and its value. */
function neurons({ tensors }: Bundle, layer: number): string[] {
  const place = `layers.${layer}.feedforward`;
  const input = tensors.get(`${place}.input.weight`)!;
  const output = tensors.get(`${place}.output.weight`)!;
  const scale = tensors.get(`${place}.input.weight.scale`)!;
  const [count, width] = input.shape as [number, number];
  return Array.from({ length: count }, (_, neuron) => {
    const column = Array.from({ length: output.shape[0]! }, (_, row) => output.values[row * count + neuron]);
    return `${input.values.subarray(neuron * width, (neuron + 1) * width)} ${scale.values[neuron]} ${column}`;
  });
}

describe("balanced clusters", () => {
  it("are all of one size, the same for one seed, and near their own centre", () => {
    fc.assert(
      fc.property(
        fc.constantFrom([12, 3], [16, 4], [8, 8], [10, 1]),
        fc.nat(100),
        fc.infiniteStream(fc.double({ min: -1, max: 1, noNaN: true })),
        ([rows, clusters], seed, draws) => {
          const keys = Float32Array.from({ length: rows! * 3 }, () => draws.next().value!);
          const labels = balancedClusters(keys, rows!, clusters!, seed);
          for (let cluster = 0; cluster < clusters!; cluster++)
            expect(labels.filter((label) => label === cluster)).toHaveLength(rows! / clusters!);
          expect(balancedClusters(keys, rows!, clusters!, seed)).toEqual(labels);
        },
      ),
    );
  });

  it("find groups that are there", () => {
    // four directions, each three times, lengths aside
    const directions = [
      [1, 0],
      [0, 1],
      [-1, 0],
      [0, -1],
    ];
    const keys = Float32Array.from(
      Array.from({ length: 12 }, (_, row) => directions[row % 4]!.map((value) => value * (row + 1))).flat(),
    );
    const labels = balancedClusters(keys, 12, 4, 1);
    for (let row = 4; row < 12; row++) expect(labels[row]).toBe(labels[row % 4]);
  });
});

describe("emergent experts", () => {
  it("with all experts on top are the dense model, and with fewer are not", async () => {
    const [all, half] = [fresh(), fresh()];
    await convertToEmergent(dense, all, { layers: [0, 1], experts: 4, top: 4 });
    await convertToEmergent(dense, half, { layers: [0, 1], experts: 4, top: 2 });
    const expected = await logitsOf(dense);
    for (const [t, logits] of (await logitsOf(all)).entries())
      for (const [id, logit] of logits.entries()) expect(logit).toBeCloseTo(expected[t]![id]!, 5);
    expect(await logitsOf(half)).not.toEqual(expected);
  });

  it("add no parameter: tensors of the same names, shapes and bytes, their neurons in another order", async () => {
    const output = fresh();
    await convertToEmergent(dense, output, { layers: [1], experts: 8, top: 2 });
    const [before, after] = [await readBundle(dense), await readBundle(output)];
    const shapes = ({ tensors }: Bundle) => [...tensors].map(([name, { shape }]) => `${name} ${shape}`).sort();
    expect(shapes(after)).toEqual(shapes(before));
    expect(neurons(after, 1)).not.toEqual(neurons(before, 1));
    expect(neurons(after, 1).sort()).toEqual(neurons(before, 1).sort());
    expect(neurons(after, 0)).toEqual(neurons(before, 0));
    expect(decoderModel(after).layers[1]!.feedforward.input).toHaveLength(8);
  });

  it("merge back to the dense model, a permutation of its neurons", async () => {
    const [emergent, merged] = [fresh(), fresh()];
    await convertToEmergent(dense, emergent, { layers: [0, 1], experts: 4, top: 1, seed: 5 });
    await mergeEmergent(emergent, merged);
    const [before, after] = [await readBundle(dense), await readBundle(merged)];
    expect(after.config).not.toHaveProperty("emergent");
    for (const layer of [0, 1]) expect(neurons(after, layer).sort()).toEqual(neurons(before, layer).sort());
    const expected = await logitsOf(dense);
    for (const [t, logits] of (await logitsOf(merged)).entries())
      for (const [id, logit] of logits.entries()) expect(logit).toBeCloseTo(expected[t]![id]!, 5);
  });

  it("run on every engine of this machine: their golden cases hold", async () => {
    const output = fresh();
    await convertToEmergent(dense, output, { layers: [0, 1], experts: 4, top: 2 });
    const engines = [referenceEngine(), cpuEngine({ workers: 1, precision: "fp32" }), cpuEngine({ workers: 1 })];
    expect((await verifyModel(output, engines)).map(({ passed }) => passed)).toEqual([true, true, true]);
  });

  it("are refused where they do not fit", async () => {
    const moe = fileURLToPath(new URL("../fixtures/moe-toy", import.meta.url));
    const emergent = fresh();
    await convertToEmergent(dense, emergent, { layers: [0], experts: 4, top: 2 });
    const cases: [string, Parameters<typeof convertToEmergent>[2], RegExp][] = [
      [dense, { layers: [2], experts: 4, top: 2 }, /no layer 2/],
      [dense, { layers: [], experts: 4, top: 2 }, /no layer/],
      [dense, { layers: [0], experts: 5, top: 2 }, /do not divide/],
      [dense, { layers: [0], experts: 4, top: 5 }, /cannot run/],
      [dense, { layers: [0], experts: 4, top: 0 }, /cannot run/],
      [moe, { layers: [0], experts: 4, top: 2 }, /only a dense bundle/],
      [emergent, { layers: [1], experts: 4, top: 2 }, /only a dense bundle/],
    ];
    for (const [path, emergence, message] of cases)
      await expect(convertToEmergent(path, fresh(), emergence)).rejects.toMatchObject({
        code: "BAD_ARGUMENT",
        message: expect.stringMatching(message),
      });
    await expect(mergeEmergent(dense, fresh())).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(mergeEmergent(emergent, emergent)).rejects.toMatchObject({ code: "CONFLICT" });
  });
});
