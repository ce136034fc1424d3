// internal: EncodeFile, encodeFile
import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import type { Kind } from "../architectures/encoder.js";
import { openCodeEncoder } from "../encoders/code-encoder.js";
import type { Engine } from "../engines/engine.js";
import { findModel } from "./catalogue.js";

export interface EncodeFile {
  readonly model?: string | undefined;
  readonly exit?: number | undefined;
  readonly width?: number | undefined;
  readonly kind: Kind;
  /** One `{"text": …}` a line, UTF-8; bytes that are none count as U+FFFD. Empty lines are passed over. */
  readonly input: string;
  /** Row-major little-endian fp32, one row a line; written beside its place and then moved there. */
  readonly output: string;
  readonly engine?: Engine | undefined;
  readonly folders?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Encodes a file of texts into a file of vectors.
 * @returns the number of vectors and their width
 * @throws TesseraError BAD_INPUT with file and line; BAD_SOURCE where the input cannot be read; else as `encode`
 */
export async function encodeFile(request: EncodeFile): Promise<{ texts: number; width: number; space: string }> {
  const { input, output, kind, exit, width, signal } = request;
  const encoder = await openCodeEncoder(await findModel(request.model, request.folders), request.engine);
  const partial = `${output}.${randomUUID()}`;
  try {
    const embedding = { exit: exit ?? encoder.model.default[kind === "query" ? "query" : "index"], width };
    const space = encoder.space(embedding);
    const file = await open(partial, "w");
    let texts = 0;
    try {
      for await (const batch of batchesOf(input)) {
        const vectors = await encoder.encode(batch, { ...embedding, kind }, signal);
        await file.write(Buffer.concat(vectors.map((vector) => littleEndian(vector))));
        texts += batch.length;
      }
    } finally {
      await file.close();
    }
    await rename(partial, output);
    return { texts, width: width ?? encoder.model.hidden, space };
  } finally {
    await rm(partial, { force: true });
    await encoder.close();
  }
}

async function* batchesOf(path: string): AsyncIterable<string[]> {
  let batch: string[] = [];
  let number = 0;
  const stream = createReadStream(path, "utf8");
  const failure = new Promise<never>((_, reject) =>
    stream.on("error", (cause) =>
      reject(new TesseraError("BAD_SOURCE", `the file cannot be read: ${messageOf(cause)}`, { path, cause })),
    ),
  );
  failure.catch(() => {});
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  for (;;) {
    const { value: line, done } = await Promise.race([lines.next(), failure]);
    if (done) break;
    number += 1;
    if (line.trim() === "") continue;
    batch.push(textOf(line, `${path}:${number}`));
    if (batch.length < 1024) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function textOf(line: string, path: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new TesseraError("BAD_INPUT", `the line is not JSON: ${messageOf(cause)}`, { path, cause });
  }
  const text = (value as { text?: unknown } | null)?.text;
  if (typeof text === "string") return text;
  throw new TesseraError("BAD_INPUT", "the line has no text", { path, hint: 'each line is {"text": "…"}' });
}

function littleEndian(vector: Float32Array): Buffer {
  const bytes = Buffer.alloc(4 * vector.length);
  for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, 4 * i);
  return bytes;
}
