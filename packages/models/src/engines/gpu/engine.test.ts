import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { halfDriver, isLong, needs, softwareDriver, withoutDriver, withoutHalf } from "@tessera/testkit";
import type { EncoderModel } from "../../architectures/encoder.js";
import { encoderModel, type GoldenCase, readGolden } from "../../architectures/tessera-encoder.js";
import { readBundle } from "../../formats/bundle.js";
import { openEncoderModel } from "../../formats/open-model.js";
import { writeRandomEncoder } from "../../tools/random-encoder.js";
import { type EncoderVerdict, verifyModel } from "../../tools/verify-model.js";
import { ragged } from "../engine.js";
import { referenceVectors } from "../reference/engine.js";
import { cosine, manyInputs } from "../vectors.fixture.js";
import { gpuOnDemand } from "./choose.js";
import { type GpuEncoderSession, type GpuEngine, gpuEngine } from "./engine.js";

const onDevice = needs(softwareDriver !== undefined, withoutDriver);
const onHalf = needs(halfDriver !== undefined, withoutHalf);

let folder: string;
let model: EncoderModel;
let golden: readonly GoldenCase[];
let engine: GpuEngine;
let session: GpuEncoderSession;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-gpu-"));
  await writeRandomEncoder(folder, { shape: "tiny", golden: 4 });
  model = encoderModel(await readBundle(folder));
  golden = await readGolden(folder, model);
  if (softwareDriver === undefined) return;
  engine = await gpuEngine({ driver: softwareDriver });
  session = await engine.loadEncoder(model);
});
afterAll(async () => {
  await engine?.close();
  await rm(folder, { recursive: true, force: true });
});

const row = (vectors: Float32Array, i: number): Float32Array => vectors.slice(i * model.hidden, (i + 1) * model.hidden);

