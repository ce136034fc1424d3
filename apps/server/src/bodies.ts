// internal
import { TesseraError } from "@tessera/core";
import type { FastifyInstance, FastifyRequest } from "fastify";

declare module "fastify" {
  interface FastifyRequest {
    /** What its body counts among those under way. */
    bodyBytes: number;
  }
}

interface BodyLimits {
  /** The largest body, in bytes. */
  readonly each: number;
  /** The most bytes of bodies that requests under way may hold together. */
  readonly all: number;
}

/** Bytes of the body that a request announces; one that does not say may be as large as any. */
function announced({ headers, routeOptions }: FastifyRequest, limits: BodyLimits): number {
  const each = routeOptions.bodyLimit ?? limits.each;
  const length = headers["content-length"];
  if (length === undefined) return headers["transfer-encoding"] === undefined ? 0 : each;
  const bytes = Number(length);
  return bytes <= each ? bytes : 0; // a larger one is refused before it is read
}

/** Refuses a request with OVERLOADED where the bodies of those under way would be too much; one alone never is. */
export function limitBodies(server: FastifyInstance, limits: BodyLimits): void {
  server.decorateRequest("bodyBytes", 0);
  let sum = 0;
  const release = (request: FastifyRequest, done: () => void): void => {
    sum -= request.bodyBytes;
    request.bodyBytes = 0;
    done();
  };
  server.addHook("onRequest", (request, _, done) => {
    const bytes = announced(request, limits);
    if (bytes === 0) return done();
    if (sum > 0 && sum + bytes > limits.all)
      return done(
        new TesseraError("OVERLOADED", "the bodies of the requests under way are as large as is permitted", {
          retryAfterMs: 1000,
        }),
      );
    sum += bytes;
    request.bodyBytes = bytes;
    done();
  });
  server.addHook("onResponse", (request, _, done) => release(request, done));
  server.addHook("onRequestAbort", release);
}
