// public: modelJudge
import {
  ask,
  boundOf,
  declarePrompt,
  fence,
  fenceRule,
  type Hit,
  hits,
  type LanguageModel,
  number,
  openPrompt,
  operator,
  text,
} from "@tessera/core";
import { clip, type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { choiceOf } from "./choices.js";
import { judgeConfig } from "./judge-config.js";
import { readVerdict } from "./verdict.js";

const asked = declarePrompt({
  name: "router.model-judge",
  version: "1",
  text: "{question}\n{options}\nSay one of {labels}, and nothing else.",
  needed: ["question", "options", "labels"],
});

const specification = operator({
  name: "router.model-judge",
  version: 3,
  about: {
    module: "orchestration",
    submodule: "scheduling",
    paper: "Modular RAG, operator 35 and erratum E6; Self-RAG (Asai et al. 2023)",
    summary: "Lets a language model choose.",
  },
  config: judgeConfig,
  ports: ({ choices }) => ({
    input: { query: text, draft: text.optional(), hits: hits.optional() },
    output: {
      choice: choiceOf(...Object.keys(choices)),
      confidence: number,
      chances: z.record(z.string(), number),
      by: z.enum(["probability", "text", "default"]),
    },
  }),
  needs: { logprobs: { otherwise: "the choice is what the text says", told: "by" } },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 2 + config.passages),
  setup: async (config, host) => {
    const { characters, maxTokens, question, choices, otherwise, favour, passages } = config;
    const model = await host.resource<LanguageModel>("model", config.model);
    const labels = new Map(Object.keys(choices).map((choice) => [choice, config.labels[choice] ?? choice]));
    const options = Object.entries(choices).map(([choice, meaning]) => `${labels.get(choice)}: ${meaning}`);
    const filled = await openPrompt(host, asked);
    const values = { question, options: options.join("\n"), labels: [...labels.values()].join(", ") };
    const system = `${filled(values)} ${fenceRule}`;
    const logprobs = model.capabilities.has("logprobs");
    return async ({ query, draft, hits: found = [] }, context) => {
      const shown = found
        .slice(0, passages)
        .map(({ passage }) => ({ ...passage, text: clip(passage.text, characters) }));
      const content = [
        fence([{ text: clip(query, characters) }], { tag: "question" }),
        ...(draft === undefined ? [] : [fence([{ text: clip(draft, characters) }], { tag: "draft" })]),
        ...(shown.length === 0 ? [] : [fence(shown)]),
      ].join("\n");
      const messages = [
        { role: "system" as const, content: system },
        { role: "user" as const, content },
      ];
      const named = logprobs && { logprobs, alternatives: 20 };
      const answer = await ask(model, { messages, maxTokens, temperature: 0, ...named }, context);
      return readVerdict(answer, labels, { favour, otherwise });
    };
  },
});

/**
 * A language model's verdict (the paper's prompt-based judge; with `labels` of a tuned model's own tokens its
 * token-based one). Where the model names the likeliest tokens, P(choice) is the share of the first tokens with which
 * its label begins, as in Self-RAG's p(retrieve) / (p(retrieve) + p(not)), and `favour` is its threshold. Otherwise the
 * verdict is read from the text; one that cannot be read gives `otherwise`. `by` says which it was. `chances` has every
 * choice: P(choice), or 1 for the one that was said, and 0 for all where none could be read.
 */
export const modelJudge =
  typed<
    <const C extends string>(config: {
      model: string;
      maxTokens?: number;
      characters?: number;
      question: string;
      choices: { readonly [choice in C]: string };
      otherwise: NoInfer<C>;
      labels?: { readonly [choice in NoInfer<C>]?: string };
      favour?: { choice: NoInfer<C>; above: number };
      passages?: number;
    }) => Piece<
      { query: string; draft?: string; hits?: Hit[] },
      { choice: C; confidence: number; chances: Record<string, number>; by: "probability" | "text" | "default" }
    >
  >(specification);
