// public: Endpoint, OpenAiModelOptions, openAiModel, OpenAiEncoderOptions, openAiEncoder
import {
  type Capability,
  type Encoder,
  type GenerateRequest,
  type LanguageModel,
  TesseraError,
  type Token,
} from "@tessera/core";
import { z } from "zod";
import { endpointEncoder } from "./encoder-endpoint.js";
import type { Endpoint } from "./openai-endpoint.js";
import { ended, type Part, streamedModel } from "./streamed-model.js";

export type { Endpoint } from "./openai-endpoint.js";

/** A language model behind an OpenAI-compatible endpoint. */
export interface OpenAiModelOptions extends Endpoint {
  /**
   * What the service can do; nothing is assumed. "logprobs", "seed" and "json" (by `response_format`) are OpenAI's
   * fields. "prefix" sends the beginning as an open message of the assistant, as vLLM and SGLang continue it.
   */
  readonly capabilities?: readonly Exclude<Capability, "score">[];
  /**
   * The field that bounds an answer; OpenAI's newer models want "max_completion_tokens". A service that refuses the one
   * gets the other from then on.
   */
  readonly tokensField?: "max_tokens" | "max_completion_tokens";
  /**
   * Fields that are never sent, such as "temperature" for reasoning models. What a service refuses as unknown among
   * temperature, top_p, stop, seed and stream_options is left out from then on without being named here.
   */
  readonly omit?: readonly string[];
}

// some services report -1 where they do not count
const count = z.number().nonnegative().nullish().catch(undefined);
const logprob = z.object({ token: z.string(), logprob: z.number() });
const contentPart = z.object({ type: z.string().optional(), text: z.string().nullish() });
const content = z
  .union([z.string(), z.array(contentPart)])
  .nullish()
  .transform((value) => (Array.isArray(value) ? value.map(({ text }) => text ?? "").join("") : (value ?? "")));
// vLLM and DeepSeek say "reasoning_content", OpenRouter and Ollama "reasoning"
const said = z.object({
  content,
  reasoning_content: z.string().nullish(),
  reasoning: z.string().nullish().catch(null),
});
const part = z.object({
  error: z.unknown().optional(),
  choices: z
    .array(
      z.object({
        delta: said.nullish(),
        message: said.nullish(), // where a service does not stream
        finish_reason: z.string().nullish(),
        logprobs: z
          .object({ content: z.array(logprob.extend({ top_logprobs: z.array(logprob).nullish() })).nullish() })
          .nullish(),
      }),
    )
    .nullish(),
  usage: z.object({ prompt_tokens: count, completion_tokens: count }).nullish(),
});

function bodyOf(
  request: GenerateRequest,
  { model, tokensField = "max_tokens", omit = [] }: OpenAiModelOptions,
): Record<string, unknown> {
  const { messages, prefix, stop, schema, seed, temperature, topP, maxTokens, logprobs, alternatives } = request;
  const body = {
    model,
    messages: prefix ? [...messages, { role: "assistant", content: prefix }] : messages,
    ...(prefix && { continue_final_message: true, add_generation_prompt: false }),
    [tokensField]: maxTokens,
    ...(stop && stop.length > 0 && { stop }),
    ...(seed !== undefined && { seed }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { top_p: topP }),
    ...(schema && { response_format: { type: "json_schema", json_schema: { name: "answer", schema, strict: true } } }),
    ...(logprobs && { logprobs: true, ...(alternatives && { top_logprobs: alternatives }) }),
    stream: true,
    stream_options: { include_usage: true },
  };
  return Object.fromEntries(Object.entries(body).filter(([field]) => !omit.includes(field)));
}

/** What one message of an answer adds; an error that came in the middle is thrown. */
function deltaOf(message: unknown): Part {
  if (message === ended) return { text: "", done: true };
  const { error, choices, usage } = part.parse(message);
  if (error) throw new TesseraError("MODEL_FAILED", `the model broke off: ${JSON.stringify(error).slice(0, 500)}`);
  const choice = choices?.[0];
  const tokens = choice?.logprobs?.content?.map(({ token, logprob, top_logprobs }): Token => {
    const alternatives = top_logprobs?.map((other) => ({ text: other.token, logprob: other.logprob }));
    return { text: token, logprob, ...(alternatives && alternatives.length > 0 && { alternatives }) };
  });
  const said = choice?.delta ?? choice?.message;
  const thoughts = said?.reasoning_content ?? said?.reasoning;
  const { prompt_tokens: prompt, completion_tokens: completion } = usage ?? {};
  return {
    text: said?.content ?? "",
    ...(thoughts && { thoughts }),
    ...(tokens && tokens.length > 0 && { tokens }),
    ...(choice?.finish_reason && { finish: choice.finish_reason === "length" ? "length" : "stop" }),
    ...(typeof prompt === "number" && typeof completion === "number" && { usage: { prompt, completion } }),
    done: Boolean(choice?.finish_reason),
  };
}

/**
 * A language model behind any service that speaks OpenAI's chat completions: OpenAI, vLLM, llama.cpp, Ollama, LM Studio.
 * Requests are repeated with backoff until the answer begins, never after. A stream that ends
 * with neither a finish nor [DONE] is an error, and not a short answer. What the model thought comes as `thoughts` where
 * the service parts it from the answer.
 * @throws TesseraError BAD_ARGUMENT; and from `generate` MODEL_FAILED, MISSING_CAPABILITY, CLOSED.
 */
export const openAiModel = (options: OpenAiModelOptions): LanguageModel =>
  streamedModel(options, {
    path: "chat/completions",
    body: (request) => bodyOf(request, options),
    read: deltaOf,
  });

/** An encoder behind an OpenAI-compatible endpoint. */
export interface OpenAiEncoderOptions extends Endpoint {
  /** The most texts of one request. */
  readonly batch?: number;
  /** Whether the service can shorten vectors, by its field `dimensions`. */
  readonly shortens?: boolean;
  /** What the model wants before each kind of text, as in "query: ". */
  readonly prefixes?: Partial<Record<"query" | "code" | "text", string>>;
}

/**
 * An encoder behind any service that speaks OpenAI's embeddings; `endpointEncoder` speaks other forms as well.
 * @throws TesseraError BAD_ARGUMENT; and from `encode` MODEL_FAILED, MISSING_CAPABILITY, CLOSED.
 */
export const openAiEncoder = (options: OpenAiEncoderOptions): Encoder =>
  endpointEncoder({ ...options, shape: "openai" });
