import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import cors from "@fastify/cors";
import type { Records, Resource } from "@tessera/core";
import { KeyedQueue, Slots, warn } from "@tessera/core/internal";
import type { Runs } from "@tessera/graph/internal";

import type { Checks, Readers } from "@tessera/tessera/internal";
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  LogController,
} from "fastify";
import { closedByDefault } from "./access.js";
import { limitBodies } from "./bodies.js";
import { catalogueRoutes } from "./catalogue-routes.js";
import { Client } from "./client.js";
import { type AnyTessera, EmbeddedRuns } from "./embedded-runs.js";
import { sendError } from "./errors.js";
import { flowModels } from "./flow-models.js";
import { flowRoutes } from "./flow-routes.js";
import { forkRoutes } from "./fork-routes.js";
import { healthRoutes } from "./health.js";
import { indexRoutes } from "./index-routes.js";
import type { Indexes } from "./indexes.js";
import type { KeyRing } from "./keys.js";
import type { Library } from "./library.js";
import { mcpRoute } from "./mcp.js";
import { Meter } from "./meter.js";
import { metrics } from "./metrics.js";
import { type OpenAiServices, openaiRoutes } from "./openai/routes.js";
import { collectRoutes } from "./openapi.js";
import { LocalOwners, type Owners } from "./owners.js";
import { requestLimits } from "./refusals.js";
import { Revocations } from "./revocations.js";
import { runRoutes } from "./run-routes.js";
import { type StudioOptions, studioRoutes } from "./studio/routes.js";
import { UnauthenticatedLimits, type UnauthenticatedSettings } from "./unauthenticated.js";
import { tooDeep, validated } from "./validate.js";

export interface ServerOptions {
  readonly tessera: AnyTessera;
  readonly library: Library;
  readonly keys: KeyRing;
  /** Where runs are executed and kept; by default in the memory of this process. */
  readonly runs?: Runs;
  /** The records that `tessera` was made with. */
  readonly records?: Records | undefined;
  readonly indexes?: Indexes | undefined;
  /** What reads the files that clients send to indexes; the built-in readers by default. They stay the caller's. */
  readonly readers?: Readers | undefined;
  /** The owners of flows and indexes; by default in memory. */
  readonly owners?: Owners | undefined;
  /** The models of this process that the OpenAI routes serve beside the flows. */
  readonly models?: Pick<OpenAiServices, "encoders" | "languageModels" | "rerankers">;
  readonly meter?: Meter;
  /** Checks of what the service needs besides the resources of its flows. `/readyz` runs them. */
  readonly checks?: Checks | undefined;
  /** The largest body of a request, in bytes; 4 MiB by default. */
  readonly bodyLimit?: number;
  /**
   * The most bytes that the bodies of all requests under way may have together; 256 MiB by default. Requests beyond
   * that are refused with OVERLOADED.
   */
  readonly bodiesLimit?: number;
  /**
   * How long a request may take to arrive, in milliseconds; 30,000 by default. Its head may take 10,000. A slower
   * request is refused with 408, at most a second later.
   */
  readonly requestTimeout?: number;
  /**
   * How long a client may leave data unread, in milliseconds; 30,000 by default. A stream without events may last
   * longer.
   */
  readonly stallTimeout?: number;
  /**
   * How long runs may still take when the service closes, in milliseconds; 10,000 by default. Runs that take longer can
   * be resumed.
   */
  readonly closeWithin?: number;
  /** The origins whose web pages may call the service; by default none. */
  readonly origins?: readonly string[];
  /** Limits of requests without a valid key, by the address that they come from. */
  readonly unauthenticated?: UnauthenticatedSettings | undefined;
  /**
   * The addresses of proxies, or networks such as "10.0.0.0/8", whose `X-Forwarded-For` is trusted. Without them the
   * header is ignored, because every client can send it.
   */
  readonly trustProxy?: readonly string[] | undefined;
  /** The studio: a page for the browser. By default there is none. */
  readonly studio?: StudioOptions | undefined;
  readonly logger?: FastifyServerOptions["logger"];
}

declare module "fastify" {
  interface FastifyRequest {
    /** Its place among the answers under way; negative where it has none. */
    slot: number;
  }
}

/** What routes share. */
export interface Service {
  readonly tessera: AnyTessera;
  readonly library: Library;
  readonly runs: Runs;
  readonly meter: Meter;
  /** By run: each run is started and resumed by one request at a time. */
  readonly starts: KeyedQueue;
  readonly owners: Owners;
  readonly indexes: Indexes | undefined;
  readonly revocations: Revocations;
  readonly readers: Readers | undefined;
  /** Where runs and threads are kept. */
  readonly records: Records | undefined;
}

/**
 * The HTTP service of a framework object. When it closes, it closes what it was given: first the runs, then the
 * resources.
 */
