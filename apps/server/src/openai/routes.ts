import { Readable } from "node:stream";
import { type Encoder, type LanguageModel, TesseraError } from "@tessera/core";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { Registry } from "prom-client";
import { z } from "zod";
import { clientSignal } from "../client.js";
import { begin, chatWording, textWording } from "./completions.js";
import { type EmbeddingsBody, embed, embeddingsBody, embeddingsBytes, embeddingsJson } from "./embeddings.js";
import { fieldPath, sendError } from "./errors.js";
import { ModelMetrics } from "./metrics.js";
import {
  type ChatBody,
  type CompletionBody,
  chatBody,
  chatRequest,
  completionBody,
  completionRequest,
  fitting,
  read,
} from "./request.js";
import { type RerankBody, type Reranker, rerank, rerankBody } from "./rerank.js";
import type { Caller, ChatTarget, ExtraModels } from "./target.js";

export { encoderReranker, type Reranker } from "./rerank.js";
export type { Caller, ChatTarget, ExtraModels } from "./target.js";

/** A resource that can be seen as one caller's, whose work is then counted as his. */
type Shared<T> = T & { as?(caller: string): T };

export interface OpenAiServices {
  /** By the names that clients use. */
  readonly encoders?: Readonly<Record<string, Shared<Encoder>>> | undefined;
  readonly languageModels?: Readonly<Record<string, Shared<LanguageModel>>> | undefined;
  readonly rerankers?: Readonly<Record<string, Reranker>> | undefined;
  /** Flows as models. A model of this process goes before one of the same name. */
  readonly extraModels?: ExtraModels | undefined;
  /** Who makes a request; without it all are one caller. */
  callerOf?(request: FastifyRequest): Caller;
  /** Where metrics go; without it the routes have a registry of their own, and `GET /metrics`. */
  readonly registry?: Registry | undefined;
  /** The largest body, in bytes; 4 MiB by default. */
  readonly bodyBytes?: number | undefined;
  /** The most texts of one request; 2,048 by default, as OpenAI has it. */
  readonly inputs?: number | undefined;
  /** The longest answer that may be asked for, in tokens; 8,192 by default. */
  readonly answerTokens?: number | undefined;
}

const anyone: Caller = { key: "anyone" };
const modelName = z.object({ "*": z.string().min(1) });

/**
 * OpenAI's routes over models of this process, as a Fastify plugin: `/v1/models`, `/v1/embeddings` (with `exit`, `kind`,
 * and raw float32 where `Accept` is application/octet-stream), `/v1/chat/completions`, `/v1/completions`, and
 * `/v1/rerank` in Jina's shape. Errors have OpenAI's shape.
 */