describe("an encoder on the GPU engine", () => {
  onDevice("says that the driver is software", () => {
    expect(engine.software).toBe(true);
    expect(engine.info).toMatchObject({ kind: "gpu", dtype: "fp32" });
  });

  onDevice("reaches the golden vectors at every exit", async () => {
    for (const exit of session.exits) {
      const vectors = await session.encode(ragged(golden.map(({ ids }) => ids)), exit);
      for (const [i, { vectors: expected }] of golden.entries())
        expect(cosine(row(vectors, i), expected[exit]!)).toBeGreaterThan(1 - 1e-6);
    }
  });

  onDevice("computes each text as if it were alone, in batches of any mixture", async () => {
    const texts = manyInputs(9, 70);
    const vectors = await session.encode(ragged(texts), 4);
    for (const [i, ids] of texts.entries()) {
      const expected = referenceVectors(model, Int32Array.from(ids)).get(4)!;
      for (const [j, value] of row(vectors, i).entries()) expect(Math.abs(value - expected[j]!)).toBeLessThan(1e-5);
    }
    expect(await session.encode(ragged([]), 4)).toHaveLength(0);
  });

  onDevice("lets texts leave by margin and computes the rest as if they were alone", async () => {
    const texts = manyInputs(12, 30, 2);
    const layers = [1, 2, 4];
    const all = texts.map((ids) => referenceVectors(model, Int32Array.from(ids)));
    const cosines = all.map((vectors) => cosine(vectors.get(1)!, vectors.get(2)!)).sort((a, b) => a - b);
    // between two texts, so that about half of them leave in the middle
    const margin = 1 - (cosines[5]! + cosines[6]!) / 2;
    const { vectors, exits } = await session.encodeByMargin(ragged(texts), { margin, layers });
    expect([...exits].filter((exit) => exit === 2)).toHaveLength(6);
    for (const [i, reference] of all.entries()) {
      const exit = cosine(reference.get(1)!, reference.get(2)!) >= 1 - margin ? 2 : 4;
      expect(exits[i]).toBe(exit);
      expect(cosine(row(vectors, i), reference.get(exit)!)).toBeGreaterThan(1 - 1e-6);
    }
    // nobody, and everybody
    const none = await session.encodeByMargin(ragged(texts), { margin: 0, layers });
    expect(new Set(none.exits)).toEqual(new Set([4]));
    const everybody = await session.encodeByMargin(ragged(texts), { margin: 2, layers });
    expect(new Set(everybody.exits)).toEqual(new Set([2]));
    await expect(session.encodeByMargin(ragged(texts), { margin: 0.1, layers: [2, 1] })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
    });
  });

  onDevice("refuses what does not fit the model", async () => {
    await expect(session.encode(ragged([[1, 160]]), 4)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(session.encode(ragged([[1]]), 3)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  onDevice("settles an aborted call at once", async () => {
    const controller = new AbortController();
    const call = session.encode(ragged(manyInputs(4, 60)), 4, controller.signal);
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: "ABORTED" });
  });

  onDevice("fits the models of its budget and refuses the next, which costs the others nothing", async () => {
    const small = await gpuEngine({ driver: softwareDriver, memory: 2 * 2 ** 20 });
    try {
      const first = await small.loadEncoder(model);
      const used = await small.memory();
      await expect(small.loadEncoder(model)).rejects.toMatchObject({ code: "OVERLOADED" });
      expect(await small.memory()).toBe(used);
      expect(await first.encode(ragged([[1, 4, 7]]), 1)).toHaveLength(model.hidden);
      await first.close();
      expect(await small.memory()).toBe(0);
      await expect(first.encode(ragged([[1]]), 1)).rejects.toMatchObject({ code: "CLOSED" });
      await (await small.loadEncoder(model)).close();
    } finally {
      expect(await small.close()).toBe(0);
    }
  });

  onDevice("lives on when its device is lost: calls in flight fail, the next are served", async () => {
    const fixture = new URL("./lose-device.fixture.mjs", import.meta.url).href;
    const options = process.env.NODE_OPTIONS;
    process.env.NODE_OPTIONS = `${options ?? ""} --import=${fixture}`;
    const fragile = await gpuEngine({ driver: softwareDriver });
    if (options === undefined) delete process.env.NODE_OPTIONS;
    else process.env.NODE_OPTIONS = options;
    try {
      const encoder = await fragile.loadEncoder(model);
      const before = await encoder.encode(ragged([[1, 4, 7]]), 1);
      const process_ = fragile.process!;
      process.kill(process_, "SIGUSR2");
      // the device is lost while calls come; each of them settles
      const calls = await Promise.allSettled(
        // of the kernels that are compiled already
        Array.from({ length: 50 }, () => encoder.encode(ragged([[1, 4, 7]]), 1)),
      );
      for (const call of calls)
        if (call.status === "rejected") expect(call.reason).toMatchObject({ code: "MODEL_FAILED" });
      expect(calls.filter(({ status }) => status === "rejected").length).toBeGreaterThan(0);
      expect(await encoder.encode(ragged([[1, 4, 7]]), 1)).toEqual(before);
      expect(fragile.process).not.toBe(process_);
    } finally {
      expect(await fragile.close()).toBe(0);
    }
  });

  onDevice("lives on when its process is killed: calls in flight fail, the next are served", async () => {
    const before = await session.encode(ragged([[1, 4, 7]]), 4);
    const process_ = engine.process!;
    const call = session.encode(ragged(manyInputs(12, 60)), 4);
    const failed = expect(call).rejects.toMatchObject({ code: "MODEL_FAILED" });
    await new Promise((resolve) => setImmediate(resolve));
    process.kill(process_, "SIGKILL");
    await failed;
    expect(await session.encode(ragged([[1, 4, 7]]), 4)).toEqual(before);
    expect(engine.process).not.toBe(process_);
  });
});

describe("an encoder on the GPU engine in half precision", () => {
  onHalf("reaches the golden vectors at every exit, and lets texts leave by margin", async () => {
    // products on the units are compiled by the tests of kernels, in seconds each
    const half = await gpuEngine({ driver: halfDriver, units: false });
    try {
      expect(half.info.dtype).toBe("fp16");
      const encoder = await half.loadEncoder(model);
      const ids = golden.map((one) => one.ids);
      for (const exit of encoder.exits) {
        const vectors = await encoder.encode(ragged(ids), exit);
        for (const [i, { vectors: expected }] of golden.entries())
          expect(cosine(row(vectors, i), expected[exit]!)).toBeGreaterThan(0.9995);
      }
      const { vectors, exits } = await encoder.encodeByMargin(ragged(ids), { margin: 0.5, layers: encoder.exits });
      for (const [i, { vectors: expected }] of golden.entries())
        expect(cosine(row(vectors, i), expected[exits[i]!]!)).toBeGreaterThan(0.9995);
    } finally {
      expect(await half.close()).toBe(0);
    }
  });
});

describe("bundles on the GPU engine", () => {
  onDevice("a bundle's golden vectors, and the engine ends with its session", async () => {
    const [verdict] = await verifyModel(folder, [gpuOnDemand({ driver: softwareDriver })]);
    expect(verdict).toMatchObject({ engine: { kind: "gpu", dtype: "fp32" }, passed: true });
    for (const { cosine: least } of (verdict as EncoderVerdict).exits) expect(least).toBeGreaterThan(0.9995);
    const [missing] = await verifyModel(folder, [gpuOnDemand({ driver: "/nowhere/driver.json" })]);
    expect(missing).toMatchObject({ passed: true, missing: expect.stringMatching(/no GPU/) });
  });

  onDevice("the shipped encoder reaches its short golden vectors", async () => {
    const shipped = fileURLToPath(new URL("../../../../weights/bundles/code-encoder", import.meta.url));
    const trained = await openEncoderModel(shipped);
    const cases = (await readGolden(shipped, trained)).filter(({ ids }) => ids.length <= 8);
    expect(cases.length).toBeGreaterThan(1);
    const encoder = await engine.loadEncoder(trained);
    // every exit takes the same kernels
    for (const exit of isLong ? encoder.exits : [encoder.exits[0]!, encoder.exits.at(-1)!]) {
      const vectors = await encoder.encode(ragged(cases.map(({ ids }) => ids)), exit);
      for (const [i, { vectors: expected }] of cases.entries())
        expect(cosine(vectors.subarray(i * trained.hidden, (i + 1) * trained.hidden), expected[exit]!)).toBeGreaterThan(
          0.9995,
        );
    }
    await encoder.close();
  });
});

it("says what is missing where there is no GPU", async () => {
  await expect(gpuEngine({ driver: "/nowhere/driver.json" })).rejects.toMatchObject({ code: "DEPENDENCY_MISSING" });
});
