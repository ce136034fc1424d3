import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { countOf } from "@tessera/testkit";
import fc from "fast-check";
import { singles, writeGguf } from "./gguf.fixture.js";
import { readGguf } from "./gguf.js";
import type { StoredType } from "./quantised-blocks.js";
import { readRows, rowsOfTensor } from "./stored-rows.js";

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-gguf-"));
  path = join(folder, "model.gguf");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Golden {
  readonly rows: number;
  readonly cases: readonly { type: StoredType; columns: number; bytes: string; values: string }[];
}
const golden = JSON.parse(await readFile(new URL("../fixtures/gguf-blocks.json", import.meta.url), "utf8")) as Golden;

const small = (): Buffer =>
  writeGguf(
    { "general.architecture": "llama", tokens: ["a", "é", ""], scores: [0.5, -1.25], count: 7, flag: true, rate: 1.5 },
    {
      "a.weight": singles(
        [2, 4],
        Array.from({ length: 8 }, (_, i) => i),
      ),
      "b.weight": { shape: [4], type: "F16", bytes: Uint8Array.of(0, 0x3c, 0, 0xc0, 1, 0, 0, 0x80) },
    },
  );

async function refusal(bytes: Uint8Array): Promise<TesseraError> {
  await writeFile(path, bytes);
  try {
    const { tensors } = await readGguf(path);
    for (const { shape, stored } of tensors.values())
      readRows(
        stored,
        shape.slice(0, -1).reduce((a, b) => a * b, 1),
        shape.at(-1)!,
      );
  } catch (error) {
    expect(error).toBeInstanceOf(TesseraError);
    expect((error as TesseraError).code).toBe("BAD_BUNDLE");
    expect((error as TesseraError).path).toContain(path);
    return error as TesseraError;
  }
  throw new Error("the file was accepted");
}

