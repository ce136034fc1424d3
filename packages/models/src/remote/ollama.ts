// public: OllamaModelOptions, ollamaModel
import { type Capability, type GenerateRequest, type LanguageModel, TesseraError, type Token } from "@tessera/core";
import { z } from "zod";
import type { Endpoint } from "./openai-endpoint.js";
import { type Part, streamedModel } from "./streamed-model.js";

/** A language model behind Ollama's own chat, whose address ends before "/api". */
export interface OllamaModelOptions extends Endpoint {
  /** What the service can do; "json" and "seed" by default, and "logprobs" where it is new enough. */
  readonly capabilities?: readonly Extract<Capability, "json" | "logprobs" | "seed">[];
  /** Fields that are never sent, also of its `options`. */
  readonly omit?: readonly string[];
}

const logprob = z.object({ token: z.string(), logprob: z.number() });
const line = z.object({
  error: z.string().nullish(),
  message: z.object({ content: z.string().nullish(), thinking: z.string().nullish() }).nullish(),
  logprobs: z.array(logprob.extend({ top_logprobs: z.array(logprob).nullish() })).nullish(),
  done: z.boolean().nullish(),
  done_reason: z.string().nullish(),
  prompt_eval_count: z.number().nullish(),
  eval_count: z.number().nullish(),
});

/** What one line of an answer adds. */
function read(given: unknown): Part {
  const { error, message, logprobs, done, done_reason: reason, ...counts } = line.parse(given);
  if (error) throw new TesseraError("MODEL_FAILED", `the model broke off: ${error.slice(0, 500)}`);
  const tokens = (logprobs ?? []).map(({ token, logprob, top_logprobs }): Token => {
    const alternatives = top_logprobs?.map((other) => ({ text: other.token, logprob: other.logprob }));
    return { text: token, logprob, ...(alternatives && alternatives.length > 0 && { alternatives }) };
  });
  // a prompt that it had at hand is counted as none
  const { prompt_eval_count: prompt = 0, eval_count: completion } = counts;
  return {
    text: message?.content ?? "",
    ...(message?.thinking && { thoughts: message.thinking }),
    ...(tokens.length > 0 && { tokens }),
    ...(done && { finish: reason === "length" ? ("length" as const) : ("stop" as const) }),
    ...(done && typeof completion === "number" && { usage: { prompt: prompt ?? 0, completion } }),
    done: done ?? false,
  };
}

function bodyOf(
  { messages, stop, schema, seed, temperature, topP, maxTokens, logprobs, alternatives }: GenerateRequest,
  { model, omit = [] }: OllamaModelOptions,
): Record<string, unknown> {
  const kept = (fields: object) => Object.fromEntries(Object.entries(fields).filter(([name]) => !omit.includes(name)));
  return kept({
    model,
    messages,
    options: kept({
      num_predict: maxTokens,
      ...(temperature !== undefined && { temperature }),
      ...(topP !== undefined && { top_p: topP }),
      ...(seed !== undefined && { seed }),
      ...(stop && stop.length > 0 && { stop }),
    }),
    ...(schema && { format: schema }),
    ...(logprobs && { logprobs: true, ...(alternatives && { top_logprobs: alternatives }) }),
    stream: true,
  });
}

/**
 * A language model behind Ollama's own chat (docs.ollama.com/api/chat), which has what its OpenAI form lacks: `num_ctx`
 * (`parameters: { options: … }` replaces all options, so name it in the model's Modelfile), thoughts apart, JSON by a schema.
 * @throws TesseraError BAD_ARGUMENT; and from `generate` MODEL_FAILED, MISSING_CAPABILITY, CLOSED.
 */
export const ollamaModel = ({ capabilities = ["json", "seed"], ...options }: OllamaModelOptions): LanguageModel =>
  streamedModel(
    { ...options, capabilities },
    { path: "api/chat", lines: true, body: (request) => bodyOf(request, options), read },
  );
