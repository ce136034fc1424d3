// public: confirm
import { answer, boundOf, declarePrompt, fence, flag, hits, operator, text } from "@tessera/core";
import { asking, clip, withoutIntroduction } from "@tessera/core/internal";
import { z } from "zod";
import { examiner } from "./examiner.js";

const choices = {
  A: "right",
  B: "partly",
  C: "wrong",
  D: "unfounded",
} as const;

const asked = declarePrompt({
  name: "generator.confirm",
  version: "1",
  text: `You examine an answer to a question. Choose one:
A: it answers the question, and the passages say so
B: it is right as far as it goes, but leaves out what the passages say and the question asks
C: the passages contradict it
D: the passages do not say it
Write the letter first, and then in one sentence what must be changed.`,
});

/**
 * Model-based verification: a language model, a small one will do, examines an answer by multiple choice. Only "right"
 * confirms it; `feedback` says what to change. A choice that cannot be read is "unfounded": an answer is not confirmed
 * by default. Loop an answering flow `until` it is confirmed, carrying `answer` to the generator's `draft` and
 * `feedback` to its `feedback`; the loop's `max` bounds the attempts and its `stopReason` is recorded.
 */
export const confirm = operator({
  name: "generator.confirm",
  version: 3,
  about: {
    module: "generation",
    submodule: "verification",
    paper: "Modular RAG, operator 30",
    summary: "Lets a model confirm an answer, or say what to change.",
  },
  config: z.strictObject({
    ...asking,
    maxTokens: asking.maxTokens.unwrap().default(96),
    /** The most passages that are shown. */
    passages: z.int().positive().default(5),
  }),
  ports: {
    input: { query: text, answer, hits },
    output: { confirmed: flag, choice: z.enum(["right", "partly", "wrong", "unfounded"]), feedback: text },
  },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 2 + config.passages),
  async setup(config, host) {
    const { characters, passages } = config;
    const examine = await examiner(asked, config, host);
    return async ({ query, answer, hits }, context) => {
      const quote = (tag: string, text: string): string => fence([{ text: clip(text, characters) }], { tag });
      const shown = hits
        .slice(0, passages)
        .map(({ passage }) => ({ ...passage, text: clip(passage.text, characters) }));
      const content = [fence(shown), quote("question", query), quote("answer", answer.text)].filter(Boolean).join("\n");
      const said = await examine(content, context);
      const choiceOf = (text: string) =>
        /^[^\p{L}]*(?:answer|choice)?[^\p{L}]*([A-D])(?![\p{L}'])[^\p{L}\p{N}]*([\s\S]*)$/iu.exec(text);
      const [, letter = "D", reason = ""] = choiceOf(said) ?? choiceOf(withoutIntroduction(said)) ?? [];
      const choice = choices[letter.toUpperCase() as keyof typeof choices];
      const confirmed = choice === "right";
      return { confirmed, choice, feedback: confirmed ? "" : reason.trim() || `The answer is ${choice}.` };
    };
  },
});
