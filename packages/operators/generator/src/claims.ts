// public: claims
import { boundOf, declarePrompt, fence, operator, text } from "@tessera/core";
import { asking, clip } from "@tessera/core/internal";
import { z } from "zod";
import { examiner } from "./examiner.js";
import { sentencesOf } from "./sentences.js";

const asked = declarePrompt({
  name: "generator.claims",
  version: "1",
  text: "You list what an answer states as facts. Write each fact on its own line, numbered, so that it can be understood and checked alone: name things in full. Leave out opinions and what is only asked. If it states nothing, write NONE.",
});

/** The claims on the lines of a model's answer, without numbers and bullets. */
const lines = (said: string): string[] =>
  said
    .split(/\r?\n/)
    .map((line) => line.replace(/^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+/, "").trim())
    .filter((line) => /\p{L}/u.test(line) && !/^none\W*$/i.test(line) && !/:$/.test(line));

/**
 * The claims of a text, to be verified each by itself. With a model they are the facts it states, made understandable
 * alone; without one they are its sentences. Markers such as [2] are left out, and so is code. No more than `claims`
 * are given, the first ones.
 */
export const claims = operator({
  name: "generator.claims",
  version: 2,
  about: {
    module: "generation",
    submodule: "verification",
    paper: "Modular RAG, operator 29",
    summary: "Splits a text into claims that can be checked one by one.",
  },
  config: z.strictObject({
    ...asking,
    /** The name of a "model" resource; without it the claims are the sentences. */
    model: asking.model.optional(),
    /** The most claims. */
    claims: z.int().positive().default(10),
  }),
  ports: { input: { text }, output: { claims: z.array(text) } },
  prompts: [asked],
  bound: (config) => boundOf(config, config.model === undefined ? 0 : 1, 1),
  async setup({ model, maxTokens, characters, claims: most }, host) {
    const examine = model === undefined ? undefined : await examiner(asked, { model, maxTokens }, host);
    return async ({ text: given }, context) => {
      const plain = given.replace(/```[\s\S]*?```|^ {4}.*$/gm, "").replace(/ ?\[\d{1,4}\]/g, "");
      if (!/\p{L}/u.test(plain)) return { claims: [] };
      if (!examine) return { claims: sentencesOf(plain).slice(0, most) };
      const said = await examine(fence([{ text: clip(plain, characters) }], { tag: "answer" }), context);
      return { claims: lines(said).slice(0, most) };
    };
  },
});
