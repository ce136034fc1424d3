// public: answer
import {
  answer as answerPort,
  ask,
  cite,
  flag,
  hits,
  type LanguageModel,
  number,
  openPrompt,
  operator,
  text,
} from "@tessera/core";
import { asking, clip, countTokens } from "@tessera/core/internal";
import { z } from "zod";
import { reading } from "./answer-reading.js";
import { pack, roomOf, writing, writingBound } from "./pack.js";
import { type Asked, answerPrompt, messagesOf, ownRules, rulesOf } from "./prompt.js";
import { needLogprobs, tokens } from "./tokens.js";

/**
 * Answers a question from the passages of its hits, with citations: y = LLM([q, D]) (equation 4).
 * Passages are numbered by rank, and are those that fit `contextTokens` together with the question; passages that say
 * the same take one place, and its citation names the others. Each citation points to one of them: a marker of no passage is removed from the text, and reported at `unknown`. Without passages
 * the model is not asked. `draft` and `feedback` ask for another answer in place of a rejected one.
 * Streams the clean text at `text`.
 */
export const answer = operator({
  name: "generator.answer",
  version: 2,
  about: {
    module: "generation",
    submodule: "generation",
    paper: "Modular RAG, equation 4",
    summary: "Answers from the passages with checked citations, or refuses.",
  },
  config: z.strictObject({
    model: asking.model,
    maxTokens: asking.maxTokens,
    ...writing,
    /** Gives the answer's tokens with their log-probabilities at `tokens`; needs a model that has them. */
    logprobs: z.boolean().default(false),
    /** Gives what a reasoning model thought before its answer at `thoughts`. No other operator sees it. */
    thoughts: z.boolean().default(false),
    /** What is said where the passages hold no answer. */
    refusal: z.string().default("The passages that were found do not answer this question."),
  }),
  ports: {
    input: { query: text, hits, draft: answerPort.optional(), feedback: text.optional() },
    output: {
      answer: answerPort,
      text,
      refused: flag,
      unknown: z.array(number),
      finish: z.enum(["stop", "length"]),
      tokens,
      thoughts: text.optional(),
    },
  },
  needs: { logprobs: { when: "`logprobs` is set" } },
  prompts: [answerPrompt],
  bound: writingBound(ownRules),
  async setup(config, host) {
    const model = await host.resource<LanguageModel>("model", config.model);
    needLogprobs(config, model);
    const { maxTokens, temperature, logprobs } = config;
    const refuse = { answer: { text: config.refusal, citations: [], refused: true }, text: config.refusal };
    const rules = rulesOf(await openPrompt(host, answerPrompt));
    const room = roomOf(model, config, rules, ownRules);
    return async (input, context) => {
      const short = (text: string): string => clip(text, room);
      const asked: Asked = {
        query: short(input.query),
        draft: input.draft && { ...input.draft, text: short(input.draft.text) },
        feedback: input.feedback && short(input.feedback),
      };
      const size = countTokens(messagesOf([], asked, "")[1]!.content, model);
      const { passages, copies } = pack(input.hits, room - size, model);
      if (passages.length === 0) {
        context.emit("text", config.refusal);
        return { ...refuse, refused: true, unknown: [], finish: "stop" as const };
      }
      const messages = messagesOf(passages, asked, config.instructions, rules);
      const heard = reading(passages.length);
      const stream = (part: string): void => {
        if (part !== "") context.emit("text", part);
      };
      const { finish, ...said } = await ask(
        model,
        { messages, maxTokens, temperature, ...(logprobs && { logprobs }) },
        context,
        (part) => stream(heard.push(part)),
      );
      stream(heard.end());
      // what was streamed is a draft: the whole answer, which is known now, is read once more
      const { markers, refusals, ...whole } = reading(passages.length, said.text);
      const written = whole.push(said.text) + whole.end();
      const thoughts = config.thoughts && said.thoughts?.length ? { thoughts: said.thoughts.join("\n\n") } : {};
      const rest = {
        finish,
        ...thoughts,
        ...(logprobs && { tokens: said.tokens.map(({ text, logprob }) => ({ text, logprob })) }),
      };
      const unknown = [...markers.unknown];
      if (refusals.refused || written.trim() === "") {
        context.emit("text", config.refusal);
        return { ...refuse, ...rest, refused: true, unknown };
      }
      const citations = [...markers.cited]
        .sort((a, b) => a - b)
        .map((marker) => cite(marker, passages[marker - 1]!, copies.get(passages[marker - 1]!.id)));
      const text = written.trim();
      return { ...rest, answer: { text, citations, refused: false }, text, refused: false, unknown };
    };
  },
});