export async function openaiRoutes(app: FastifyInstance, services: OpenAiServices): Promise<void> {
  const {
    encoders = {},
    languageModels = {},
    rerankers = {},
    extraModels,
    answerTokens = 8192,
    inputs = 2048,
  } = services;
  const callerOf = services.callerOf ?? (() => anyone);
  const registry = services.registry ?? new Registry();
  const metrics = new ModelMetrics(registry, { encoders, languageModels });
  const created = Math.floor(Date.now() / 1000);
  const bodyLimit = services.bodyBytes ?? 4 * 1024 * 1024;
  const described = (summary: string) => ({ scope: "run", errors: "OpenAiError", summary }) as const;

  app.setValidatorCompiler<z.ZodType>(({ schema }) => (sent) => {
    try {
      return { value: read(schema, sent) };
    } catch (error) {
      return { error: error as Error };
    }
  });
  app.removeContentTypeParser("text/plain");
  app.setErrorHandler((error, _, reply) => sendError(error, reply));
  app.setNotFoundHandler((request, reply) =>
    sendError(new TesseraError("NOT_FOUND", `there is no ${request.method} ${request.url.split("?")[0]}`), reply),
  );
  app.addHook("onResponse", async (request, reply) => {
    metrics.answered(request.routeOptions.url ?? "unknown", reply.statusCode, reply.elapsedTime);
  });

  const named = <T>(of: Readonly<Record<string, T>>, name: string): T => {
    if (Object.hasOwn(of, name)) return of[name]!;
    throw new TesseraError("UNKNOWN_RESOURCE", `the model "${name}" does not exist here`, {
      path: fieldPath("model"),
      hint: `models for this: ${Object.keys(of).join(", ") || "none"}`,
    });
  };
  const asCaller = <T extends object>(service: Shared<T>, { key }: Caller): T => service.as?.(key) ?? service;

  async function targetOf(name: string, caller: Caller): Promise<ChatTarget> {
    if (!Object.hasOwn(languageModels, name)) {
      const extra = await extraModels?.open(name, caller);
      if (extra) return extra;
    }
    const model = named(languageModels, name);
    return {
      ownedBy: "tessera",
      revision: model.revision,
      capabilities: model.capabilities,
      answer: ({ question: _, given: __, ...request }, ___, signal) =>
        asCaller<LanguageModel>(model, caller).generate(request, signal),
    };
  }

  app.get("/v1/models", { config: described("the models, and the flows that answer chats") }, async (request) => {
    const local = [...new Set([encoders, languageModels, rerankers].flatMap(Object.keys))];
    const extra = (await extraModels?.list(callerOf(request))) ?? [];
    const models = [
      ...local.map((name) => ({ name, ownedBy: "tessera" })),
      ...extra.filter(({ name }) => !local.includes(name)),
    ];
    return { object: "list", data: models.map(({ name, ownedBy }) => modelObject(name, ownedBy)) };
  });
  const modelObject = (id: string, ownedBy: string) => ({ id, object: "model", created, owned_by: ownedBy });

  app.get<{ Params: z.infer<typeof modelName> }>(
    "/v1/models/*",
    { schema: { params: modelName }, config: described("a model") },
    async (request) => {
      const name = request.params["*"];
      if ([encoders, languageModels, rerankers].some((of) => Object.hasOwn(of, name)))
        return modelObject(name, "tessera");
      return modelObject(name, (await targetOf(name, callerOf(request))).ownedBy);
    },
  );

  app.post<{ Body: EmbeddingsBody }>(
    "/v1/embeddings",
    { bodyLimit, schema: { body: embeddingsBody(inputs) }, config: described("the vectors of texts") },
    async (request, reply) => {
      const { body, headers } = request;
      const encoder = asCaller<Encoder>(named(encoders, body.model), callerOf(request));
      const vectors = await embed(encoder, body, clientSignal(request, reply));
      if (headers.accept?.includes("application/octet-stream"))
        return reply
          .type("application/octet-stream")
          .header("x-tessera-shape", `${vectors.length},${vectors[0]!.length}`)
          .send(embeddingsBytes(vectors));
      return reply.type("application/json; charset=utf-8").send(await embeddingsJson(vectors, body));
    },
  );

  app.post<{ Body: RerankBody }>(
    "/v1/rerank",
    { bodyLimit, schema: { body: rerankBody(inputs) }, config: described("documents by their worth for a query") },
    async (request, reply) => {
      const { body } = request;
      return rerank(asCaller(named(rerankers, body.model), callerOf(request)), body, clientSignal(request, reply));
    },
  );

  for (const [url, schema, summary, wording, requestOf] of [
    ["/v1/chat/completions", chatBody, "an answer to messages, whole or as a stream", chatWording, chatRequest],
    ["/v1/completions", completionBody, "how a text goes on, whole or as a stream", textWording, completionRequest],
  ] as const)
    app.post<{ Body: ChatBody | CompletionBody }>(
      url,
      { bodyLimit, schema: { body: schema }, config: described(summary) },
      async (request, reply) => {
        const { body } = request;
        const caller = callerOf(request);
        const target = await targetOf(body.model, caller);
        const wanted = fitting(
          (requestOf as (body: unknown, most: number) => ReturnType<typeof requestOf>)(body, answerTokens),
          body.model,
          target.capabilities,
        );
        const answer = await begin(target, body.model, wanted, wording, caller, clientSignal(request, reply));
        metrics.began(url, reply.elapsedTime);
        if (!body.stream) return answer.whole();
        return reply
          .type("text/event-stream; charset=utf-8")
          .header("cache-control", "no-cache")
          .header("x-accel-buffering", "no")
          .send(Readable.from(answer.events(body.stream_options?.include_usage === true)));
      },
    );

  if (!services.registry)
    app.get("/metrics", async (_, reply) => reply.type(registry.contentType).send(await registry.metrics()));
}
