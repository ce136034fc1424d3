import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readFile, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import type { Encoder } from "@tessera/core";

const hashBytes = 32;
const head = hashBytes + 4;

const keyOf = (text: string, kind: string): Buffer => createHash("sha256").update(`${kind}\0${text}`).digest();

/** The vectors of a file by their keys, and how many bytes of it are whole: a process that ended may have cut its last one. */
function readRows(bytes: Buffer): { rows: Map<string, Float32Array>; whole: number } {
  const rows = new Map<string, Float32Array>();
  let at = 0;
  while (at + head <= bytes.length) {
    const end = at + head + bytes.readUInt32LE(at + hashBytes) * 4;
    if (end > bytes.length) break;
    const vector = new Float32Array((end - at - head) / 4);
    for (let place = 0; place < vector.length; place++) vector[place] = bytes.readFloatLE(at + head + place * 4);
    rows.set(bytes.toString("hex", at, at + hashBytes), vector);
    at = end;
  }
  return { rows, whole: at };
}

/**
 * An encoder whose vectors of passages are written to a file as they come, so that an update that breaks off computes none
 * of them again. A vector is found by the SHA-256 of its kind and text.
 */
export class KeptVectors {
  private constructor(
    private readonly file: FileHandle,
    private readonly rows: Map<string, Float32Array>,
  ) {}

  static async open(path: string): Promise<KeptVectors> {
    await mkdir(dirname(path), { recursive: true });
    const bytes = await readFile(path).catch(() => Buffer.alloc(0));
    const { rows, whole } = readRows(bytes);
    if (whole < bytes.length) await truncate(path, whole);
    return new KeptVectors(await open(path, "a"), rows);
  }

  /** Encodes in requests of `batch` texts; what each of them gave is on the disk before the next is sent. */
  over(encoder: Encoder, batch: number): Encoder {
    return {
      revision: encoder.revision,
      space: (embedding) => encoder.space(embedding),
      encode: async (texts, how, signal) => {
        const keys = texts.map((text) => keyOf(text, how.kind));
        const missing = [...new Map(keys.map((key, index) => [key.toString("hex"), index])).entries()].filter(
          ([key]) => !this.rows.has(key),
        );
        for (let from = 0; from < missing.length; from += batch) {
          const part = missing.slice(from, from + batch);
          const vectors = await encoder.encode(
            part.map(([, index]) => texts[index]!),
            how,
            signal,
          );
          await this.keep(part.map(([key], at) => [key, vectors[at]!]));
        }
        return keys.map((key) => this.rows.get(key.toString("hex"))!);
      },
    };
  }

  private async keep(rows: readonly (readonly [key: string, vector: Float32Array])[]): Promise<void> {
    const parts = rows.flatMap(([key, vector]) => {
      const bytes = Buffer.alloc(4 + vector.length * 4);
      bytes.writeUInt32LE(vector.length, 0);
      for (const [place, component] of vector.entries()) bytes.writeFloatLE(component, 4 + place * 4);
      return [Buffer.from(key, "hex"), bytes];
    });
    await this.file.appendFile(Buffer.concat(parts));
    await this.file.datasync();
    for (const [key, vector] of rows) this.rows.set(key, vector);
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
