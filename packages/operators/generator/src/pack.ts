import { fence, type Hit, type LanguageModel, type Passage } from "@tessera/core";
import { countTokens } from "@tessera/core/internal";

const marks = 64; // of a model's template, around the messages

/**
 * The tokens that question and passages may take: as many as are set, or fewer where the model's context has no room for
 * them beside its rules and an answer, which may take half of it.
 */
export function roomOf(
  model: LanguageModel,
  { contextTokens, maxTokens }: { readonly contextTokens: number; readonly maxTokens: number },
  instructions: string,
): number {
  if (model.context === undefined) return contextTokens;
  const taken = Math.min(maxTokens, Math.floor(model.context / 2)) + countTokens(instructions, model) + marks;
  return Math.max(0, Math.min(contextTokens, model.context - taken));
}

/**
 * The passages of the best hits, each once, that fit a budget of tokens when fenced. The first that does not fit whole
 * is cut after a line, or inside its first line where nothing else would be left.
 */
export function pack(hits: readonly Hit[], budget: number, model?: LanguageModel): Passage[] {
  const cost = (passage: Passage): number => countTokens(fence([passage]), model);
  const packed: Passage[] = [];
  const seen = new Set<string>();
  let left = budget;
  for (const { passage } of hits) {
    if (seen.has(passage.id)) continue;
    seen.add(passage.id);
    const tokens = cost(passage);
    if (tokens <= left) {
      packed.push(passage);
      left -= tokens;
      continue;
    }
    const cut = (text: string): Passage => ({ ...passage, text: `${text.trimEnd()}\n…` });
    const lines = passage.text.split("\n");
    const kept = most(lines.length - 1, (count) => cost(cut(lines.slice(0, count).join("\n"))) <= left);
    if (kept > 0) packed.push(cut(lines.slice(0, kept).join("\n")));
    else if (packed.length === 0) {
      const characters = most(passage.text.length, (count) => cost(cut(passage.text.slice(0, count))) <= left);
      if (characters > 0) packed.push(cut(passage.text.slice(0, characters)));
    }
    break;
  }
  return packed;
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
