// public: ask, boundOf
// internal: asking, clip
import { z } from "zod";
import { AnswerReader, type ModelAnswer, splitThoughts } from "./model-answer.js";
import type { Bound, Context } from "./operator.js";
import {
  type Completion,
  complete,
  type GenerateRequest,
  type LanguageModel,
  type Sampling,
  type Token,
} from "./resources.js";
import { countTokens } from "./tokens.js";

/** The settings of every operator that asks a language model. An operator spreads them into its config. */
export const asking = {
  /** The name of a "model" resource. */
  model: z.string().min(1),
  /** The most tokens that one answer may have. */
  maxTokens: z.int().positive().default(512),
  /** Each text that goes into a prompt is cut to this many characters, so that a call is bounded. */
  characters: z.int().positive().default(4000),
};

/** A request with the sampling that the starter of the run asked for. */
function sampled(request: GenerateRequest, model: LanguageModel, sampling: Sampling | undefined): GenerateRequest {
  if (!sampling) return request;
  const { temperature = request.temperature, topP = request.topP, maxTokens = request.maxTokens } = sampling;
  const seed = sampling.seed !== undefined && model.capabilities.has("seed") ? sampling.seed : request.seed;
  return {
    ...request,
    maxTokens: Math.min(request.maxTokens, maxTokens),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(seed !== undefined && { seed }),
  };
}

/** A token of which the beginning was cut, from its alternatives too where they have it. */
function cutToken(token: Token, rest: string): Token {
  const cut = token.text.endsWith(rest) ? token.text.slice(0, token.text.length - rest.length) : "";
  const alternatives = token.alternatives?.map((one) =>
    one.text.startsWith(cut) ? { ...one, text: one.text.slice(cut.length) } : one,
  );
  return { ...token, text: rest, ...(alternatives && { alternatives }) };
}

/** The tokens of what is kept of a text, or none where the tokens are not those of the text. */
function tokensOf(text: string, tokens: readonly Token[], kept: ModelAnswer["kept"]): Token[] {
  if (tokens.map((token) => token.text).join("") !== text) return [];
  let at = 0;
  return tokens.flatMap((token) => {
    const [from, to] = [at, at + token.text.length];
    at = to;
    const parts = kept.map(({ start, end }) => text.slice(Math.max(start, from), Math.max(from, Math.min(end, to))));
    const rest = parts.join("");
    return rest === "" ? [] : [rest === token.text ? token : cutToken(token, rest)];
  });
}

/**
 * Asks a language model and reads its whole answer. It applies the sampling that the starter of the run asked for,
 * passes the signal of the run on, and reports what was spent: the usage that the model reports, or an estimate. All
 * operators ask through this function. It separates the thoughts of a reasoning model from its answer: `text` and
 * `tokens` belong to the answer alone. `hear` receives each part as it comes. A later part can show that earlier ones
 * were thoughts, so only the returned text is final.
 */
export async function ask(
  model: LanguageModel,
  request: GenerateRequest,
  context: Context,
  hear?: (text: string) => void,
): Promise<Completion> {
  const reader = hear && new AnswerReader();
  const pass = (part: string): void => {
    if (part !== "") hear?.(part);
  };
  const wanted = sampled(request, model, context.sampling);
  const said = await complete(model, wanted, context.signal, reader && ((part) => pass(reader.push(part))));
  if (reader) pass(reader.end());
  const { prompt, completion } = said.usage ?? {
    prompt: request.messages.reduce((sum, { content }) => sum + countTokens(content, model), 0),
    completion: countTokens((said.thoughts ?? []).join("\n") + said.text, model),
  };
  context.spend({ calls: 1, tokens: prompt + completion });
  const { messages, prefix } = request;
  const input = { messages, ...(prefix !== undefined && { prefix }) };
  context.answered?.({ prompt, completion, finish: said.finish, input, output: { text: said.text } });
  const { answer, thoughts, kept } = splitThoughts(said.text);
  return answer === said.text
    ? said
    : {
        ...said,
        text: answer,
        tokens: tokensOf(said.text, said.tokens, kept),
        thoughts: [...(said.thoughts ?? []), ...thoughts],
      };
}

/** The text itself, or its beginning and a mark that it was cut. */
export const clip = (text: string, characters: number): string =>
  text.length <= characters ? text : `${text.slice(0, Math.max(0, characters - 1)).trimEnd()}…`;

const instructions = 2000;
const charactersPerToken = 3;

/**
 * The bound of `calls` prompts that quote at most `texts` texts each. The tokenizer is unknown when a flow is compiled,
 * so a prompt counts one token for three characters, with 2,000 characters for instructions.
 */
export const boundOf = (
  { maxTokens, characters }: { maxTokens: number; characters: number },
  calls: number,
  texts: number,
): Bound => ({
  calls,
  tokens: calls * (maxTokens + Math.ceil((instructions + texts * characters) / charactersPerToken)),
});
