import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import fc from "fast-check";
import { dequantise, quantise, unit } from "../architectures/encoder.js";
import { encoderModel, readGolden } from "../architectures/tessera-encoder.js";
import { ragged } from "../engines/engine.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { writeRandomEncoder } from "../tools/random-encoder.js";
import { readBundle } from "./bundle.js";
import { readSafetensors, type Tensor, writeSafetensors } from "./safetensors.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-bundle-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

type Config = { files: Record<string, string>; [field: string]: unknown };
const readConfig = async (): Promise<Config> => JSON.parse(await readFile(join(folder, "config.json"), "utf8"));

/** Changes config.json, and makes its hashes true again, so that only the deeper checks can object. */
async function rewrite(change: (config: Config) => void = () => {}): Promise<void> {
  const config = await readConfig();
  for (const file of Object.keys(config.files))
    config.files[file] = createHash("sha256")
      .update(await readFile(join(folder, file)))
      .digest("hex");
  change(config);
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
}

async function changeTensors(change: (tensors: Map<string, Tensor>) => void): Promise<void> {
  const path = join(folder, "model.safetensors");
  const tensors = readSafetensors(await readFile(path), path);
  change(tensors);
  await writeFile(path, writeSafetensors(tensors));
  await rewrite();
}

async function refusal(): Promise<TesseraError> {
  try {
    await readGolden(folder, encoderModel(await readBundle(folder)));
  } catch (error) {
    expect(TesseraError.is(error)).toBe(true);
    expect((error as TesseraError).code).toBe("BAD_BUNDLE");
    return error as TesseraError;
  }
  throw new Error("the bundle was accepted");
}

describe("a bundle", () => {
  it("is read whole, and its golden vectors are the reference's", async () => {
    await writeRandomEncoder(folder, { shape: "tiny" });
    const model = encoderModel(await readBundle(folder));
    expect(model.exits.map(({ layer }) => layer)).toEqual([1, 2, 4]);
    expect(model.blocks).toHaveLength(4);
    const cases = await readGolden(folder, model);
    const session = await referenceEngine().loadEncoder(model);
    for (const exit of session.exits) {
      const vectors = await session.encode(ragged(cases.map(({ ids }) => ids)), exit);
      for (const [i, { vectors: expected }] of cases.entries())
        for (const [j, value] of expected[exit]!.entries())
          expect(Math.abs(vectors[i * model.hidden + j]! - value)).toBeLessThan(1e-5);
    }
  });

  it("reads the same from shards as from one file", async () => {
    await writeRandomEncoder(folder, { shape: "tiny" });
    const whole = await readBundle(folder);
    const parts = join(folder, "parts");
    await writeRandomEncoder(parts, { shape: "tiny", shard: 8192 });
    const shards = (await readdir(parts)).filter((file) => file.endsWith(".safetensors"));
    expect(shards.length).toBeGreaterThan(3);
    for (const shard of shards) expect((await stat(join(parts, shard))).size).toBeLessThanOrEqual(8192);
    const sharded = await readBundle(parts);
    expect(new Set(sharded.tensors.keys())).toEqual(new Set(whole.tensors.keys()));
    for (const [name, { shape, values }] of whole.tensors) {
      expect(sharded.tensors.get(name)!.shape).toEqual(shape);
      expect([...sharded.tensors.get(name)!.values]).toEqual([...values]);
    }
  });

  it("changes its revision with any weight", async () => {
    await writeRandomEncoder(folder, { shape: "tiny", seed: 1, golden: 1 });
    const before = (await readBundle(folder)).revision;
    await changeTensors((tensors) => {
      tensors.get("layers.2.feedforward.down.weight")!.values[7]! ^= 1;
    });
    expect((await readBundle(folder)).revision).not.toBe(before);
  });

  it("is refused when its weights are cut short or altered by one byte, and names the file", async () => {
    await writeRandomEncoder(folder, { shape: "tiny", golden: 1 });
    const path = join(folder, "model.safetensors");
    const bytes = await readFile(path);
    bytes[bytes.length - 5]! ^= 1;
    await writeFile(path, bytes);
    expect((await refusal()).path).toBe(path);
    await truncate(path, bytes.length - 100);
    expect((await refusal()).path).toBe(path);
    await rewrite();
    expect((await refusal()).message).toMatch(/cut short/);
    await unlink(path);
    expect((await refusal()).path).toBe(path);
  });

  it("is refused when a tensor is missing, surplus, misshapen, of the wrong type, or not finite", async () => {
    const damage: [tensor: string, change: (tensors: Map<string, Tensor>) => void][] = [
      ["exits.2.norm.weight", (tensors) => tensors.delete("exits.2.norm.weight")],
      ["head.weight", (tensors) => tensors.set("head.weight", { shape: [1], values: new Float32Array(1) })],
      [
        "layers.0.attention.qkv.weight",
        (tensors) => tensors.set("layers.0.attention.qkv.weight", { shape: [32, 96], values: new Int8Array(32 * 96) }),
      ],
      [
        "exits.4.projection.weight",
        (tensors) => tensors.set("exits.4.projection.weight", { shape: [32, 32], values: new Float32Array(1024) }),
      ],
      [
        "layers.1.attention.norm.weight",
        (tensors) => {
          tensors.get("layers.1.attention.norm.weight")!.values[3] = Number.NaN;
        },
      ],
      [
        "embedding.weight.scale",
        (tensors) => {
          tensors.get("embedding.weight.scale")!.values[0] = -1;
        },
      ],
    ];
    for (const [tensor, change] of damage) {
      await writeRandomEncoder(folder, { shape: "tiny", golden: 1 });
      await changeTensors(change);
      expect((await refusal()).path).toBe(`${folder}#${tensor}`);
    }
  });

  it("is refused when its config does not fit itself or the tensors", async () => {
    const changes: Record<string, unknown>[] = [
      { hidden: 30 },
      { hidden: 64, widths: [64] },
      { layers: 5, exits: [1, 2, 5] },
      { layers: 3, exits: [1, 3] },
      { heads: 3 },
      { exits: [2, 1, 4] },
      { widths: [8, 16] },
      { vocabulary: 100 },
      { default: { query: 3, index: 4 } },
      { default: { query: 1, index: 2 } },
      { architecture: "tessera-moe" },
      { formatVersion: 2 },
      { files: {} },
      { files: { "../model.safetensors": "0".repeat(64) } },
      { maxTokens: { query: 64 } },
    ];
    await writeRandomEncoder(folder, { shape: "tiny", golden: 1 });
    const original = await readConfig();
    for (const change of changes) {
      await writeFile(join(folder, "config.json"), JSON.stringify({ ...original, ...change }));
      await refusal();
    }
    await writeFile(join(folder, "config.json"), "{ not json");
    expect((await refusal()).path).toBe(join(folder, "config.json"));
  });

  it("is refused when golden.json does not fit the model", async () => {
    await writeRandomEncoder(folder, { shape: "tiny", golden: 1 });
    const path = join(folder, "golden.json");
    const original = JSON.parse(await readFile(path, "utf8"));
    for (const change of [{ ids: [1, 99999] }, { ids: [] }, { vectors: { 1: [1] } }, { kind: "image" }]) {
      await writeFile(path, JSON.stringify({ cases: [{ ...original.cases[0], ...change }] }));
      await rewrite();
      expect((await refusal()).path).toBe(path);
    }
  });
});

