// public: dual
import { answer, boundOf, hits, type LanguageModel, operator, TesseraError, text } from "@tessera/core";
import { asking, clip, softmax } from "@tessera/core/internal";
import { z } from "zod";
import { messagesOf } from "./prompt.js";
import { chatOf, exporting, records, splitOf, targetOf } from "./tuning.js";

/**
 * Records for tuning generator and retriever together (RA-DIT), both from the same retrieval. `generator`: for each
 * passage a chat that answers from it alone. `retriever`: one record `{ query, docs, ids, lmScore, target, score }` with
 * lmScore_d = log P_LM(y | d, q) / |y| in nats a token, and target_d = exp(lmScore_d / β) / Σ_d' exp(lmScore_d' / β)
 * (equation 11, with its sum over d': erratum E10), to which KL(P_R ‖ P_LSR) draws the retriever (equation 16).
 * A refused answer gives no records.
 * @throws TesseraError MISSING_CAPABILITY at compile where the model cannot score a given text.
 */
export const dual = operator({
  name: "generator.dual",
  version: 2,
  about: {
    module: "generation",
    submodule: "generator fine-tuning",
    paper: "Modular RAG, operator 28, equations 11, 15 and 16; RA-DIT (Lin et al. 2023)",
    summary: "Makes records for generator and retriever of one retrieval.",
  },
  config: z.strictObject({
    ...exporting,
    model: asking.model,
    characters: asking.characters,
    /** β: the lower, the more the best passage takes all. */
    temperature: z.number().positive().default(0.1),
  }),
  ports: { input: { query: text, hits, answer }, output: { generator: records, retriever: records } },
  needs: { score: {} },
  bound: ({ characters, passages }) => boundOf({ maxTokens: 0, characters }, passages, 3),
  async setup({ model: name, test, passages, characters, temperature }, host) {
    const model = await host.resource<LanguageModel>("model", name);
    if (!model.score || !model.capabilities.has("score"))
      throw new TesseraError("MISSING_CAPABILITY", `the model "${name}" cannot score a given text`, {
        path: name,
        hint: 'take a model with the capability "score"',
      });
    return async ({ query, hits, answer }, context) => {
      if (answer.refused || hits.length === 0) return { generator: [], retriever: [] };
      const asked = clip(query, characters);
      const target = clip(targetOf(answer).replace(/ ?\[\d{1,4}\]/g, ""), characters); // markers are of the whole context
      const used = hits
        .slice(0, passages)
        .map((hit) => ({ ...hit, passage: { ...hit.passage, text: clip(hit.passage.text, characters) } }));
      const lmScore = await Promise.all(
        used.map(async ({ passage }) => {
          const messages = messagesOf([passage], { query: asked }, "");
          const { tokens, usage } = await model.score!({ messages, text: target }, context.signal);
          context.spend({ calls: 1, tokens: usage.prompt + usage.completion });
          return tokens.reduce((sum, { logprob }) => sum + logprob, 0) / (tokens.length || 1);
        }),
      );
      const split = splitOf(query, test);
      return {
        generator: used.map(({ passage }) => ({
          split,
          query,
          passages: [passage.id],
          messages: chatOf(asked, [passage], target),
        })),
        retriever: [
          {
            split,
            query,
            ids: used.map(({ passage }) => passage.id),
            docs: used.map(({ passage }) => passage.text),
            score: used.map(({ score }) => score),
            lmScore,
            target: softmax(lmScore, temperature),
          },
        ],
      };
    };
  },
});