export function createServer(options: ServerOptions): FastifyInstance {
  const { tessera, library, keys, meter = new Meter(), owners = new LocalOwners(), requestTimeout = 30_000 } = options;
  const runs: Runs = options.runs ?? new EmbeddedRuns(tessera, options.records);
  const limits = requestLimits(requestTimeout);
  const server = Fastify({
    bodyLimit: options.bodyLimit ?? 4 << 20,
    trustProxy: options.trustProxy === undefined ? false : [...options.trustProxy],
    ...limits.options,
    connectionTimeout: 0,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 200 },
    logger: options.logger ?? false,
    // an address may hold what was typed into it by mistake
    logController: new LogController({ disableRequestLogging: true }),
    return503OnClosing: true,
  });
  server.setValidatorCompiler(validated);
  server.addHook("preValidation", ({ body }, _, done) => done(tooDeep(body)));
  server.setErrorHandler(sendError);
  limits.apply(server);
  const answering = answersOf(server, options.stallTimeout ?? 30_000);
  limitBodies(server, { each: options.bodyLimit ?? 4 << 20, all: options.bodiesLimit ?? 256 << 20 });
  const describe = collectRoutes(server);
  const measured = metrics(server);
  const revocations = new Revocations(keys, (id, reason) => {
    for (const reply of answering) if (reply.request.key?.id === id) Client.end(reply.request, reply, reason);
    runs.cancelOf?.(id).catch((thrown) => warn("the runs of a revoked key could not be cancelled", thrown));
  });
  server.addHook("onClose", async () => revocations.close());
  closedByDefault(server, { keys, meter, unauthenticated: new UnauthenticatedLimits(options.unauthenticated) });
  if (options.origins?.length) void server.register(cors, { origin: [...options.origins] });

  const { indexes, readers, records } = options;
  const shared = { tessera, library, runs, meter, revocations, owners, indexes, readers, records };
  const service: Service = { ...shared, starts: new KeyedQueue() };
  healthRoutes(server, tessera, { ...checksOf(options.models), ...options.checks });
  server.get("/metrics", { config: { scope: "operate", summary: "figures for Prometheus" } }, async (_, reply) => {
    reply.type(measured.contentType);
    return measured.metrics();
  });
  server.get("/openapi.json", { config: { scope: "open", summary: "this description" } }, () => describe());
  catalogueRoutes(server, service, tessera);
  studioRoutes(server, options.studio, service, tessera);
  flowRoutes(server, service);
  runRoutes(server, service, records);
  if (records) forkRoutes(server, service);
  if (indexes) indexRoutes(server, service, indexes);
  mcpRoute(server, service);
  void server.register(openaiRoutes, {
    ...options.models,
    extraModels: flowModels(service, (id) => keys.find(id)),
    callerOf: ({ key: { id, principal } }) => ({ key: id, principal }),
    registry: measured,
    bodyBytes: options.bodyLimit,
  });

  server.addHook("preClose", async () => {
    await runs.close(options.closeWithin ?? 10_000);
    for (let waited = 0; answering.size > 0 && waited < 1000; waited += 10) await sleep(10);
  });
  server.addHook("onClose", async () => indexes?.close());
  return server;
}

/**
 * The answers under way, which go out before connections are cut. What waits for a client that reads nothing would be held
 * as long as the client likes: it is cut off once it has not taken anything for `stall` milliseconds.
 */
function answersOf(server: FastifyInstance, stall: number): Slots<FastifyReply> {
  const answering = new Slots<FastifyReply>();
  server.decorateRequest("slot", -1);
  // hooks that return promises would cost a request more than what they do
  server.addHook("onRequest", (request, reply, done) => {
    request.slot = answering.add(reply);
    done();
  });
  const answered = (request: FastifyRequest, done: () => void) => {
    if (request.slot >= 0) answering.remove(request.slot);
    request.slot = -1;
    done();
  };
  server.addHook("onResponse", (request, _, done) => answered(request, done));
  server.addHook("onRequestAbort", answered);
  // one timer for all: one for each would cost a request as much as its check
  const seen = new WeakMap<ServerResponse, { readonly taken: number; readonly at: number }>();
  const look = () => {
    const now = performance.now();
    for (const { raw } of answering) {
      const { socket } = raw;
      if (raw.writableLength === 0 || !socket) {
        seen.delete(raw);
        continue;
      }
      const taken = socket.bytesWritten - socket.writableLength;
      const before = seen.get(raw);
      if (before?.taken !== taken) seen.set(raw, { taken, at: now });
      else if (now - before.at >= stall) raw.destroy();
    }
  };
  const timer = setInterval(look, Math.max(1, Math.min(1000, stall / 4)));
  timer.unref();
  server.addHook("onClose", async () => clearInterval(timer));
  return answering;
}

/** The models that clients call by name. */
const checksOf = ({ encoders, languageModels }: NonNullable<ServerOptions["models"]> = {}): Checks =>
  Object.fromEntries(
    Object.entries<Resource>({ ...encoders, ...languageModels }).map(([name, model]) => [
      `model/${name}`,
      async (signal) => model.check?.(signal),
    ]),
  );
