import { fence, type Hit, type LanguageModel, type Passage } from "@tessera/core";
import { countTokens } from "@tessera/core/internal";
import { z } from "zod";

const marks = 64; // of a model's template, around the messages

/** The most characters of other rules. */
export const longestRules = 8000;

/**
 * The tokens that question and passages may take: as many as are set, or fewer where the model's context has no room for
 * them beside its rules and an answer, which may take half of it. What rules take more than our own is missing here, so
 * that the bound holds.
 */
export function roomOf(
  model: LanguageModel,
  {
    contextTokens,
    maxTokens,
    instructions,
  }: { readonly contextTokens: number; readonly maxTokens: number; readonly instructions: string },
  rules: string,
  ownRules: string,
): number {
  const size = countTokens(`${rules}\n${instructions}`, model);
  const more = rules === ownRules ? 0 : Math.max(0, size - countTokens(`${ownRules}\n${instructions}`, model));
  const room = Math.max(0, contextTokens - more);
  if (model.context === undefined) return room;
  const taken = Math.min(maxTokens, Math.floor(model.context / 2)) + size + marks;
  return Math.max(0, Math.min(room, model.context - taken));
}

/** What fits a prompt. */
export interface Packed {
  readonly passages: readonly Passage[];
  /** The passages that say the same as one of them and take no place of their own, by its id. */
  readonly copies: ReadonlyMap<string, readonly Passage[]>;
}

const shingle = 3; // words
const alike = 0.9;

/** The runs of three words of a text, each once; of a shorter text the whole. */
function shinglesOf(text: string): ReadonlySet<string> {
  const list = text.toLowerCase().match(/[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]/gu) ?? [];
  if (list.length <= shingle) return new Set([list.join(" ")]);
  return new Set(list.slice(shingle - 1).map((_, index) => list.slice(index, index + shingle).join(" ")));
}

/** Whether two texts share nine of ten of their runs of words (resemblance of Broder 1997), or are equal. */
function sayTheSame(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  const [few, many] = left.size < right.size ? [left, right] : [right, left];
  if (few.size < alike * many.size) return false;
  let shared = 0;
  for (const one of few) if (many.has(one)) shared++;
  return shared >= alike * (few.size + many.size - shared);
}

/**
 * The passages of the best hits, each once, that fit a budget of tokens when fenced; what says the same as a better one
 * is its copy. The first that does not fit whole is cut after a line, or inside its first line where nothing else would
 * be left.
 */
export function pack(hits: readonly Hit[], budget: number, model?: LanguageModel): Packed {
  const cost = (passage: Passage): number => countTokens(fence([passage]), model);
  const packed: { passage: Passage; shingles: ReadonlySet<string> }[] = [];
  const copies = new Map<string, Passage[]>();
  const seen = new Set<string>();
  const add = (passage: Passage, shingles: ReadonlySet<string>) => packed.push({ passage, shingles });
  let left = budget;
  for (const { passage } of hits) {
    if (seen.has(passage.id)) continue;
    seen.add(passage.id);
    const shingles = shinglesOf(passage.text);
    const same = packed.find((other) => sayTheSame(other.shingles, shingles))?.passage;
    if (same) {
      copies.set(same.id, [...(copies.get(same.id) ?? []), passage]);
      continue;
    }
    const tokens = cost(passage);
    if (tokens <= left) {
      add(passage, shingles);
      left -= tokens;
      continue;
    }
    const cut = (text: string): Passage => ({ ...passage, text: `${text.trimEnd()}\n…` });
    const lines = passage.text.split("\n");
    const kept = most(lines.length - 1, (count) => cost(cut(lines.slice(0, count).join("\n"))) <= left);
    if (kept > 0) add(cut(lines.slice(0, kept).join("\n")), shingles);
    else if (packed.length === 0) {
      const characters = most(passage.text.length, (count) => cost(cut(passage.text.slice(0, count))) <= left);
      if (characters > 0) add(cut(passage.text.slice(0, characters)), shingles);
    }
    break;
  }
  return { passages: packed.map(({ passage }) => passage), copies };
}

/** The largest count from 0 to `limit` that fits, by halving; `fits` holds up to some count and not beyond. */
function most(limit: number, fits: (count: number) => boolean): number {
  let low = 0;
  let high = limit;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The settings of an operator that writes from passages. */
export const writing = {
  /** The most tokens of question, passages, draft and feedback together; fewer where the model's context is short. */
  contextTokens: z.int().min(64).default(3000),
  temperature: z.number().min(0).max(2).default(0),
  /** More instructions: tone, language, form. */
  instructions: z.string().max(2000).default(""),
};

/** What one call of an operator that writes from passages can spend. */
export const writingBound =
  (rules: string) =>
  ({ maxTokens, contextTokens, instructions }: { maxTokens: number; contextTokens: number; instructions: string }) => ({
    calls: 1,
    tokens: contextTokens + maxTokens + countTokens(rules) + countTokens(instructions) + 32,
  });
