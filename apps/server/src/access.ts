import { TesseraError } from "@tessera/core";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Key, KeyRing, Scope } from "./keys.js";
import type { Meter } from "./meter.js";
import { methodsByAddress, sendShaped } from "./refusals.js";
import type { UnauthenticatedLimits } from "./unauthenticated.js";

declare module "fastify" {
  interface FastifyRequest {
    /** The key of the request; every route that is not open has one. */
    key: Key;
  }
}

interface Gate {
  readonly keys: KeyRing;
  readonly meter: Meter;
  readonly unauthenticated: UnauthenticatedLimits;
}

/** Refuses every request without a key of the scope that its route needs. Only routes marked "open" need no key. */
export function closedByDefault(server: FastifyInstance, { keys, meter, unauthenticated }: Gate): void {
  server.decorateRequest("key", null as unknown as Key);
  // of each connection what it said last, so that a token that is known is not hashed for each request
  const said = new WeakMap<object, { readonly header: string; readonly token: string }>();
  const tokenOf = ({ headers: { authorization }, raw: { socket } }: FastifyRequest): string | undefined => {
    if (authorization === undefined) return undefined;
    const before = said.get(socket);
    if (before?.header === authorization) return before.token;
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (token !== undefined) said.set(socket, { header: authorization, token });
    return token;
  };
  const admit = (request: FastifyRequest, key: Key | undefined, scope: Scope | "none"): void => {
    if (!key) {
      unauthenticated.request(request.ip);
      throw new TesseraError("UNAUTHENTICATED", "this address needs a key", {
        hint: "send `Authorization: Bearer tsr_…`; `tessera keys create` makes one",
      });
    }
    meter.request(key);
    if (scope !== "none" && !key.scopes.includes(scope))
      throw new TesseraError("FORBIDDEN", `the key lacks the scope "${scope}"`, {
        hint: "tessera keys create --scope",
      });
    request.key = key;
  };
  /** Nothing where it is admitted already: a promise costs as much as the rest of it. */
  const check = (request: FastifyRequest): Promise<void> | undefined => {
    // what says nothing about itself is for those who run things; an address that is none is told from none
    const { scope = request.is404 ? "none" : "run", probe } = request.routeOptions.config ?? {};
    if (scope === "open") {
      // those who look after the service may ask how it is whatever others do
      if (!probe) unauthenticated.request(request.ip);
      return undefined;
    }
    const token = tokenOf(request);
    const known = token === undefined ? undefined : keys.known(token, request.raw.socket);
    if (token === undefined || known) return void admit(request, known, scope);
    return keys.verify(token).then((key) => admit(request, key, scope));
  };
  const methodsAt = methodsByAddress(server);
  const refuseStrange = (request: FastifyRequest, reply: FastifyReply): void => {
    if (!request.is404) return;
    const allowed = methodsAt(request.url);
    if (allowed.length === 0) throw new TesseraError("NOT_FOUND", `there is no ${request.method} at this address`);
    reply.header("allow", allowed.join(", "));
    throw new TesseraError("METHOD_NOT_ALLOWED", `this address takes ${allowed.join(", ")}, not ${request.method}`);
  };
  server.addHook("onRequest", (request, reply, done) => {
    if (request.method === "OPTIONS" && request.headers["access-control-request-method"]) return done();
    const refuse = (thrown: unknown): void => {
      // an address that is none belongs to no plugin, whose error handler would know its shape
      if (request.is404) sendShaped(thrown, request, reply);
      else done(thrown as Error);
    };
    const admitted = () => {
      try {
        refuseStrange(request, reply);
      } catch (thrown) {
        return refuse(thrown);
      }
      done();
    };
    let checking: Promise<void> | undefined;
    try {
      checking = check(request);
    } catch (thrown) {
      return refuse(thrown);
    }
    if (checking) checking.then(admitted, refuse);
    else admitted();
  });
}
