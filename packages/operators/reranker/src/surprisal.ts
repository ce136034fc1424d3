import { type Context, type LanguageModel, TesseraError, type Token } from "@tessera/core";

/** @throws TesseraError MISSING_CAPABILITY where the model cannot give the log-probabilities of a given text. */
export function demandScores(model: LanguageModel, name: string): void {
  if (model.capabilities.has("score") && model.score) return;
  throw new TesseraError("MISSING_CAPABILITY", `the model "${name}" cannot score a given text`, {
    hint: 'take a model with the capability "score", or "reranker.extractive", which needs none',
  });
}

/** The tokens of a text with their log-probabilities under the model, after `before`. */
export async function score(model: LanguageModel, before: string, text: string, context: Context): Promise<Token[]> {
  const messages = before === "" ? [] : ([{ role: "user", content: before }] as const);
  const { tokens, usage } = await model.score!({ messages, text }, context.signal);
  context.spend({ calls: 1, tokens: usage.prompt + usage.completion });
  return tokens;
}

/** Tokens that join the one before them, as one text with the sum of their self-information. */
export function unitsOf(
  tokens: readonly Token[],
  joins: (before: string, next: string) => boolean,
): { text: string; information: number }[] {
  const units: { text: string; information: number }[] = [];
  for (const [index, { text, logprob }] of tokens.entries()) {
    const last = units.at(-1);
    if (last && joins(tokens[index - 1]!.text, text)) {
      last.text += text;
      last.information -= logprob;
    } else units.push({ text, information: -logprob });
  }
  return units;
}

/** The places of the most informative units whose sizes fit into `room`, in order; a unit that does not fit is passed over. */
export function mostInformative(units: readonly { size: number; information: number }[], room: number): number[] {
  let left = room;
  return [...units.keys()]
    .sort((a, b) => units[b]!.information - units[a]!.information || a - b)
    .filter((place) => {
      if (units[place]!.size > left) return false;
      left -= units[place]!.size;
      return true;
    })
    .sort((a, b) => a - b);
}
