// public: continuation
import {
  ask,
  declarePrompt,
  fence,
  fenceRule,
  flag,
  hits,
  type LanguageModel,
  openPrompt,
  operator,
  text,
} from "@tessera/core";
import { asking, clip, countTokens } from "@tessera/core/internal";
import { z } from "zod";
import { longestRules, pack, roomOf, writing, writingBound } from "./pack.js";
import { refusal } from "./refusal.js";
import { needLogprobs, tokens } from "./tokens.js";

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });
const end = "END";

const asked = declarePrompt({
  name: "generator.continue",
  version: "1",
  text: "You write an answer to a question sentence by sentence, from what you know and from the passages, if there are any. You are shown what is written so far. Write the one sentence that comes next, and nothing else. If the answer is complete, write {end}.",
  needed: ["end"],
  longest: longestRules,
});
const ownRules = `${asked.text.replace("{end}", end)}\n${fenceRule}`;

/** The first sentence of a text, with the space before it and without the one after. */
function firstSentence(said: string): string {
  for (const { segment, index } of segmenter.segment(said))
    if (/[\p{L}\p{N}]/u.test(segment)) return said.slice(0, index + segment.length).trimEnd();
  return "";
}

/**
 * Goes on with an answer by one sentence: the tentative sentence of active and iterative flows (FLARE, IRCoT, algorithms
 * 5 and 7). `draft` is what is written so far, and comes back with the sentence added. `done` says that the answer is
 * complete: the model ended it, or the sentence holds `until`. `tokens` are those of the sentence alone, for a rule judge.
 * A model that goes on from a beginning ("prefix") continues the draft itself; another is shown it.
 */
export const continuation = operator({
  name: "generator.continue",
  version: 2,
  about: {
    module: "generation",
    submodule: "generation",
    paper: "Modular RAG, algorithms 5 and 7; FLARE (Jiang et al. 2023), IRCoT (Trivedi et al. 2023)",
    summary: "Writes the next sentence of an answer.",
  },
  config: z.strictObject({
    model: asking.model,
    /** The most tokens of a sentence. */
    maxTokens: asking.maxTokens.unwrap().default(64),
    ...writing,
    /** A sentence that holds this text, case apart, is the last: "answer is" of IRCoT. */
    until: z.string().min(1).optional(),
    logprobs: z.boolean().default(false),
  }),
  ports: {
    input: { query: text, draft: text.optional(), hits: hits.optional() },
    output: { text, draft: text, done: flag, tokens },
  },
  needs: {
    logprobs: { when: "`logprobs` is set" },
    prefix: { otherwise: "the draft is shown in the prompt, and the next sentence asked for" },
  },
  prompts: [asked],
  bound: writingBound(ownRules),
  async setup(config, host) {
    const model = await host.resource<LanguageModel>("model", config.model);
    needLogprobs(config, model);
    const { maxTokens, temperature, logprobs, until } = config;
    const rules = `${(await openPrompt(host, asked))({ end })}\n${fenceRule}`;
    const contextTokens = roomOf(model, config, rules, ownRules);
    const prefixes = model.capabilities.has("prefix");
    return async ({ query, draft = "", hits: found = [] }, context) => {
      const question = fence([{ text: clip(query, contextTokens) }], { tag: "question" });
      const written = draft.slice(-contextTokens); // its end matters most
      const shown = prefixes || written === "" ? "" : fence([{ text: written }], { tag: "draft" });
      const used = [question, shown, prefixes ? written : ""].reduce((sum, part) => sum + countTokens(part, model), 0);
      const { passages } = pack(found, contextTokens - used, model);
      const said = await ask(
        model,
        {
          messages: [
            { role: "system", content: config.instructions ? `${rules}\n${config.instructions}` : rules },
            { role: "user", content: [fence(passages), question, shown].filter(Boolean).join("\n\n") },
          ],
          ...(prefixes && written !== "" && { prefix: written }),
          ...(logprobs && { logprobs }),
          maxTokens,
          temperature,
        },
        context,
      );
      const sentence = firstSentence(said.text);
      const plain = sentence.trim();
      const ended = plain === "" || new RegExp(`^\\W*(?:${end}|${refusal})\\W*$`).test(plain);
      if (ended) return { text: "", draft, done: true, ...(logprobs && { tokens: [] }) };
      context.emit("text", plain);
      let length = 0;
      const own = said.tokens.filter(({ text }) => {
        const inside = length < sentence.length;
        length += text.length;
        return inside;
      });
      const last = prefixes && said.finish === "stop" && sentence.length === said.text.trimEnd().length;
      return {
        text: plain,
        draft: draft === "" ? plain : `${draft.trimEnd()} ${plain}`,
        done: last || (until !== undefined && plain.toLowerCase().includes(until.toLowerCase())),
        ...(logprobs && { tokens: own.map(({ text, logprob }) => ({ text, logprob })) }),
      };
    };
  },
});
