// internal
import { setImmediate as turn } from "node:timers/promises";
import type { Encoder } from "@tessera/core";
import { estimateTokens } from "@tessera/core/internal";
import { z } from "zod";
import { refusal } from "./errors.js";

export const embeddingsBody = (most: number) =>
  z.looseObject({
    model: z.string().min(1),
    input: z.union(
      [
        z
          .string()
          .min(1)
          .transform((text) => [text]),
        z.array(z.string().min(1, "an input must not be empty")).min(1).max(most, `at most ${most} inputs a request`),
      ],
      { error: (issue) => inputError(issue.input, most) },
    ),
    encoding_format: z.enum(["float", "base64"]).nullish(),
    dimensions: z.int().positive().nullish(),
    exit: z.int().positive().nullish(),
    kind: z.enum(["query", "code", "text"]).nullish(),
  });
export type EmbeddingsBody = z.output<ReturnType<typeof embeddingsBody>>;

function inputError(input: unknown, most: number): string {
  if (Array.isArray(input) && input.length > most) return `${input.length} inputs; at most ${most} a request`;
  if (Array.isArray(input) && input.some((one) => typeof one === "number" || Array.isArray(one)))
    return "token ids are not read, since a caller cannot know this model's; send text";
  return "a text, or a list of texts, none of them empty";
}

/** Rows that are written before the event loop gets its turn. */
const rowsPerTurn = 16;

/** The vectors of a request's inputs, in order. */
export async function embed(encoder: Encoder, body: EmbeddingsBody, signal: AbortSignal): Promise<Float32Array[]> {
  const { input, kind, exit, dimensions } = body;
  try {
    return await encoder.encode(
      input,
      { kind: kind ?? "text", exit: exit ?? undefined, width: dimensions ?? undefined },
      signal,
    );
  } catch (error) {
    const { code, message, hint } = error as { code?: string; message: string; hint?: string };
    if (code === "BAD_ARGUMENT") throw refusal(message.includes("width") ? "dimensions" : "exit", message, hint);
    throw error;
  }
}

/** The body as OpenAI writes it. Numbers as text are slow to write, so the event loop gets its turn in between. */
export async function embeddingsJson(vectors: readonly Float32Array[], body: EmbeddingsBody): Promise<string> {
  const rows: string[] = [];
  for (const [index, vector] of vectors.entries()) {
    if (index % rowsPerTurn === rowsPerTurn - 1) await turn();
    const embedding =
      body.encoding_format === "base64"
        ? JSON.stringify(Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64"))
        : `[${vector.join(",")}]`;
    rows.push(`{"object":"embedding","index":${index},"embedding":${embedding}}`);
  }
  const tokens = body.input.reduce((sum, text) => sum + estimateTokens(text), 0);
  const usage = JSON.stringify({ prompt_tokens: tokens, total_tokens: tokens });
  return `{"object":"list","data":[${rows.join(",")}],"model":${JSON.stringify(body.model)},"usage":${usage}}`;
}

/** Row after row, little-endian float32. */
export function embeddingsBytes(vectors: readonly Float32Array[]): Buffer {
  const width = vectors[0]?.length ?? 0;
  const rows = new Float32Array(vectors.length * width);
  for (const [i, vector] of vectors.entries()) rows.set(vector, i * width);
  return Buffer.from(rows.buffer);
}
