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
type SharedModel<T> = T & { as?(caller: string): T };

export interface OpenAiServices {
  /** By the names that clients use. */
  readonly encoders?: Readonly<Record<string, SharedModel<Encoder>>> | undefined;
  readonly languageModels?: Readonly<Record<string, SharedModel<LanguageModel>>> | undefined;
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
const described = (summary: string) => ({ scope: "run", errors: "OpenAiError", summary }) as const;

/** What the routes share. */
interface Shared {
  readonly models: Models;
  readonly metrics: ModelMetrics;
  readonly bodyLimit: number;
  readonly inputs: number;
  readonly answerTokens: number;
  callerOf(request: FastifyRequest): Caller;
}

/**
 * OpenAI's routes over models of this process, as a Fastify plugin: `/v1/models`, `/v1/embeddings` (with `exit`, `kind`,
 * and raw float32 where `Accept` is application/octet-stream), `/v1/chat/completions`, `/v1/completions`, and
 * `/v1/rerank` in Jina's shape. Errors have OpenAI's shape.
 */
export async function openaiRoutes(app: FastifyInstance, services: OpenAiServices): Promise<void> {
  const registry = services.registry ?? new Registry();
  const models = new Models(services);
  const shared: Shared = {
    models,
    metrics: new ModelMetrics(registry, models),
    bodyLimit: services.bodyBytes ?? 4 * 1024 * 1024,
    inputs: services.inputs ?? 2048,
    answerTokens: services.answerTokens ?? 8192,
    callerOf: services.callerOf ?? (() => anyone),
  };
  shapeOf(app, shared.metrics);
  modelRoutes(app, shared);
  embeddingRoute(app, shared);
  rerankRoute(app, shared);
  completionRoutes(app, shared);
  if (!services.registry)
    app.get("/metrics", async (_, reply) => reply.type(registry.contentType).send(await registry.metrics()));
}

/** The models of a service, by the names that clients use. */
class Models {
  readonly encoders: Readonly<Record<string, SharedModel<Encoder>>>;
  readonly languageModels: Readonly<Record<string, SharedModel<LanguageModel>>>;
  readonly rerankers: Readonly<Record<string, Reranker>>;
  private readonly extraModels: ExtraModels | undefined;
  private readonly created = Math.floor(Date.now() / 1000);

  constructor({ encoders = {}, languageModels = {}, rerankers = {}, extraModels }: OpenAiServices) {
    this.encoders = encoders;
    this.languageModels = languageModels;
    this.rerankers = rerankers;
    this.extraModels = extraModels;
  }

  /** @throws TesseraError UNKNOWN_RESOURCE */
  encoder(name: string, caller: Caller): Encoder {
    return asCaller<Encoder>(named(this.encoders, name), caller);
  }

  /** @throws TesseraError UNKNOWN_RESOURCE */
  reranker(name: string, caller: Caller): Reranker {
    return asCaller(named(this.rerankers, name), caller);
  }

  /** Who answers chats under a name: a model of this process, or a flow. @throws TesseraError UNKNOWN_RESOURCE */
  async target(name: string, caller: Caller): Promise<ChatTarget> {
    if (!Object.hasOwn(this.languageModels, name)) {
      const extra = await this.extraModels?.open(name, caller);
      if (extra) return extra;
    }
    const model = named(this.languageModels, name);
    return {
      ownedBy: "tessera",
      revision: model.revision,
      capabilities: model.capabilities,
      answer: ({ question: _, given: __, ...request }, ___, signal) =>
        asCaller<LanguageModel>(model, caller).generate(request, signal),
    };
  }

  private get local() {
    return [this.encoders, this.languageModels, this.rerankers];
  }

  async list(caller: Caller) {
    const local = [...new Set(this.local.flatMap(Object.keys))];
    const extra = (await this.extraModels?.list(caller)) ?? [];
    const models = [
      ...local.map((name) => ({ name, ownedBy: "tessera" })),
      ...extra.filter(({ name }) => !local.includes(name)),
    ];
    return { object: "list", data: models.map(({ name, ownedBy }) => this.object(name, ownedBy)) };
  }