describe("a GGUF file", () => {
  it.each(golden.cases)("has $type as the package gguf reads it", async ({ type, columns, bytes, values }) => {
    const stored = Buffer.from(bytes, "base64");
    await writeFile(path, writeGguf({ a: "b" }, { t: { shape: [golden.rows, columns], type, bytes: stored } }));
    const { tensors } = await readGguf(path);
    const found = readRows(tensors.get("t")!.stored, golden.rows, columns);
    // 0 and −0 are the same number
    const plain = (numbers: Float32Array): number[] => Array.from(numbers, (number) => number + 0);
    expect(plain(found)).toEqual(plain(new Float32Array(new Uint8Array(Buffer.from(values, "base64")).buffer)));
    const second = rowsOfTensor(tensors.get("t")!, 1, 1);
    expect([...readRows(second.stored, 1, columns)]).toEqual([...found.subarray(columns)]);
  });

  it("gives its metadata and its tensors, row-major", async () => {
    await writeFile(path, small());
    const { metadata, tensors } = await readGguf(path);
    expect(Object.fromEntries(metadata)).toEqual({
      "general.architecture": "llama",
      tokens: ["a", "é", ""],
      scores: [0.5, -1.25],
      count: 7,
      flag: true,
      rate: 1.5,
    });
    const { shape, stored } = tensors.get("a.weight")!;
    expect(shape).toEqual([2, 4]);
    expect([...readRows(stored, 2, 4)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect([...readRows(tensors.get("b.weight")!.stored, 1, 4)]).toEqual([1, -2, 2 ** -24, -0]);
  });

  it("gives a head's rows half after half where they lie interleaved", async () => {
    const rows = [0, 2, 1, 3, 4, 6, 5, 7];
    await writeFile(
      path,
      writeGguf(
        {},
        {
          q: singles(
            [8, 2],
            rows.flatMap((row) => [row, row]),
          ),
        },
      ),
    );
    const { stored } = (await readGguf(path)).tensors.get("q")!;
    const found = readRows({ ...stored, interleaved: 4 }, 8, 2);
    expect([...found].filter((_, i) => i % 2 === 0)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it("reads a header that is longer than one piece", async () => {
    const tokens = Array.from({ length: 30_000 }, (_, i) => `token ${i} é`);
    await writeFile(path, writeGguf({ tokens, ids: tokens.map((_, i) => i), after: "x" }, {}));
    const { metadata } = await readGguf(path);
    expect(metadata.get("tokens")).toEqual(tokens);
    expect((metadata.get("ids") as number[]).at(-1)).toBe(29_999);
    expect(metadata.get("after")).toBe("x");
  });

  it("is refused wherever it is cut", async () => {
    const whole = small();
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
        // the padding behind the last tensor may be missing
        if (length >= whole.length - 24) return;
        await refusal(whole.subarray(0, length));
      }),
      { numRuns: countOf({ usual: 60, long: 600 }) },
    );
  });

  it("is read or refused by BAD_BUNDLE whatever bytes are changed", async () => {
    const whole = small();
    const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), async (changes) => {
        const bytes = Buffer.from(whole);
        for (const { at, byte } of changes) bytes[at] = byte;
        await refusal(bytes).catch((error: Error) => {
          if (error.message !== "the file was accepted") throw error;
        });
      }),
      { numRuns: countOf({ usual: 100, long: 2000 }) },
    );
  });

  const hostile = (change: (bytes: Buffer) => void): Uint8Array => {
    const bytes = small();
    change(bytes);
    return bytes;
  };
  const tensor = (shape: readonly (number | bigint)[], type: StoredType | number): Uint8Array =>
    writeGguf({}, { t: { shape: shape as number[], type, bytes: new Uint8Array(1024) } });
  it.each([
    ["no GGUF", Buffer.alloc(64), "does not begin with GGUF"],
    ["version 1", hostile((bytes) => bytes.writeUInt32LE(1, 4)), "version 1"],
    ["big-endian", hostile((bytes) => bytes.writeUInt32BE(3, 4)), "big-endian"],
    ["2⁶⁰ tensors", hostile((bytes) => bytes.writeBigUInt64LE(2n ** 60n, 8)), "tensors"],
    ["2⁶³ entries of metadata", hostile((bytes) => bytes.writeBigUInt64LE(2n ** 63n, 16)), "entries of metadata"],
    ["a key of 4 GB", hostile((bytes) => bytes.writeBigUInt64LE(2n ** 32n, 24)), "bytes in a string"],
    ["a tensor of 10 GB", tensor([50_000, 50_000], "F32"), "cut short"],
    ["a negative dimension", tensor([-4n, 32], "F32"), "no shape"],
    ["an empty dimension", tensor([0, 32], "F32"), "no shape"],
    ["dimensions whose product overflows", tensor([2n ** 40n, 2n ** 40n], "F32"), "no shape"],
    ["a type that is not read", tensor([2, 256], 10), "type Q2_K is not read; read are F32"],
    ["a type that nobody knows", tensor([2, 256], 4000), "type number 4000 is not read"],
    ["rows that are no blocks", tensor([2, 48], "Q8_0"), "no blocks"],
    ["no alignment", writeGguf({ "general.alignment": 7 }, {}), "no alignment"],
    ["numbers that are not finite", writeGguf({}, { t: singles([1, 2], [1, Number.NaN]) }), "not finite"],
  ])("is refused with %s", async (_, bytes, message) => {
    expect((await refusal(bytes)).message).toContain(message);
  });

  it("is refused where tensors overlap or stand there twice", async () => {
    const twice = writeGguf({}, { aa: singles([2], [1, 2]), ab: singles([2], [3, 4]) });
    const second = twice.indexOf("ab");
    twice.write("aa", second);
    expect((await refusal(twice)).message).toContain("twice");
    const overlap = writeGguf({}, { aa: singles([2], [1, 2]), ab: singles([2], [3, 4]) });
    overlap.writeBigUInt64LE(0n, overlap.indexOf("ab") + 2 + 4 + 8 + 4);
    expect((await refusal(overlap)).message).toContain("overlaps");
  });
});
