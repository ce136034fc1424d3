import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Scope } from "./keys.js";
import { openAiErrorBody } from "./openai/errors.js";

declare module "fastify" {
  interface FastifyContextConfig {
    /** What a key needs; "none": any key; "open": no key. */
    scope?: Scope | "none" | "open";
    /** Asked by whoever looks after the service: not limited. */
    probe?: boolean;
    summary?: string;
    /** What its body is where it is no JSON: the bytes of a file, or a form with files. */
    media?: keyof typeof media;
    /** The shape of its errors; "Error" by default. */
    errors?: "Error" | "OpenAiError";
  }
}

const binary = { type: "string", format: "binary" } as const;
const media = {
  "application/octet-stream": binary,
  "multipart/form-data": { type: "object", additionalProperties: { type: "array", items: binary } },
} as const;

const parts = { params: "path", querystring: "query", headers: "header" } as const;

const jsonSchema = (schema: z.ZodType) => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", cycles: "throw" });
  return rest;
};

const errorBody = z.object({
  code: z.string(),
  message: z.string(),
  path: z.string().optional(),
  hint: z.string().optional(),
  findings: z.array(z.record(z.string(), z.any())).optional(),
});

/** Collects every route that says what it is, and describes them as OpenAPI 3.1. */
export function collectRoutes(server: FastifyInstance): () => object {
  const paths: Record<string, Record<string, object>> = {};
  server.addHook("onRoute", ({ url, method, schema, config }) => {
    if (!config?.summary || typeof method !== "string" || method === "HEAD") return;
    const rest = url.includes(":name") ? "path" : "name";
    const zods = (schema ?? {}) as Record<string, z.ZodObject | undefined>;
    const parameters = Object.entries(parts).flatMap(([part, where]) =>
      Object.entries(zods[part]?.shape ?? {}).map(([name, type]) => ({
        name: name === "*" ? rest : name,
        in: where,
        required: where === "path" || !(type as z.ZodType).safeParse(undefined).success,
        schema: jsonSchema(type as z.ZodType),
      })),
    );
    const body = zods.body;
    const path = url.replace(/:(\w+)/g, "{$1}").replace("*", `{${rest}}`);
    paths[path] ??= {};
    paths[path][method.toLowerCase()] = {
      summary: config.summary,
      ...(config.scope && config.scope !== "none" && config.scope !== "open" && { "x-scope": config.scope }),
      security: config.scope === "open" ? [] : [{ key: [] }],
      ...(parameters.length > 0 && { parameters }),
      ...(body && {
        requestBody: {
          required: !body.safeParse({}).success,
          content: { "application/json": { schema: jsonSchema(body) } },
        },
      }),
      ...(config.media && {
        requestBody: { required: true, content: { [config.media]: { schema: media[config.media] } } },
      }),
      responses: {
        "2XX": { description: "done" },
        "4XX": {
          description: "what the caller can mend",
          content: { "application/json": { schema: { $ref: `#/components/schemas/${config.errors ?? "Error"}` } } },
        },
      },
    };
  });
  return () => ({
    openapi: "3.1.0",
    info: { title: "Tessera", version: "0.1.0", description: "Flows as JSON, as streams, as models and as tools." },
    paths,
    components: {
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
      schemas: { Error: jsonSchema(errorBody), OpenAiError: jsonSchema(openAiErrorBody) },
    },
  });
}