describe("safetensors", () => {
  const tensor = fc.oneof(
    fc.int8Array({ maxLength: 20 }).map((values): Tensor => ({ shape: [values.length], values })),
    fc.float32Array({ maxLength: 20, noNaN: true }).map((values): Tensor => ({ shape: [1, values.length], values })),
  );

  it("come back as they were written, at any alignment", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string().filter((name) => name !== "__metadata__" && name !== "__proto__"),
          tensor,
        ),
        fc.nat(7),
        (record, shift) => {
          const written = writeSafetensors(new Map(Object.entries(record)));
          const moved = new Uint8Array(written.length + shift).subarray(shift);
          moved.set(written);
          const read = readSafetensors(moved, "test");
          expect(read.size).toBe(Object.keys(record).length);
          for (const [name, { shape, values }] of Object.entries(record)) {
            expect(read.get(name)!.shape).toEqual(shape);
            expect([...read.get(name)!.values]).toEqual([...values]);
          }
        },
      ),
    );
  });

  it("of any damage give BAD_BUNDLE or a reading, never another error", () => {
    const written = writeSafetensors(
      new Map([
        ["a", { shape: [2, 3], values: new Float32Array(6) }],
        ["b", { shape: [5], values: new Int8Array(5) }],
      ]),
    );
    fc.assert(
      fc.property(fc.nat(written.length - 1), fc.nat(255), fc.nat(written.length), (at, byte, length) => {
        const damaged = written.slice(0, length);
        if (at < length) damaged[at] = byte;
        try {
          readSafetensors(damaged, "test");
        } catch (error) {
          expect((error as TesseraError).code).toBe("BAD_BUNDLE");
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("of half precision widen exactly", () => {
    const header = Buffer.from(
      '{"h":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]}}',
    );
    const bytes = Buffer.alloc(8 + header.length + 12);
    bytes.writeBigUInt64LE(BigInt(header.length));
    header.copy(bytes, 8);
    for (const [i, bits] of [0x3c00, 0xc000, 0x0001, 0x7bff, 0x3fc0, 0xc2f7].entries())
      bytes.writeUInt16LE(bits, 8 + header.length + 2 * i);
    const read = readSafetensors(bytes, "test");
    expect([...read.get("h")!.values]).toEqual([1, -2, 2 ** -24, 65504]);
    expect([...read.get("b")!.values]).toEqual([1.5, -123.5]);
  });
});

describe("quantisation", () => {
  it("keeps each weight within half a step of its row", () => {
    fc.assert(
      fc.property(fc.float32Array({ minLength: 6, maxLength: 6, noNaN: true, min: -1000, max: 1000 }), (values) => {
        const matrix = { rows: 2, columns: 3, values };
        const quantised = quantise(matrix);
        const back = dequantise(quantised);
        for (let i = 0; i < 6; i++)
          expect(Math.abs(back[i]! - values[i]!)).toBeLessThanOrEqual(
            (0.50001 * Math.max(...[0, 1, 2].map((j) => Math.abs(values[i - (i % 3) + j]!)))) / 127 + 2 ** -119,
          );
      }),
    );
  });

  it("rounds halves to even, and keeps a row of zeros", () => {
    const values = Float32Array.of(127, 0.5, 1.5, -2.5, 0, 0, 0, 0);
    const { values: bytes, scale } = quantise({ rows: 2, columns: 4, values });
    expect([...bytes]).toEqual([127, 0, 2, -2, 0, 0, 0, 0]);
    expect([...scale!]).toEqual([1, 1]);
  });
});

describe("unit", () => {
  it("cuts and has length one, and leaves zeros", () => {
    expect([...unit(Float32Array.of(3, 4, 12), 2)]).toEqual([Math.fround(0.6), Math.fround(0.8)]);
    expect([...unit(new Float32Array(2))]).toEqual([0, 0]);
  });
});
