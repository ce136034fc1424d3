import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import type { DecoderModel } from "../architectures/decoder.js";
import { decoderModel } from "../architectures/tessera-decoder.js";
import { cpuEngine } from "../engines/cpu.js";
import { readSequence } from "../engines/reference/decoder.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { readBundle } from "../formats/bundle.js";
import { loaded } from "../formats/stored-rows.js";
import { moduleFrequencies, type Sample } from "./module-frequencies.js";
import { mostUsedModules, pruneDecoder } from "./prune.js";
import { randomDecoder, writeRandomDecoder } from "./random-decoder.js";
import { type DecoderVerdict, verifyModel } from "./verify-model.js";

const samples: Sample[] = ["python", "judge", "python"].map((domain, number) => ({
  domain,
  ids: Array.from({ length: 20 + number }, (_, i) => (number * 31 + i * 17) % 160),
}));
const engine = cpuEngine({ workers: 1 });
let folder: string;
let source: string;
let model: DecoderModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-prune-"));
  source = join(folder, "whole");
  await writeRandomDecoder(source, { shape: "tiny", seed: 3 });
  model = decoderModel(await readBundle(source));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("how often modules serve a domain", () => {
  it("is what the reference chooses, as shares of each layer, over engines and threads", async () => {
    const expected = new Map<string, number[]>();
    for (const { domain, ids } of samples)
      for (const layers of readSequence(model, ids).feedforward)
        for (const module of layers[1]!) {
          const counts = expected.get(domain) ?? [0, 0, 0, 0, 0];
          counts[module]! += 1;
          expected.set(domain, counts);
        }
    for (const counting of [cpuEngine({ workers: 1, precision: "fp32" }), referenceEngine()]) {
      const found = await moduleFrequencies(model, samples, counting);
      expect(Object.keys(found)).toEqual(["judge", "python"]);
      for (const [domain, counts] of expected) {
        const total = counts.reduce((a, b) => a + b);
        for (const [module, count] of counts.entries())
          expect(found[domain]!.feedforward[1]![module]).toBeCloseTo(count / total, 10);
      }
    }
  });

  it("is refused of a dense model", async () => {
    const dense = { ...randomDecoder({ shape: "tiny" }) };
    const layers = dense.layers.map(({ attention, feedforward }) => ({
      attention: { ...attention, routing: { kind: "none" as const } },
      feedforward: { ...feedforward, routing: { kind: "none" as const } },
    }));
    await expect(moduleFrequencies({ ...dense, layers }, samples, engine)).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
  });
});

describe("pruning", () => {
  it("keeps the modules with the largest shares, at least as many as run", () => {
    const share = fc.array(fc.nat(5), { minLength: 3, maxLength: 3 });
    const shares = fc.array(fc.nat(5), { minLength: 5, maxLength: 5 });
    fc.assert(
      fc.property(share, shares, fc.double({ min: 0.01, max: 1, noNaN: true }), (attention, feedforward, keep) => {
        const kept = mostUsedModules(
          { attention: [attention], feedforward: [feedforward] },
          { ...model, layers: model.layers.slice(0, 1) },
          keep,
        );
        for (const [all, places] of [
          [attention, kept.attention[0]!],
          [feedforward, kept.feedforward[0]!],
        ] as const) {
          expect(places).toHaveLength(Math.max(2, Math.round(keep * all.length)));
          expect([...places].sort((a, b) => a - b)).toEqual(places);
          const least = Math.min(...places.map((place) => all[place]!));
          for (const [place, value] of all.entries())
            if (!places.includes(place)) expect(value).toBeLessThanOrEqual(least);
        }
      }),
    );
  });

  it("writes a smaller bundle that runs: what stays is as it was, and its golden cases hold", async () => {
    const output = join(folder, "half");
    const kept = await pruneDecoder(source, output, { keep: 0.5, samples, engine });
    const bundle = await readBundle(output);
    const smaller = decoderModel(bundle);
    for (const [layer, { feedforward, attention }] of smaller.layers.entries()) {
      expect(feedforward.input.map((matrix) => [...loaded(matrix).values])).toEqual(
        kept.feedforward[layer]!.map((place) => [...loaded(model.layers[layer]!.feedforward.input[place]!).values]),
      );
      expect(attention.output.map((matrix) => [...loaded(matrix).scale!])).toEqual(
        kept.attention[layer]!.map((place) => [...loaded(model.layers[layer]!.attention.output[place]!).scale!]),
      );
    }
    expect(bundle.config).toMatchObject({
      feedforward: { experts: 3 },
      attention: { experts: 2 },
      pruned: { keep: 0.5 },
    });
    expect(Object.keys(smaller.frequencies!)).toEqual(["judge", "python"]);
    const size = async (path: string) => (await stat(join(path, "model.safetensors"))).size;
    expect(await size(output)).toBeLessThan(await size(source));
    const verdicts = await verifyModel(output, [
      referenceEngine(),
      engine,
      cpuEngine({ workers: 1, precision: "fp32" }),
    ]);
    expect(verdicts).toHaveLength(3);
    for (const verdict of verdicts) {
      expect(verdict).toMatchObject({ kind: "decoder", passed: true });
      expect((verdict as DecoderVerdict).places).toBeGreaterThan(0);
    }
  });

  it("keeps every module at 1, and the model with it", async () => {
    const output = join(folder, "all");
    const seen: [number, number][] = [];
    const progress = (done: number, total: number) => void seen.push([done, total]);
    await pruneDecoder(source, output, { keep: 1, samples, engine, progress });
    expect(seen).toEqual([...Array(6).keys()].map((done) => [done, 6]));
    const ids = samples[0]!.ids;
    expect(readSequence(decoderModel(await readBundle(output)), ids).logits).toEqual(readSequence(model, ids).logits);
  });

  it("refuses shares that are none, and a place that is taken, before it computes", async () => {
    for (const keep of [0, -1, 1.5, Number.NaN])
      await expect(pruneDecoder(source, join(folder, "none"), { keep, samples, engine })).rejects.toMatchObject({
        code: "BAD_ARGUMENT",
      });
    await expect(pruneDecoder(source, source, { keep: 0.5, samples, engine })).rejects.toMatchObject({
      code: "CONFLICT",
    });
  });
});
