import { z } from "zod";
import type { Bound, Context } from "./operator.js";
import { type Completion, complete, type GenerateRequest, type LanguageModel } from "./resources.js";
import { countTokens } from "./tokens.js";

/** The settings that every operator which asks a language model shares; spread them into its config. */
export const asking = {
  /** The name of a "model" resource. */
  model: z.string().min(1),
  /** The most tokens that one answer may have. */
  maxTokens: z.int().positive().default(512),
  /** Each text that goes into a prompt is cut to this many characters, so that a call is bounded. */
  characters: z.int().positive().default(4000),
};

/**
 * Reads one answer to the end; passes the run's signal on and reports what was spent: the usage that the model reports,
 * or else an estimate. `hear` gets each part of the answer as it comes.
 */
export async function ask(
  model: LanguageModel,
  request: GenerateRequest,
  context: Context,
  hear?: (text: string) => void,
): Promise<Completion> {
  const answer = await complete(model, request, context.signal, hear);
  const tokens = answer.usage
    ? answer.usage.prompt + answer.usage.completion
    : [...request.messages.map(({ content }) => content), answer.text].reduce(
        (sum, text) => sum + countTokens(text, model),
        0,
      );
  context.spend({ calls: 1, tokens });
  return answer;
}

/** The text itself, or its beginning and a mark that it was cut. */
export const clip = (text: string, characters: number): string =>
  text.length <= characters ? text : `${text.slice(0, Math.max(0, characters - 1)).trimEnd()}…`;

const instructions = 2000;
const charactersPerToken = 3;

/**
 * The bound of `calls` prompts that quote at most `texts` texts each. No tokenizer is known at compile, so that prompts
 * are counted at three characters a token, with room for 2,000 characters of instructions.
 */
export const boundOf = (
  { maxTokens, characters }: { maxTokens: number; characters: number },
  calls: number,
  texts: number,
): Bound => ({
  calls,
  tokens: calls * (maxTokens + Math.ceil((instructions + texts * characters) / charactersPerToken)),
});
