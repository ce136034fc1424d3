// internal
import { type Message, TesseraError } from "@tessera/core";
import { z } from "zod";
import { threadId } from "../thread-routes.js";
import { fieldPath, refusal } from "./errors.js";
import type { ChatRequest } from "./target.js";

/** Reads a body by its schema. @throws TesseraError BAD_ARGUMENT that names the first field that is wrong. */
export function read<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const { success, data, error } = schema.safeParse(body ?? {});
  if (success) return data;
  const [issue] = error.issues;
  const path = [...issue!.path, ...(issue!.code === "unrecognized_keys" ? issue!.keys.slice(0, 1) : [])].join(".");
  throw refusal(path || undefined, `${path || "the body"}: ${issue!.message}`);
}

const part = z.looseObject({ type: z.string(), text: z.string().optional(), refusal: z.string().optional() });
const parts = z.union([z.string(), z.array(part)], { error: "content is a text or a list of parts" });
const said = { name: z.string().nullish() };
/** What an assistant may have said: an agent sends the messages back as it was given them. */
const assistant = z.looseObject({
  ...said,
  role: z.literal("assistant"),
  content: parts.nullish(),
  refusal: z.string().nullish(),
  audio: z.looseObject({ transcript: z.string().nullish() }).nullish(),
  annotations: z.array(z.any()).nullish(),
  tool_calls: z
    .array(
      z.looseObject({
        id: z.string().nullish(),
        function: z.looseObject({ name: z.string(), arguments: z.string().nullish() }).nullish(),
        custom: z.looseObject({ name: z.string(), input: z.string().nullish() }).nullish(),
      }),
    )
    .nullish(),
  function_call: z.looseObject({ name: z.string(), arguments: z.string().nullish() }).nullish(),
});
const message = z.discriminatedUnion(
  "role",
  [
    z.looseObject({ ...said, role: z.enum(["system", "developer", "user"]), content: parts }),
    assistant,
    z.looseObject({ ...said, role: z.literal("tool"), content: parts, tool_call_id: z.string().nullish() }),
    z.looseObject({ role: z.literal("function"), content: parts.nullish(), name: z.string() }),
  ],
  {
    error: "a message's role is system, developer, user, assistant, tool or function, and its content a text or parts",
  },
);
type ChatMessage = z.output<typeof message>;

/** Fields that would change the answer and are not offered: refused unless they ask for nothing. */
const absent = (name: string) =>
  z.union([z.null(), z.strictObject({}), z.array(z.any()).max(0)], { error: `"${name}" is not offered` }).optional();
const only = <const T extends string | number | boolean>(name: string, ...values: T[]) =>
  z
    .literal(values, {
      error: `"${name}" is not offered, but for ${values.map((one) => JSON.stringify(one)).join(", ")}`,
    })
    .nullish();

/** Fields that change no answer: whoever sends them loses nothing where they are not used. */
const unused = {
  user: z.any().optional(),
  metadata: z.any().optional(),
  service_tier: z.any().optional(),
  safety_identifier: z.any().optional(),
  prompt_cache_key: z.any().optional(),
  prompt_cache_retention: z.any().optional(),
  parallel_tool_calls: z.any().optional(),
};

const drawing = {
  model: z.string().min(1),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: z.boolean().nullish() })
    .nullish(),
  max_tokens: z.int().positive().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  seed: z.int().nullish(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(4)]).nullish(),
  n: z.literal(1, { error: "one answer a request: n is 1" }).nullish(),
  frequency_penalty: only("frequency_penalty", 0),
  presence_penalty: only("presence_penalty", 0),
  logit_bias: absent("logit_bias"),
  ...unused,
};

/** An object that refuses every field that it does not know, by its name. */
const closed = <T extends z.ZodRawShape>(shape: T) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `${issue.keys.map((key) => `"${key}"`).join(", ")}: no such field is offered`
        : undefined,
  });

const tools = z.array(z.any()).nullish();
const toolChoice = (name: string) => only(name, "none", "auto");

export const chatBody = closed({
  ...drawing,
  messages: z.array(message).min(1),
  /** Ours: the conversation of the service that the message continues. */
  thread: threadId.nullish(),
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
  tools,
  tool_choice: toolChoice("tool_choice"),
  functions: tools,
  function_call: toolChoice("function_call"),
  audio: absent("audio"),
  modalities: z.array(z.literal("text", { error: '"modalities" has text alone' })).nullish(),
  prediction: absent("prediction"),
  reasoning_effort: only("reasoning_effort", "none"),
  verbosity: only("verbosity", "medium"),
  store: only("store", false),
  web_search_options: z.null({ error: '"web_search_options" is not offered' }).optional(),
}).superRefine((body, context) => {
  // tools that must not be called change nothing
  for (const [list, choice] of [
    ["tools", "tool_choice"],
    ["functions", "function_call"],
  ] as const)
    if ((body[list]?.length ?? 0) > 0 && body[choice] !== "none")
      context.addIssue({
        code: "custom",
        path: [list],
        message: `"${list}" are not offered, but with "${choice}": "none"`,
      });
});
export type ChatBody = z.output<typeof chatBody>;

export const completionBody = closed({
  ...drawing,
  prompt: z.union([z.string().min(1), z.array(z.string().min(1)).length(1)], {
    error: "one prompt a request, as text; token ids are not read",
  }),
  logprobs: z.int().min(0).max(20).nullish(),
  best_of: only("best_of", 1),
  suffix: only("suffix", ""),
  echo: only("echo", false),
});
export type CompletionBody = z.output<typeof completionBody>;

