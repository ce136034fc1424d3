// public: condense
import {
  ask,
  boundOf,
  declarePrompt,
  fence,
  fenceRule,
  type LanguageModel,
  openPrompt,
  operator,
  text,
} from "@tessera/core";
import { asking, estimateTokens } from "@tessera/core/internal";
import { z } from "zod";

const asked = declarePrompt({
  name: "query.condense",
  version: "1",
  text: "You are given a conversation, and perhaps a summary of what came before it. Write one summary of all of it: what the user wants and has decided, what was found out, with names, numbers and places as they were said, and what is open. Do not add anything, and do not answer any question in it. Keep the language of the user. Write the summary and nothing else.",
});

/** The end of a conversation, from the beginning of a line on: what the next question most likely points at. */
function endOf(history: string, characters: number): string {
  if (history.length <= characters) return history;
  const end = history.slice(-characters);
  return end.slice(end.indexOf("\n") + 1);
}

/**
 * Condenses a conversation that is longer than some tokens: what was said becomes a summary, and its end stays as it was.
 * A shorter one stays whole, and the model is not asked; so it does where the model writes nothing.
 */
export const condense = operator({
  name: "query.condense",
  version: 1,
  about: {
    module: "pre-retrieval",
    submodule: "query transformation",
    summary: "Replaces a long conversation by a summary of it and its end.",
  },
  config: z.strictObject({
    ...asking,
    characters: asking.characters.default(16_000),
    /** Up to so many estimated tokens a conversation stays as it is. */
    longest: z.int().positive().default(2000),
    /** How many characters of its end stay word for word. */
    end: z.int().nonnegative().default(1000),
  }),
  ports: {
    input: {
      /** One message after the other, as "user: …" and "assistant: …". */
      history: text.optional(),
    },
    output: {
      history: text,
      /** The summary, or nothing (""): a thread keeps it in place of the turns before. */
      summary: text,
    },
  },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 1),
  setup: async ({ model: name, maxTokens, characters, longest, end }, host) => {
    const instructions = await openPrompt(host, asked);
    const model = await host.resource<LanguageModel>("model", name);
    return async ({ history = "" }, context) => {
      if (estimateTokens(history) <= longest) return { history, summary: "" };
      const recent = history.slice(-characters);
      const { text: said, finish } = await ask(
        model,
        {
          messages: [
            { role: "system", content: `${instructions()} ${fenceRule}` },
            { role: "user", content: fence([{ text: recent }], { tag: "conversation" }) },
          ],
          maxTokens,
          temperature: 0,
        },
        context,
      );
      const summary = said.trim();
      // what was cut off may end in the middle of a name
      if (finish !== "stop" || !/\p{L}|\p{N}/u.test(summary)) return { history, summary: "" };
      return { history: `summary: ${summary}\n${endOf(history, end)}`.trim(), summary };
    };
  },
});
