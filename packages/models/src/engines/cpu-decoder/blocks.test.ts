import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { mulberry32 } from "@tessera/core/internal";
import type { DecoderModel, StoredMatrix } from "../../architectures/decoder.js";
import { decoderFolder, goldenLogits } from "../../architectures/llama.fixture.js";
import { bytesOfType, writeGguf } from "../../formats/gguf.fixture.js";
import { readGguf } from "../../formats/gguf.js";
import { openDecoderModel } from "../../formats/open-model.js";
import type { StoredType } from "../../formats/quantised-blocks.js";
import { readRows } from "../../formats/stored-rows.js";
import { unpackRow } from "./pack-weights.js";
import { plan } from "./packed.js";

let folder: string;
let model: DecoderModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-blocks-"));
  model = await openDecoderModel(decoderFolder("llama"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Random blocks of a type, with halves where scales stand that are plain numbers. */
async function stored(type: StoredType, rows: number, columns: number): Promise<StoredMatrix> {
  const random = mulberry32(7);
  const bytes = Uint8Array.from({ length: bytesOfType(type, rows * columns) }, () => random() * 256);
  const { length } = bytes;
  const halves: Partial<Record<StoredType, [size: number, ...places: number[]]>> = {
    ...{ Q8_0: [34, 0], Q4_0: [18, 0], Q4_1: [20, 0, 2], Q5_0: [22, 0], Q5_1: [24, 0, 2] },
    ...{ Q4_K: [144, 0, 2], Q5_K: [176, 0, 2], Q6_K: [210, 208] },
  };
  const [size, ...places] = halves[type]!;
  for (let at = 0; at < length; at += size!)
    for (const place of places) bytes.set([Math.floor(random() * 256), 0x20 + Math.floor(random() * 8)], at + place);
  // the greatest of a block of Q8_0 is ±127 whoever made it
  if (type === "Q8_0")
    for (let at = 0; at < length; at += 34)
      bytes.set(
        bytes.subarray(at + 2, at + 34).map((byte, i) => (i === 0 || byte === 0x80 ? 0x81 : byte)),
        at + 2,
      );
  const path = join(folder, `${type}.gguf`);
  await writeFile(path, writeGguf({}, { t: { shape: [rows, columns], type, bytes } }));
  return { rows, columns, stored: (await readGguf(path)).tensors.get("t")!.stored };
}

describe.each([undefined, 16])("weights in blocks, of heads of %s rows that lie interleaved", (interleaved) => {
  it.each([
    ["Q8_0", 1e-6],
    ["Q4_0", 1e-6],
    ["Q4_1", 1e-6],
    ["Q5_0", 1e-6],
    ["Q5_1", 1e-6],
    ["Q4_K", 1e-6],
    ["Q5_K", 1e-6],
    // two scales in 32 columns: rounded to 255 steps
    ["Q6_K", 1 / 250],
  ] as const)("hold %s to %d of a block's range", async (type, most) => {
    const plain = await stored(type, 64, 512);
    const matrix = { ...plain, stored: { ...plain.stored, interleaved } };
    const { packed, write } = plan(
      { ...model, embedding: matrix, head: matrix },
      { blocks: 1, blockTokens: 4 },
      "int8",
      1,
    );
    const memory = new SharedArrayBuffer(packed.bytes);
    write(memory);
    const expected = readRows(matrix.stored, matrix.rows, matrix.columns);
    const out = new Float32Array(matrix.columns);
    for (let row = 0; row < matrix.rows; row++) {
      unpackRow(memory, packed.embedding, row, out);
      for (let from = 0; from < out.length; from += 32) {
        const some = expected.subarray(row * 512 + from, row * 512 + from + 32);
        const range = Math.max(...some) - Math.min(...some);
        const error = Math.max(...some.map((value, i) => Math.abs(value - out[from + i]!)));
        expect(error).toBeLessThanOrEqual(most * range + 1e-12);
      }
    }
  });
});

describe("weights in blocks", () => {
  it("are those of every matrix that lies in a file, and only of these", async () => {
    expect((await goldenLogits("llama")).ids).toHaveLength(40);
    const { packed } = plan(model, { blocks: 1, blockTokens: 4 }, "int8", 1);
    expect(packed.hasBlocks).toBe(true);
    expect(packed.layers[0]!.feedforward.output[0]!.kind).toBe("narrow");
  });
});
