import type { Encoder } from "@tessera/core";
import { z } from "zod";

/** The settings that both ways of tuning share. */
export const training = {
  encoder: z.string(),
  rank: z.int().positive().default(32),
  /** γ: the lower, the more the hardest documents count. */
  temperature: z.number().positive().default(0.05),
  learningRate: z.number().positive().default(0.001),
  epochs: z.int().positive().default(20),
  batch: z.int().positive().default(32),
  /** The share that is held back; of all epochs the one that is best on it is kept. */
  validation: z.number().min(0).lt(1).default(0.1),
};

/** Each different text encoded once. */
export async function encodeOnce(
  encoder: Encoder,
  texts: readonly string[],
  kind: "query" | "text",
  signal: AbortSignal,
): Promise<(text: string) => Float32Array> {
  const unique = [...new Set(texts)];
  const vectors = new Map<string, Float32Array>();
  for (let start = 0; start < unique.length; start += 32) {
    const part = unique.slice(start, start + 32);
    const encoded = await encoder.encode(part, { kind }, signal);
    for (const [index, text] of part.entries()) vectors.set(text, encoded[index]!);
  }
  return (text) => vectors.get(text)!;
}
