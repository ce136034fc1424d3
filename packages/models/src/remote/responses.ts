// public: ResponsesModelOptions, responsesModel
import { type Capability, type GenerateRequest, type LanguageModel, TesseraError, type Token } from "@tessera/core";
import { z } from "zod";
import type { Endpoint } from "./openai-endpoint.js";
import { type Part, streamedModel } from "./streamed-model.js";

/** A language model behind a service that speaks OpenAI's responses. */
export interface ResponsesModelOptions extends Endpoint {
  /** What the service can do; nothing is assumed. The form has neither a seed nor a prefix. */
  readonly capabilities?: readonly Extract<Capability, "json" | "logprobs">[];
  /** Fields that are never sent, such as "temperature" for reasoning models. */
  readonly omit?: readonly string[];
}

const logprob = z.object({ token: z.string(), logprob: z.number() });
const logprobs = z.array(logprob.extend({ top_logprobs: z.array(logprob).nullish() })).nullish();
const usage = z.object({ input_tokens: z.number(), output_tokens: z.number() }).nullish().catch(undefined);
const content = z.object({ type: z.string(), text: z.string().nullish(), refusal: z.string().nullish(), logprobs });
const response = z.object({
  status: z.string().nullish(),
  error: z.object({ message: z.string().nullish() }).nullish(),
  incomplete_details: z.object({ reason: z.string().nullish() }).nullish(),
  output: z
    .array(z.object({ type: z.string(), content: z.array(content).nullish(), summary: z.array(content).nullish() }))
    .nullish(),
  usage,
});
const event = z.object({
  type: z.string(),
  delta: z.string().nullish().catch(undefined),
  logprobs: logprobs.catch(undefined),
  message: z.string().nullish(),
  response: response.nullish(),
});

const tokensOf = (given: z.output<typeof logprobs>): Token[] =>
  (given ?? []).map(({ token, logprob, top_logprobs }) => {
    const alternatives = top_logprobs?.map((other) => ({ text: other.token, logprob: other.logprob }));
    return { text: token, logprob, ...(alternatives && alternatives.length > 0 && { alternatives }) };
  });

const brokeOff = (said: string | null | undefined) =>
  new TesseraError("MODEL_FAILED", `the model broke off: ${(said ?? "it does not say why").slice(0, 500)}`);

/** How an answer ended, and what it took. @throws TesseraError MODEL_FAILED where it failed */
function endOf({ status, error, incomplete_details: incomplete, usage }: z.output<typeof response>): Part {
  if (status === "failed" || error) throw brokeOff(error?.message);
  const cut = status === "incomplete" || incomplete?.reason === "max_output_tokens";
  return {
    text: "",
    finish: cut ? "length" : "stop",
    ...(usage && { usage: { prompt: usage.input_tokens, completion: usage.output_tokens } }),
    done: true,
  };
}

/** An answer that came whole, where the service does not stream. */
function wholeOf(answer: z.output<typeof response>): Part {
  const end = endOf(answer);
  const of = (type: string) => (answer.output ?? []).filter((one) => one.type === type);
  const said = of("message").flatMap((one) => one.content ?? []);
  const thoughts = of("reasoning").flatMap((one) => [...(one.summary ?? []), ...(one.content ?? [])]);
  const tokens = said.flatMap((one) => tokensOf(one.logprobs));
  const thought = thoughts.map(({ text }) => text ?? "").join("\n");
  return {
    ...end,
    text: said.map(({ text, refusal }) => text ?? refusal ?? "").join(""),
    ...(thought !== "" && { thoughts: thought }),
    ...(tokens.length > 0 && { tokens }),
  };
}

/** What one event of an answer adds; events of kinds that are not known add nothing. */
function read(message: unknown): Part {
  if (typeof message !== "object" || message === null) return { text: "", done: false };
  if ((message as { object?: unknown }).object === "response") return wholeOf(response.parse(message));
  const { type, delta, logprobs, response: whole, message: said } = event.parse(message);
  switch (type) {
    case "response.output_text.delta":
    case "response.refusal.delta": {
      const tokens = tokensOf(logprobs);
      return { text: delta ?? "", ...(tokens.length > 0 && { tokens }), done: false };
    }
    case "response.reasoning_text.delta":
    case "response.reasoning_summary_text.delta":
      return { text: "", ...(delta && { thoughts: delta }), done: false };
    case "response.completed":
    case "response.incomplete":
    case "response.failed":
      return endOf({ status: type.slice("response.".length), ...whole });
    case "error":
      throw brokeOff(said);
    default:
      return { text: "", done: false };
  }
}

function bodyOf(
  { messages, schema, temperature, topP, maxTokens, logprobs, alternatives }: GenerateRequest,
  { model, omit = [] }: ResponsesModelOptions,
): Record<string, unknown> {
  const body = {
    model,
    input: messages.map(({ role, content }) => ({ role, content })),
    max_output_tokens: maxTokens,
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { top_p: topP }),
    ...(schema && { text: { format: { type: "json_schema", name: "answer", schema, strict: true } } }),
    ...(logprobs && { include: ["message.output_text.logprobs"], ...(alternatives && { top_logprobs: alternatives }) }),
    // the service is to keep nothing of it
    store: false,
    stream: true,
  };
  return Object.fromEntries(Object.entries(body).filter(([field]) => !omit.includes(field)));
}

/**
 * A language model behind a service that speaks OpenAI's responses (developers.openai.com/api/reference/resources/responses).
 * The service is told to store nothing. The form has no stop strings: an answer is cut here. Thoughts are what the service
 * tells of them: their text or a summary.
 * @throws TesseraError BAD_ARGUMENT; and from `generate` MODEL_FAILED, MISSING_CAPABILITY, CLOSED.
 */
export const responsesModel = (options: ResponsesModelOptions): LanguageModel =>
  streamedModel(options, { path: "responses", cuts: true, body: (request) => bodyOf(request, options), read });
