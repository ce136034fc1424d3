import { isOperator } from "@tessera/core/internal";
import { searchSettings } from "@tessera/mcp/internal";
import { z } from "zod";

export const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;
const opened = z.custom(
  (value) => isObject(value) || typeof value === "function",
  "it is an object, or a function that opens one",
);
const address = z.string().regex(/^https?:\/\//, 'an address as in "http://127.0.0.1:11434/v1"');
const service = {
  endpoint: address,
  model: z.string().min(1),
  keyVariable: z.string().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  parameters: z.record(z.string(), z.json()).optional(),
  retries: z.int().nonnegative().optional(),
  backoffMs: z.number().nonnegative().optional(),
  timeoutMs: z.number().positive().optional(),
};
const endpoint = z.strictObject({
  ...service,
  form: z.enum(["chat", "responses", "ollama"]).optional(),
  capabilities: z.array(z.enum(["logprobs", "prefix", "json", "seed"])).optional(),
  omit: z.array(z.string()).optional(),
});
const llamaCpp = z.strictObject({
  file: z.string().min(1),
  engine: z.literal("llama.cpp"),
  threads: z.int().positive().optional(),
  context: z.int().positive().optional(),
  sequences: z.int().positive().optional(),
});
const isLive = (value: unknown): boolean =>
  typeof value === "function" || (isObject(value) && typeof (value as { generate?: unknown }).generate === "function");
const model = z.union([
  z.string().min(1),
  z.custom(
    isLive,
    "it is a name, { endpoint, model }, { file, engine }, a LanguageModel, or a function that opens one",
  ),
  llamaCpp,
  endpoint,
]);
const texts = z.record(z.string(), z.string());
const isServer = (value: unknown): boolean =>
  typeof value === "function" || (isObject(value) && typeof (value as { call?: unknown }).call === "function");
const mcpServer = z.union([
  z.custom(isServer, "it is { command, args }, { url, headers }, an McpServer, or a function that opens one"),
  z
    .strictObject({
      command: z.string().min(1).optional(),
      args: z.array(z.string()).optional(),
      folder: z.string().optional(),
      environment: texts.optional(),
      url: z.string().min(1).optional(),
      headers: texts.optional(),
      timeoutMs: z.number().positive().optional(),
      resources: texts.optional(),
      search: z.strictObject(searchSettings).optional(),
    })
    .refine(({ command, url }) => (command === undefined) !== (url === undefined), "it has either a command or a url"),
]);
const isOpened = (value: unknown): boolean =>
  typeof value === "function" || (isObject(value) && !("endpoint" in (value as object)));
const live = z.custom(isOpened, "it is a name, { endpoint, model }, an object, or a function that opens one");
const kinds = z.strictObject({
  query: z.string().optional(),
  code: z.string().optional(),
  text: z.string().optional(),
});
const encoder = z.union([
  z.string().min(1),
  z.strictObject({
    ...service,
    shape: z.enum(["openai", "tei", "ollama", "cohere", "voyage", "jina"]).optional(),
    batch: z.int().positive().optional(),
    shortens: z.boolean().optional(),
    dimensions: z.int().positive().optional(),
    prefixes: kinds.optional(),
    kinds: kinds.optional(),
    paid: z.boolean().optional(),
  }),
  live,
]);
const reranker = z.union([
  z.string().min(1),
  z.strictObject({
    ...service,
    shape: z.enum(["jina", "tei", "cohere", "voyage"]).optional(),
    batch: z.int().positive().optional(),
  }),
  live,
]);
/** What a config file may hold. */
export const configShape = z.strictObject({
  source: z.string().optional(),
  flow: z.string().optional(),
  model: model.optional(),
  models: z.record(z.string(), model).optional(),
  encoder: encoder.optional(),
  encoders: z.record(z.string(), encoder).optional(),
  rerankers: z.record(z.string(), reranker).optional(),
  stores: z.record(z.string(), opened).optional(),
  mcp: z.record(z.string(), mcpServer).optional(),
  prompts: z
    .record(
      z.string(),
      z.union([z.string().min(1), z.strictObject({ file: z.string().min(1), version: z.string().min(1).optional() })]),
    )
    .optional(),
  folders: z.record(z.string(), z.string()).optional(),
  flows: z
    .record(z.string(), z.union([z.string(), z.custom(isObject, "it is a flow, its document or a path of one")]))
    .optional(),
  operators: z
    .array(z.union([z.string(), z.custom(isOperator, "it is an operator, or the path of a module")]))
    .optional(),
  readers: z.array(z.string().min(1)).optional(),
  $schema: z.string().optional(),
});
