// public: modelFusion
import {
  type Answer,
  answer,
  ask,
  boundOf,
  type Context,
  declarePrompt,
  fence,
  fenceRule,
  type LanguageModel,
  openPrompt,
  operator,
  text,
} from "@tessera/core";
import { asking, clip } from "@tessera/core/internal";
import { z } from "zod";
import { renumber } from "./renumber.js";

const config = z.strictObject({
  ...asking,
  /** The most answers that are fused; more are an error of the flow's `each`, and are left out here. */
  answers: z.int().positive().default(10),
  /** The most characters that the answers may have together in the last prompt; where they have more, each is summarised first. */
  budget: z.int().positive().default(8000),
});

const shortening = declarePrompt({
  name: "fuser.model.shorten",
  version: "1",
  text: "Shorten the answer to {share} characters at most; keep what matters for the question. Keep the markers such as [2] behind the statements that they belong to.",
});
const fusing = declarePrompt({
  name: "fuser.model.fuse",
  version: "1",
  text: "Write one answer to the question out of the given answers. Say where they contradict each other; add nothing of your own. Keep the markers such as [2] behind the statements that they belong to.",
});

/**
 * Model fusion: one answer out of the answers of several branches. Where they are longer together than `budget`, each
 * longer than its share is summarised first. Markers are made common before, and every marker of the fused answer is one of them;
 * others are dropped. Refusals and places that a failing branch left `null` take no part; of one answer left, it is the
 * answer. Where the model says nothing, the first answer stands. An answer that cites nothing keeps no citation.
 */
export const modelFusion = operator({
  name: "fuser.model",
  version: 2,
  about: {
    module: "orchestration",
    submodule: "fusion",
    paper: "Modular RAG, operator 37",
    summary: "Lets a language model fuse the answers of branches.",
  },
  config,
  ports: { input: { query: text, answers: z.array(answer.nullable()) }, output: { answer } },
  prompts: [shortening, fusing],
  bound: (config) => {
    const summaries = boundOf(config, config.answers, 2);
    const last = boundOf({ ...config, characters: config.budget + config.characters }, 1, 1);
    return { calls: summaries.calls + last.calls, tokens: summaries.tokens + last.tokens };
  },
  setup: async ({ model: name, maxTokens, characters, answers: most, budget }, host) => {
    const model = await host.resource<LanguageModel>("model", name);
    const [shorten, fuse] = await Promise.all([openPrompt(host, shortening), openPrompt(host, fusing)]);
    const say = async (instructions: string, parts: readonly string[], tokens: number, context: Context) => {
      const messages = [
        {
          role: "system",
          content: `${instructions} ${fenceRule}`,
        },
        { role: "user", content: parts.join("\n") },
      ] as const;
      return (await ask(model, { messages, maxTokens: tokens, temperature: 0 }, context)).text.trim();
    };
    return async ({ query, answers: branches }, context) => {
      const given = branches.filter((branch) => branch !== null && !branch.refused && branch.text !== "") as Answer[];
      if (given.length === 0) return { answer: { text: "", citations: [], refused: true } };
      if (given.length === 1) return { answer: given[0]! };
      const { texts, citations } = renumber(given.slice(0, most));
      const question = fence([{ text: clip(query, characters) }], { tag: "question" });
      const total = texts.reduce((sum, text) => sum + text.length, 0);
      const share = Math.floor(budget / texts.length);
      const short = await Promise.all(
        texts.map(async (text) => {
          if (total <= budget || text.length <= share) return text;
          const quoted = fence([{ text: clip(text, characters) }], { tag: "answer" });
          const summary = await say(shorten({ share }), [question, quoted], maxTokens, context);
          return clip(summary || text, share);
        }),
      );
      const quoted = fence(
        short.map((text) => ({ text })),
        { tag: "answer" },
      );
      const said = await say(fuse(), [question, quoted], maxTokens, context);
      const used = new Set<number>();
      const fused = (said || short[0]!).replace(/ ?\[(\d{1,4})\]/g, (mark, digits) => {
        if (!citations.has(Number(digits))) return "";
        used.add(Number(digits));
        return mark;
      });
      return {
        answer: {
          text: fused,
          citations: [...used].sort((a, b) => a - b).map((marker) => citations.get(marker)!),
          refused: false,
        },
      };
    };
  },
});
