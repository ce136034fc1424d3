import { TesseraError } from "@tessera/core";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Key, KeyRing } from "./keys.js";
import type { Meter } from "./meter.js";
import { methodsByAddress, sendShaped } from "./refusals.js";

declare module "fastify" {
  interface FastifyRequest {
    /** Who asks; there is one on every route that is not open. */
    key: Key;
  }
}

/** Lets nothing pass without a key of the scope that the route asks for; only routes that say "open" are. */
export function closedByDefault(server: FastifyInstance, keys: KeyRing, meter: Meter): void {
  server.decorateRequest("key", null as unknown as Key);
  const check = async (request: FastifyRequest): Promise<void> => {
    // what says nothing about itself is for those who run things; an address that is none is told from none
    const { scope = request.is404 ? "none" : "run" } = request.routeOptions.config ?? {};
    if (scope === "open") return;
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    const key = token === undefined ? undefined : await keys.verify(token);
    if (!key)
      throw new TesseraError("UNAUTHENTICATED", "this address needs a key", {
        hint: "send `Authorization: Bearer tsr_…`; `tessera keys create` makes one",
      });
    meter.request(key);
    if (scope !== "none" && !key.scopes.includes(scope))
      throw new TesseraError("FORBIDDEN", `the key lacks the scope "${scope}"`, {
        hint: "tessera keys create --scope",
      });
    request.key = key;
  };
  const methodsAt = methodsByAddress(server);
  server.addHook("onRequest", async (request, reply) => {
    if (request.method === "OPTIONS" && request.headers["access-control-request-method"]) return;
    try {
      await check(request);
      if (request.is404) {
        const allowed = methodsAt(request.url);
        if (allowed.length === 0) throw new TesseraError("NOT_FOUND", `there is no ${request.method} at this address`);
        reply.header("allow", allowed.join(", "));
        throw new TesseraError("METHOD_NOT_ALLOWED", `this address takes ${allowed.join(", ")}, not ${request.method}`);
      }
    } catch (thrown) {
      // an address that is none belongs to no plugin, whose error handler would know its shape
      if (request.is404) return sendShaped(thrown, request, reply);
      throw thrown;
    }
  });
}
