// public: likelihood
import { boundOf, declarePrompt, hits, type LanguageModel, openPrompt, operator, rank, text } from "@tessera/core";
import { asking, clip } from "@tessera/core/internal";
import { z } from "zod";
import { demandScores } from "./surprisal.js";

const frame = (kind: "code" | "text") =>
  declarePrompt({
    name: `reranker.likelihood.${kind}`,
    version: "1",
    text: `{passage}\n\nA question that this ${kind} answers:`,
    needed: ["passage"],
  });
const frames = { code: frame("code"), text: frame("text") } as const;

/**
 * Orders hits by how likely the query is as a question about each passage: the mean natural-log probability of its tokens
 * behind the passage and a frame (query likelihood, Ponte and Croft 1998; by a language model, Sachan et al. 2022, UPR). A
 * model needs no instructions for that, only scores, so a small one ranks better than it answers. The passage stands first:
 * what a model has read of it counts for the next question too. The first `depth` hits are scored, all at once; those behind
 * them follow in their order, with scores below.
 */
export const likelihood = operator({
  name: "reranker.likelihood",
  version: 1,
  about: {
    module: "post-retrieval",
    submodule: "rerank",
    paper: "Modular RAG, operator 23, equation 12; UPR (arXiv 2204.07496)",
    summary: "Reranks by the likelihood of the question after each passage.",
  },
  config: z.strictObject({
    model: asking.model,
    /** Characters of a passage and of the query that the model reads, at most. */
    characters: asking.characters,
    kind: z.enum(["text", "code"]).default("code"),
    depth: z.int().positive().default(20),
  }),
  ports: { input: { query: text, hits }, output: { hits } },
  needs: { score: {} },
  prompts: [frames.code, frames.text],
  bound: ({ characters, depth }) => boundOf({ maxTokens: 0, characters }, depth, 2),
  setup: async ({ model: name, characters, kind, depth }, host) => {
    const model = await host.resource<LanguageModel>("model", name);
    demandScores(model, name);
    const framed = await openPrompt(host, frames[kind]);
    return async ({ query, hits: found }, { signal, spend }) => {
      const asked = clip(query, characters).trim();
      if (found.length === 0 || asked === "") return { hits: found };
      const scored = await Promise.all(
        found.slice(0, depth).map(async (hit) => {
          const content = framed({ passage: clip(hit.passage.text, characters).trim() });
          const request = { messages: [{ role: "user" as const, content }], text: ` ${asked}`, plain: true };
          const { tokens, usage } = await model.score!(request, signal);
          spend({ calls: 1, tokens: usage.prompt + usage.completion });
          return { hit, score: tokens.reduce((sum, { logprob }) => sum + logprob, 0) / (tokens.length || 1) };
        }),
      );
      const least = Math.min(...scored.map(({ score }) => score));
      const behind = found.slice(depth).map((hit, index) => ({ hit, score: least - 1 - index }));
      return { hits: rank("reranker.likelihood", [...scored, ...behind]) };
    };
  },
});