/** The text of a message; parts that are no text are refused. */
function textOf(content: string | readonly z.output<typeof part>[] | null | undefined, at: number): string {
  if (typeof content === "string") return content;
  return (content ?? [])
    .map((one, i) => {
      const text = one.type === "text" ? one.text : one.type === "refusal" ? one.refusal : undefined;
      if (text !== undefined) return text;
      throw refusal(`messages.${at}.content.${i}`, `a part of type "${one.type}" is not read; only text is`);
    })
    .join("");
}

/** What an assistant said and did, as a text: our models know no calls of tools. */
function assistantText(sent: z.output<typeof assistant>, at: number): string {
  const { refusal: refused, audio, tool_calls: calls, function_call: call } = sent;
  const called = [...(calls ?? []).map((one) => one.function ?? one.custom), call].flatMap((one) =>
    one ? [`[called ${one.name} with ${("arguments" in one ? one.arguments : one.input) || "nothing"}]`] : [],
  );
  const spoken = textOf(sent.content, at) || refused || audio?.transcript || "";
  return [spoken, ...called].filter(Boolean).join("\n");
}

/** The names of the tools that were called, by the ids of the calls. */
const toolNames = (messages: readonly ChatMessage[]): ReadonlyMap<string, string> =>
  new Map(
    messages.flatMap((one) =>
      one.role === "assistant"
        ? (one.tool_calls ?? []).flatMap(({ id, ...call }) => {
            const name = call.function?.name ?? call.custom?.name;
            return id && name ? [[id, name] as const] : [];
          })
        : [],
    ),
  );

/**
 * Messages in the roles that models know. What a tool gave is data, and said by the user's side. A name stands before what
 * its bearer said, where the bearer is not what the roles tell apart.
 */
function messagesOf({ messages }: ChatBody): Message[] {
  const names = toolNames(messages);
  return messages.map((one, i): Message => {
    if (one.role === "assistant") return { role: "assistant", content: assistantText(one, i) };
    const text = textOf(one.content, i);
    if (one.role === "tool" || one.role === "function") {
      const name = one.role === "function" ? one.name : (names.get(one.tool_call_id as string) ?? one.name ?? "a tool");
      return { role: "user", content: `[${name} returned]\n${text}` };
    }
    return { role: one.role === "user" ? "user" : "system", content: one.name ? `${one.name}: ${text}` : text };
  });
}

/** What the user asked last, without a name before it, and everything else that was said. */
function questionOf({ messages }: ChatBody, read: readonly Message[]): ChatRequest["question"] {
  const at = messages.findLastIndex(({ role }) => role === "user");
  // what follows a question in an agent's history are the calls of tools that it led to
  const isOpen = messages.slice(at + 1).every((one) => one.role === "tool" || one.role === "function" || calls(one));
  if (at < 0 || !isOpen) return undefined;
  return { text: textOf(messages[at]!.content, at), others: read.filter((_, i) => i !== at) };
}
const calls = (one: ChatMessage): boolean =>
  one.role === "assistant" && ((one.tool_calls?.length ?? 0) > 0 || Boolean(one.function_call));

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

/** Whether the length was asked for, and is not our default. */
const givenOf = (body: ChatBody | CompletionBody) => ({
  maxTokens: ("max_completion_tokens" in body ? body.max_completion_tokens : undefined) ?? body.max_tokens ?? undefined,
});

/** What a model is asked for a chat. An answer whose length is not said may be 1,024 tokens long. */
export function chatRequest(body: ChatBody, most: number): ChatRequest {
  const { response_format: format, logprobs, top_logprobs: alternatives } = body;
  if (alternatives && !logprobs) throw refusal("top_logprobs", '"top_logprobs" needs "logprobs": true');
  const schema =
    format?.type === "json_object"
      ? { type: "object" }
      : format?.type === "json_schema"
        ? (format.json_schema.schema ?? {})
        : undefined;
  const messages = messagesOf(body);
  return {
    messages,
    question: questionOf(body, messages),
    ...(typeof body.thread === "string" && { thread: body.thread }),
    given: givenOf(body),
    ...drawingOf(body, body.max_completion_tokens ?? body.max_tokens ?? Math.min(1024, most), most),
    ...(schema && { schema }),
    ...(logprobs && { logprobs, ...(alternatives && { alternatives }) }),
  };
}

/** What a model is asked to continue a text: an answer to nothing that begins with it. OpenAI's default is 16 tokens. */
export function completionRequest(body: CompletionBody, most: number): ChatRequest {
  const { prompt, logprobs } = body;
  return {
    messages: [],
    question: undefined,
    given: givenOf(body),
    prefix: typeof prompt === "string" ? prompt : prompt[0]!,
    ...drawingOf(body, body.max_tokens ?? Math.min(16, most), most),
    ...(typeof logprobs === "number" && { logprobs: true, ...(logprobs > 0 && { alternatives: logprobs }) }),
  };
}

/** A request as a target can take it. @throws TesseraError MISSING_CAPABILITY that names the field. */
export function fitting(request: ChatRequest, model: string, capabilities: ReadonlySet<string>): ChatRequest {
  if (request.thread !== undefined && !capabilities.has("thread"))
    throw new TesseraError("MISSING_CAPABILITY", `"${model}" is a model and keeps no threads`, {
      path: fieldPath("thread"),
      hint: "ask a flow that takes a history, such as chat",
    });
  for (const [asked, capability, field] of [
    [request.schema, "json", "response_format"],
    [request.logprobs, "logprobs", "logprobs"],
    [request.prefix !== undefined, "prefix", "model"],
    [request.seed !== undefined, "seed", "seed"],
  ] as const)
    if (asked && !capabilities.has(capability))
      throw new TesseraError("MISSING_CAPABILITY", `"${model}" does not offer "${capability}"`, {
        path: fieldPath(field),
        hint: capability === "prefix" ? "it answers chats only" : undefined,
      });
  return request;
}
