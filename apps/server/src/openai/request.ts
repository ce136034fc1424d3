// internal
import { type GenerateRequest, type Message, TesseraError } from "@tessera/core";
import { z } from "zod";
import { fieldPath, refusal } from "./errors.js";

/** Reads a body by its schema. @throws TesseraError BAD_ARGUMENT that names the first field that is wrong. */
export function read<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const { success, data, error } = schema.safeParse(body ?? {});
  if (success) return data;
  const [issue] = error.issues;
  throw refusal(issue!.path.join(".") || undefined, `${issue!.path.join(".") || "the body"}: ${issue!.message}`);
}

const part = z.looseObject({ type: z.string(), text: z.string().optional() });
const message = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant"], {
    error: 'a message\'s role is "system", "developer", "user" or "assistant"; tools are not offered',
  }),
  content: z.union([z.string(), z.array(part)]),
});

/** Fields that would change the answer and are not offered: refused unless they ask for nothing. */
const absent = (name: string) =>
  z.union([z.null(), z.strictObject({}), z.array(z.any()).max(0)], { error: `"${name}" is not offered` }).optional();

const drawing = {
  model: z.string().min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.int().positive().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  seed: z.int().nullish(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(4)]).nullish(),
  n: z.literal(1, { error: "one answer a request: n is 1" }).nullish(),
  frequency_penalty: z.literal(0, { error: '"frequency_penalty" is not offered' }).nullish(),
  presence_penalty: z.literal(0, { error: '"presence_penalty" is not offered' }).nullish(),
  logit_bias: absent("logit_bias"),
};

export const chatBody = z.looseObject({
  ...drawing,
  messages: z.array(message).min(1),
  max_completion_tokens: z.int().positive().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: z
    .discriminatedUnion("type", [
      z.looseObject({ type: z.literal("text") }),
      z.looseObject({ type: z.literal("json_object") }),
      z.looseObject({
        type: z.literal("json_schema"),
        json_schema: z.looseObject({ name: z.string().optional(), schema: z.record(z.string(), z.any()).optional() }),
      }),
    ])
    .nullish(),
  tools: absent("tools"),
  functions: absent("functions"),
  audio: absent("audio"),
});
export type ChatBody = z.output<typeof chatBody>;

export const completionBody = z.looseObject({
  ...drawing,
  prompt: z.union([z.string().min(1), z.array(z.string().min(1)).length(1)], {
    error: "one prompt a request, as text; token ids are not read",
  }),
  logprobs: z.int().min(0).max(20).nullish(),
  best_of: z.literal(1, { error: '"best_of" is not offered' }).nullish(),
  suffix: absent("suffix"),
  echo: z.literal(false, { error: '"echo" is not offered' }).nullish(),
});
export type CompletionBody = z.output<typeof completionBody>;

/** The text of a message; parts that are no text are refused. */
function textOf(content: string | readonly z.output<typeof part>[], at: number): string {
  if (typeof content === "string") return content;
  return content
    .map(({ type, text }, i) => {
      if (type === "text" && text !== undefined) return text;
      throw refusal(`messages.${at}.content.${i}`, `a part of type "${type}" is not read; only text is`);
    })
    .join("");
}

const messagesOf = (body: ChatBody): Message[] =>
  body.messages.map(({ role, content }, i) => ({
    role: role === "developer" ? "system" : role,
    content: textOf(content, i),
  }));

function drawingOf(body: ChatBody | CompletionBody, maxTokens: number, most: number) {
  if (maxTokens > most) throw refusal("max_tokens", `an answer may have ${most} tokens at most`);
  return {
    maxTokens,
    stop: typeof body.stop === "string" ? [body.stop] : (body.stop ?? undefined),
    seed: body.seed ?? undefined,
    temperature: body.temperature ?? undefined,
    topP: body.top_p ?? undefined,
  };
}

/** What a model is asked for a chat. An answer whose length is not said may be 1,024 tokens long. */
export function chatRequest(body: ChatBody, most: number): GenerateRequest {
  const { response_format: format, logprobs, top_logprobs: alternatives } = body;
  if (alternatives && !logprobs) throw refusal("top_logprobs", '"top_logprobs" needs "logprobs": true');
  const schema =
    format?.type === "json_object"
      ? { type: "object" }
      : format?.type === "json_schema"
        ? (format.json_schema.schema ?? {})
        : undefined;
  return {
    messages: messagesOf(body),
    ...drawingOf(body, body.max_completion_tokens ?? body.max_tokens ?? Math.min(1024, most), most),
    ...(schema && { schema }),
    ...(logprobs && { logprobs, ...(alternatives && { alternatives }) }),
  };
}

/** What a model is asked to continue a text: an answer to nothing that begins with it. OpenAI's default is 16 tokens. */
export function completionRequest(body: CompletionBody, most: number): GenerateRequest {
  const { prompt, logprobs } = body;
  return {
    messages: [],
    prefix: typeof prompt === "string" ? prompt : prompt[0]!,
    ...drawingOf(body, body.max_tokens ?? Math.min(16, most), most),
    ...(typeof logprobs === "number" && { logprobs: true, ...(logprobs > 0 && { alternatives: logprobs }) }),
  };
}

/** A request as a target can take it. @throws TesseraError MISSING_CAPABILITY */
export function fitting(request: GenerateRequest, model: string, capabilities: ReadonlySet<string>): GenerateRequest {
  for (const [asked, capability, field] of [
    [request.schema, "json", "response_format"],
    [request.logprobs, "logprobs", "logprobs"],
    [request.prefix, "prefix", "model"],
  ] as const)
    if (asked && !capabilities.has(capability))
      throw new TesseraError("MISSING_CAPABILITY", `"${model}" does not offer "${capability}"`, {
        path: fieldPath(field),
        hint: capability === "prefix" ? "it answers chats only" : undefined,
      });
  // a seed is a wish: OpenAI promises no more
  const { seed, ...rest } = request;
  return capabilities.has("seed") ? request : rest;
}
