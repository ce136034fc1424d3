import type { Answer, Hit, Message, Passage } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { z } from "zod";
import { messagesOf } from "./prompt.js";
import { refusal } from "./refusal.js";

/** A port for records of training data: JSON objects, one a line of a file. */
export const records = z.array(z.any());

/** The settings that every export shares. */
export const exporting = {
  /** The share of questions that are kept for testing. */
  test: z.number().min(0).max(1).default(0.1),
  /** The most passages of a prompt. */
  passages: z.int().positive().default(5),
};

/**
 * Which part a question belongs to. It follows from the question alone, so that train and test share no question,
 * however many records, runs or files there are of it; case, spacing and the final mark do not count.
 */
export function splitOf(query: string, test: number): "train" | "test" {
  const normal = query
    .normalize("NFKC")
    .toLowerCase()
    .replace(/\s+/g, " ")
    .replace(/^\s+|[\s?.!]+$/g, "");
  return Number.parseInt(sha256(normal).slice(0, 8), 16) / 2 ** 32 < test ? "test" : "train";
}

export const firstOf = (hits: readonly Hit[], count: number): Passage[] =>
  hits.slice(0, count).map(({ passage }) => passage);

/** What the model should have said; a refusal is the word that the prompt asks for. */
export const targetOf = ({ text, refused }: Answer): string => (refused ? refusal : text);

/** A chat in the form of OpenAI's fine-tuning files: the prompt of `generator.answer`, and the answer wanted. */
export const chatOf = (query: string, passages: readonly Passage[], target: string): Message[] => [
  ...messagesOf(passages, { query }, ""),
  { role: "assistant", content: target },
];
