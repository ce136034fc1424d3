// public: ensemble
import {
  answer as answerPort,
  boundOf,
  cite,
  declarePrompt,
  hits,
  type LanguageModel,
  number,
  openPrompt,
  operator,
  TesseraError,
  text,
} from "@tessera/core";
import { asking } from "@tessera/core/internal";
import { z } from "zod";
import { decodeTogether, electAnswer, sourceOf } from "./ensemble-levels.js";
import { passagePrompt } from "./ensemble-prompt.js";
import { lambdas } from "./lambda.js";

const settings = z.strictObject({
  ...asking,
  maxTokens: asking.maxTokens.unwrap().default(64),
  /** The most hits that take part (k). */
  hits: z.int().positive().default(10),
  temperature: z.number().positive().default(1),
  /** "token" refuses a model that cannot name the likeliest tokens or go on from a beginning; "auto" then falls back. */
  level: z.enum(["auto", "token", "answer"]).default("auto"),
});
type Settings = z.output<typeof settings>;

const asked = declarePrompt({
  name: "fuser.ensemble",
  version: "1",
  text: "Answer the question from the passage in as few words as possible, with no explanation.",
});

const bound = (config: Settings) =>
  config.level === "answer"
    ? boundOf(config, config.hits, 2)
    : boundOf({ ...config, maxTokens: 1 + config.maxTokens }, config.hits * config.maxTokens, 2);

/**
 * Weighted ensemble over passages (REPLUG): p(y | q, D) = Σ_d p(y | d, q) · λ(d, q), λ = softmax of the hits' scores
 * (equations 23 and 24). At the token level all prompts share one greedy decoding; that needs a model that names the
 * likeliest tokens and goes on from a beginning ("logprobs" and "prefix"), and costs a call for each passage and token;
 * what a prompt does not name counts as 0. At the answer level each passage answers once and answers are added up.
 * `level` says which it was. The answer cites the passage of the greatest weight that holds its words, if one does. A
 * passage whose call fails takes no part, and stands in `failed` by its id; where all fail the node does.
 * @throws TesseraError MISSING_CAPABILITY at compile where the token level is demanded of a model that cannot.
 */
export const ensemble = operator({
  name: "fuser.ensemble",
  version: 3,
  about: {
    module: "orchestration",
    submodule: "fusion",
    paper: "Modular RAG, operator 38, equations 23-24; REPLUG (Shi et al. 2023)",
    summary: "Answers from each passage at once, weighted by its score.",
  },
  config: settings,
  ports: {
    input: { query: text, hits },
    output: {
      answer: answerPort,
      confidence: number,
      level: z.enum(["token", "answer", "none"]),
      /** The ids of the passages whose calls failed. */
      failed: z.array(text),
    },
  },
  needs: Object.fromEntries(
    ["logprobs", "prefix"].map((capability) => [
      capability,
      { otherwise: 'each passage answers by itself, unless `level` is "token"', told: "level" },
    ]),
  ),
  prompts: [asked],
  bound,
  setup: async (config, host) => {
    const model = await host.resource<LanguageModel>("model", config.model);
    const instructions = (await openPrompt(host, asked))();
    const able = model.capabilities.has("logprobs") && model.capabilities.has("prefix");
    if (config.level === "token" && !able)
      throw new TesseraError("MISSING_CAPABILITY", `the model "${config.model}" lacks "logprobs" or "prefix"`, {
        hint: 'take the level "auto" or "answer"',
      });
    const level: "token" | "answer" = able && config.level !== "answer" ? "token" : "answer";
    return async ({ query, hits: found }, context) => {
      const used = found.slice(0, config.hits);
      if (used.length === 0)
        return {
          answer: { text: "", citations: [], refused: true },
          confidence: 0,
          level: "none" as const,
          failed: [],
        };
      const weights = lambdas(used, config.temperature);
      const prompts = used.map((hit) => passagePrompt(instructions, query, hit, config.characters));
      const fuse = level === "token" ? decodeTogether : electAnswer;
      const { said, confidence, failed } = await fuse(model, prompts, weights, config.maxTokens, context);
      const source = sourceOf(said, used, weights);
      return {
        answer: {
          text: source ? `${said} [1]` : said,
          citations: source ? [cite(1, source)] : [],
          refused: said === "",
        },
        confidence,
        level,
        failed: failed.map((place) => used[place]!.passage.id),
      };
    };
  },
});
