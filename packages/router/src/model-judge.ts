import {
  ask,
  asking,
  boundOf,
  clip,
  fence,
  fenceRule,
  type Hit,
  hits,
  type LanguageModel,
  number,
  operator,
  type Piece,
  type Token,
  text,
  typed,
} from "@tessera/core";
import { z } from "zod";
import { choiceOf } from "./choices.js";

const config = z
  .strictObject({
    ...asking,
    maxTokens: asking.maxTokens.unwrap().default(32),
    /** What is to be decided. */
    question: z.string().min(1),
    /** The choices, and when each is right. */
    choices: z
      .record(z.string().min(1), z.string())
      .refine((choices) => Object.keys(choices).length > 1, "two choices at least"),
    /** The choice where the model's verdict cannot be read. */
    otherwise: z.string(),
    /** The words by which the model names the choices; a tuned model's own tokens, as in {"yes": "[Retrieval]"}. */
    labels: z.record(z.string(), z.string().min(1)).default({}),
    /** Takes this choice where its probability exceeds `above`, and else the likeliest other one. */
    favour: z.strictObject({ choice: z.string(), above: z.number().min(0).max(1) }).optional(),
    /** The most passages that are shown. */
    passages: z.int().positive().default(5),
  })
  .refine(({ choices, otherwise }) => Object.hasOwn(choices, otherwise), "`otherwise` must be one of the choices")
  .refine(
    ({ choices, labels }) => Object.keys(labels).every((name) => Object.hasOwn(choices, name)),
    "a label names no choice",
  )
  .refine(({ choices, favour }) => !favour || Object.hasOwn(choices, favour.choice), "`favour` names no choice");

const plain = (text: string): string => text.toLowerCase().replace(/\s+/g, " ").trim();

/** The choice whose label an answer says: it begins with it, or no other label stands in it. */
function readChoice(answer: string, labels: ReadonlyMap<string, string>): string | undefined {
  let said = plain(answer).replace(/^[^\p{L}\p{N}[<]+/u, "");
  const longest = [...labels].sort(([, a], [, b]) => b.length - a.length);
  const stands = (label: string, at: number) =>
    !/[\p{L}\p{N}]/u.test(said[at - 1] ?? "") && !/[\p{L}\p{N}]/u.test(said[at + label.length] ?? "");
  const first = longest.find(([, label]) => said.startsWith(plain(label)) && stands(plain(label), 0));
  if (first) return first[0];
  const found = longest.filter(([, label]) => {
    const at = said.indexOf(plain(label));
    if (at < 0 || !stands(plain(label), at)) return false;
    said = said.replaceAll(plain(label), " ");
    return true;
  });
  return found.length === 1 ? found[0]![0] : undefined;
}

/** P(choice) from the likeliest first tokens: the share of those with which only its label begins. */
function readChances(token: Token | undefined, labels: ReadonlyMap<string, string>): Map<string, number> | undefined {
  const chances = new Map([...labels.keys()].map((choice) => [choice, 0]));
  for (const { text, logprob } of token?.alternatives ?? []) {
    const said = plain(text);
    const fitting = [...labels].filter(([, label]) => said !== "" && plain(label).startsWith(said));
    if (fitting.length === 1) chances.set(fitting[0]![0], chances.get(fitting[0]![0])! + Math.exp(logprob));
  }
  const total = [...chances.values()].reduce((sum, chance) => sum + chance, 0);
  return total === 0 ? undefined : new Map([...chances].map(([choice, chance]) => [choice, chance / total]));
}

const specification = operator({
  name: "router.model-judge",
  version: 2,
  about: {
    module: "orchestration",
    submodule: "scheduling",
    paper: "Modular RAG, operator 35 and erratum E6; Self-RAG (Asai et al. 2023)",
    summary: "Lets a language model choose.",
  },
  config,
  ports: ({ choices }) => ({
    input: { query: text, draft: text.optional(), hits: hits.optional() },
    output: {
      choice: choiceOf(...Object.keys(choices)),
      confidence: number,
      chances: z.record(z.string(), number),
      by: z.enum(["probability", "text", "default"]),
    },
  }),
  bound: (config) => boundOf(config, 1, 2 + config.passages),
  setup: async (config, host) => {
    const { characters, maxTokens, question, choices, otherwise, favour, passages } = config;
    const model = await host.resource<LanguageModel>("model", config.model);
    const labels = new Map(Object.keys(choices).map((choice) => [choice, config.labels[choice] ?? choice]));
    const options = Object.entries(choices).map(([choice, meaning]) => `${labels.get(choice)}: ${meaning}`);
    const system = `${question}\n${options.join("\n")}\nSay one of ${[...labels.values()].join(", ")}, and nothing else. ${fenceRule}`;
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
      const answer = await ask(
        model,
        {
          messages: [
            { role: "system", content: system },
            { role: "user", content },
          ],
          maxTokens,
          temperature: 0,
          ...(logprobs && { logprobs, alternatives: 20 }),
        },
        context,
      );
      const chances = readChances(answer.tokens[0], labels);
      if (chances) {
        const favoured = favour && chances.get(favour.choice)! > favour.above ? favour.choice : undefined;
        const rest = [...chances].filter(([choice]) => choice !== favour?.choice);
        const choice = favoured ?? rest.reduce((best, next) => (next[1] > best[1] ? next : best))[0];
        return {
          choice,
          confidence: chances.get(choice)!,
          chances: Object.fromEntries(chances),
          by: "probability" as const,
        };
      }
      const choice = readChoice(answer.text, labels);
      const said = Object.fromEntries([...labels.keys()].map((name) => [name, name === choice ? 1 : 0]));
      return choice === undefined
        ? { choice: otherwise, confidence: 0, chances: said, by: "default" as const }
        : { choice, confidence: 1, chances: said, by: "text" as const };
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
