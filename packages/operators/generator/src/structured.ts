// public: structured
import {
  answer as answerPort,
  ask,
  cite,
  fence,
  flag,
  hits,
  type LanguageModel,
  type Message,
  number,
  openPrompt,
  operator,
  TesseraError,
  text,
} from "@tessera/core";
import { asking, clip, countTokens } from "@tessera/core/internal";
import { z } from "zod";
import { pack, roomOf, writing, writingBound } from "./pack.js";
import { rulesOf } from "./prompt.js";
import { isRefusal, ownRules, readValue, structuredPrompt, usableSchema } from "./structured-answer.js";

const schemaType = z.record(z.string(), z.json());
const longestFault = 400; // characters

/**
 * Answers a question from the passages of its hits by a JSON value that meets a JSON Schema, from the input `schema` or the
 * config. A model with the capability "json" is held to the schema while it writes. Every answer is checked; one that does not
 * meet it goes back to the model with what is wrong. The value is at `value`, and as JSON at `text`, which is streamed whole. As JSON has
 * no room for markers, `answer` cites the passages that the model was shown. Without passages the model is not asked.
 * @throws TesseraError BAD_ARGUMENT for a schema that cannot be used; MODEL_FAILED where no attempt met it
 */
export const structured = operator({
  name: "generator.structured",
  version: 1,
  about: {
    module: "generation",
    submodule: "generation",
    paper: "Modular RAG, equation 4",
    summary: "Answers from the passages by JSON that meets a schema, or refuses.",
  },
  config: z.strictObject({
    model: asking.model,
    maxTokens: asking.maxTokens.default(1024),
    ...writing,
    /** The JSON Schema, where the input `schema` gives none. */
    schema: schemaType.optional(),
    /** How often the model is asked until its answer meets the schema. */
    attempts: z.int().min(1).max(5).default(2),
    /** What is said where the passages hold no answer. */
    refusal: z.string().default("The passages that were found do not answer this question."),
  }),
  ports: {
    input: { query: text, hits, schema: schemaType.optional() },
    output: { value: z.json(), answer: answerPort, text, refused: flag, attempts: number },
  },
  needs: { json: { otherwise: "the model is told the schema, and its answer is checked all the same" } },
  prompts: [structuredPrompt],
  bound: ({ attempts, ...config }) => {
    const { calls, tokens } = writingBound(ownRules)(config);
    return { calls: calls * attempts, tokens: attempts * (tokens + config.maxTokens + 2 * longestFault) };
  },
  async setup(config, host) {
    const model = await host.resource<LanguageModel>("model", config.model);
    const { maxTokens, temperature, attempts } = config;
    const rules = rulesOf(await openPrompt(host, structuredPrompt));
    // an answer that goes back takes as much again
    const room = roomOf(model, { ...config, maxTokens: attempts > 1 ? 2 * maxTokens : maxTokens }, rules, ownRules);
    const system: Message = { role: "system", content: [rules, config.instructions].filter(Boolean).join("\n") };
    return async (input, context) => {
      const schema = usableSchema(input.schema ?? config.schema);
      const question = [
        fence([{ text: JSON.stringify(schema) }], { tag: "schema" }),
        fence([{ text: clip(input.query, room) }], { tag: "question" }),
      ].join("\n\n");
      const { passages, copies } = pack(input.hits, room - countTokens(question, model), model);
      const refuse = (count: number) => {
        context.emit("text", config.refusal);
        const answer = { text: config.refusal, citations: [], refused: true };
        return { value: null, answer, text: config.refusal, refused: true, attempts: count };
      };
      if (passages.length === 0) return refuse(0);
      let messages: Message[] = [system, { role: "user", content: `${fence(passages)}\n\n${question}` }];
      const held = model.capabilities.has("json") ? { schema } : {};
      let wrong = "";
      for (let attempt = 1; attempt <= attempts; attempt++) {
        const { text: said, finish } = await ask(model, { messages, maxTokens, temperature, ...held }, context);
        if (isRefusal(said)) return refuse(attempt);
        const found = readValue(said, schema, finish);
        if ("value" in found) {
          const text = JSON.stringify(found.value);
          context.emit("text", text);
          const citations = passages.map((one, index) => cite(index + 1, one, copies.get(one.id)));
          const answer = { text, citations, refused: false };
          return { value: found.value as never, answer, text, refused: false, attempts: attempt };
        }
        wrong = clip(found.faults.join("; "), longestFault);
        const repair = `This does not meet the schema: ${wrong}. Reply with the corrected JSON alone.`;
        messages = [
          ...messages.slice(0, 2),
          { role: "assistant", content: clip(said, 4 * maxTokens) },
          { role: "user", content: repair },
        ];
      }
      throw new TesseraError("MODEL_FAILED", `no answer in ${attempts} attempts meets the schema: ${wrong}`, {
        hint: "ask for less in the schema, raise `attempts` or `maxTokens`, or use a model that can be held to a schema (json)",
      });
    };
  },
});
