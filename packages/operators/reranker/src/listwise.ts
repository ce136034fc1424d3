import { ask, type Context, declarePrompt, fence, fenceRule, type Hit, type LanguageModel } from "@tessera/core";
import { clip } from "@tessera/core/internal";

interface ListwiseSettings {
  /** How many passages one prompt holds, and by how many the window moves forward. */
  readonly window: number;
  readonly step: number;
  readonly maxTokens: number;
  readonly characters: number;
}

/** The windows over `count` hits from the back to the front, as beginnings. */
export function windows(count: number, { window, step }: ListwiseSettings): number[] {
  const starts: number[] = [];
  for (let start = Math.max(0, count - window); ; start = Math.max(0, start - step)) {
    starts.push(start);
    if (start === 0) return starts;
  }
}

/** A permutation of 0 … count − 1 out of what a model said, as in "[2] > [1]"; `undefined` where it names no place. */
export function readPermutation(answer: string, count: number): number[] | undefined {
  const named = [...answer.matchAll(/\d{1,4}/g)].map(([digits]) => Number(digits) - 1);
  const order = [...new Set(named)].filter((place) => place >= 0 && place < count);
  if (order.length === 0) return undefined;
  const said = new Set(order);
  return [...order, ...Array.from({ length: count }, (_, place) => place).filter((place) => !said.has(place))];
}

export const listwisePrompt = declarePrompt({
  name: "reranker.model.listwise",
  version: "1",
  text: "Order the numbered passages by how well each answers the question, the best first. Write the numbers of all of them, as in [2] > [3] > [1], and nothing else.",
});

/** The hits in the order that the model gives them, window by window; `by` is "default" where it gave none. */
export async function listwise(
  model: LanguageModel,
  instructions: string,
  query: string,
  found: readonly Hit[],
  config: ListwiseSettings,
  context: Context,
) {
  const order = [...found];
  let read = false;
  for (const start of windows(order.length, config)) {
    const part = order.slice(start, start + config.window);
    const texts = part.map(({ passage }) => ({ ...passage, text: clip(passage.text, config.characters) }));
    const messages = [
      {
        role: "system",
        content: `${instructions} ${fenceRule}`,
      },
      {
        role: "user",
        content: `${fence(texts)}\n${fence([{ text: clip(query, config.characters) }], { tag: "question" })}`,
      },
    ] as const;
    const { text } = await ask(model, { messages, maxTokens: config.maxTokens, temperature: 0 }, context);
    const permutation = readPermutation(text, part.length);
    if (permutation) order.splice(start, part.length, ...permutation.map((place) => part[place]!));
    read ||= permutation !== undefined;
  }
  const by = read ? ("listwise" as const) : ("default" as const);
  return { by, scored: order.map((hit, place) => ({ hit, score: 1 / (place + 1) })) };
}