  /** @throws TesseraError UNKNOWN_RESOURCE */
  async one(name: string, caller: Caller) {
    if (this.local.some((of) => Object.hasOwn(of, name))) return this.object(name, "tessera");
    return this.object(name, (await this.target(name, caller)).ownedBy);
  }

  private object(id: string, ownedBy: string) {
    return { id, object: "model", created: this.created, owned_by: ownedBy };
  }
}

/** @throws TesseraError UNKNOWN_RESOURCE */
function named<T>(of: Readonly<Record<string, T>>, name: string): T {
  if (Object.hasOwn(of, name)) return of[name]!;
  throw new TesseraError("UNKNOWN_RESOURCE", `the model "${name}" does not exist here`, {
    path: fieldPath("model"),
    hint: `models for this: ${Object.keys(of).join(", ") || "none"}`,
  });
}

const asCaller = <T extends object>(service: SharedModel<T>, { key }: Caller): T => service.as?.(key) ?? service;

/** Requests are read, and errors told, in OpenAI's shape. */
function shapeOf(app: FastifyInstance, metrics: ModelMetrics): void {
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
}

function modelRoutes(app: FastifyInstance, { models, callerOf }: Shared): void {
  app.get("/v1/models", { config: described("the models, and the flows that answer chats") }, async (request) =>
    models.list(callerOf(request)),
  );
  app.get<{ Params: z.infer<typeof modelName> }>(
    "/v1/models/*",
    { schema: { params: modelName }, config: described("a model") },
    async (request) => models.one(request.params["*"], callerOf(request)),
  );
}

function embeddingRoute(app: FastifyInstance, { models, callerOf, bodyLimit, inputs }: Shared): void {
  app.post<{ Body: EmbeddingsBody }>(
    "/v1/embeddings",
    { bodyLimit, schema: { body: embeddingsBody(inputs) }, config: described("the vectors of texts") },
    async (request, reply) => {
      const { body, headers } = request;
      const encoder = models.encoder(body.model, callerOf(request));
      const vectors = await embed(encoder, body, clientSignal(request, reply));
      if (headers.accept?.includes("application/octet-stream"))
        return reply
          .type("application/octet-stream")
          .header("x-tessera-shape", `${vectors.length},${vectors[0]!.length}`)
          .send(embeddingsBytes(vectors));
      return reply.type("application/json; charset=utf-8").send(await embeddingsJson(vectors, body));
    },
  );
}

function rerankRoute(app: FastifyInstance, { models, callerOf, bodyLimit, inputs }: Shared): void {
  app.post<{ Body: RerankBody }>(
    "/v1/rerank",
    { bodyLimit, schema: { body: rerankBody(inputs) }, config: described("documents by their worth for a query") },
    async (request, reply) => {
      const { body } = request;
      return rerank(models.reranker(body.model, callerOf(request)), body, clientSignal(request, reply));
    },
  );
}

function completionRoutes(app: FastifyInstance, { models, metrics, callerOf, bodyLimit, answerTokens }: Shared): void {
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
        const target = await models.target(body.model, caller);
        const wanted = fitting(
          (requestOf as (body: unknown, most: number) => ReturnType<typeof requestOf>)(body, answerTokens),
          body.model,
          target.capabilities,
        );
        const answer = await begin(target, {
          model: body.model,
          request: wanted,
          wording,
          caller,
          signal: clientSignal(request, reply),
        });
        metrics.began(url, reply.elapsedTime);
        if (!body.stream) return answer.whole();
        return reply
          .type("text/event-stream; charset=utf-8")
          .header("cache-control", "no-cache")
          .header("x-accel-buffering", "no")
          .send(Readable.from(answer.events(body.stream_options?.include_usage === true)));
      },
    );
}
