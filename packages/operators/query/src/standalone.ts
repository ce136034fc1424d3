// public: standalone
import { boundOf, declarePrompt, operator, text } from "@tessera/core";
import { asking } from "@tessera/core/internal";
import { z } from "zod";
import { readOne } from "./lines.js";
import { questioner } from "./question.js";

/** The most characters of a question that a model wrote; a longer one is an answer and no question. */
const longest = 1000;

const asked = declarePrompt({
  name: "query.standalone",
  version: "1",
  text: "You are given the last question of a conversation, and what was said before. Write that question again so that it can be understood without the conversation: name what it only points at. Keep its language and its wishes. If it is whole already, repeat it. Write the question and nothing else.",
});

/**
 * Makes a follow-up question whole, q' = f_qt(q, history): what it only points at in the conversation is named, so that
 * it can be searched by itself. Without a history the model is not asked and the question stays as it is; so it does
 * where the model writes nothing that can be a question.
 */
export const standalone = operator({
  name: "query.standalone",
  version: 2,
  about: {
    module: "pre-retrieval",
    submodule: "query transformation",
    paper: "Modular RAG, operator 9, equation 8",
    summary: "Makes a question whole that follows on earlier messages, so that it stands by itself.",
  },
  config: z.strictObject({ ...asking, maxTokens: asking.maxTokens.default(128) }),
  ports: {
    input: {
      query: text,
      /** The conversation before, one message after the other as "user: …" and "assistant: …". */
      history: text.optional(),
    },
    output: { query: text },
  },
  prompts: [asked],
  bound: (config) => boundOf(config, 1, 2),
  setup: async (config, host) => {
    const question = await questioner(asked, config, host);
    const { characters } = config;
    return async ({ query, history = "" }, context) => {
      if (history.trim() === "") return { query };
      // the end of a conversation says what its last question is about
      const recent = history.length > characters ? history.slice(-characters) : history;
      const { text: said, finish } = await question({ query, others: { history: recent } }, context);
      const whole = readOne(said);
      // what has no end is an answer, or a treatise
      const isQuestion = finish === "stop" && /\p{L}|\p{N}/u.test(whole) && whole.length <= longest;
      return { query: isQuestion ? whole : query };
    };
  },
});
