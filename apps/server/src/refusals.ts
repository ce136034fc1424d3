// internal
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type ErrorCode, TesseraError } from "@tessera/core";
import { errorBody } from "@tessera/core/internal";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { sendError } from "./errors.js";
import { sendError as sendOpenAiError } from "./openai/errors.js";

// What Node and Fastify refuse before a route sees it: it has the shape and the codes of every other error.

/** Answers with an error in the shape of the address: OpenAI's under /v1, ours elsewhere. */
export const sendShaped = (thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply =>
  /^\/v1(\/|\?|$)/.test(request.url) ? sendOpenAiError(thrown, reply) : sendError(thrown, request, reply);

/** Which methods an address takes, by every route that is declared after this call. */
export function methodsByAddress(server: FastifyInstance): (url: string) => readonly string[] {
  const routes = new Map<string, { readonly matches: RegExp; readonly methods: Set<string> }>();
  server.addHook("onRoute", ({ url, method }) => {
    const pattern = url.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/:\w+/g, "[^/]+");
    const route = routes.get(url) ?? { matches: new RegExp(`^${pattern.replace("*", ".+")}$`), methods: new Set() };
    for (const one of [method].flat()) route.methods.add(one);
    routes.set(url, route);
  });
  return (url) => {
    const [path = ""] = url.split("?");
    const found = [...routes.values()].filter(({ matches }) => matches.test(path));
    return [...new Set(found.flatMap(({ methods }) => [...methods]))].sort();
  };
}

/** Why the head or the body of a request could not be read to its end. */
const unreadable: Readonly<Record<string, { status: number; reason: string; code: ErrorCode; message: string }>> = {
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    reason: "Request Timeout",
    code: "REQUEST_TIMEOUT",
    message: "the request did not arrive in time",
  },
  HPE_HEADER_OVERFLOW: {
    status: 431,
    reason: "Request Header Fields Too Large",
    code: "REQUEST_TOO_LARGE",
    message: "the head of the request is too long",
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    reason: "Payload Too Large",
    code: "REQUEST_TOO_LARGE",
    message: "the body of the request is too long",
  },
};
const noHttp = {
  status: 400,
  reason: "Bad Request",
  code: "BAD_ARGUMENT",
  message: "this is no HTTP request",
} as const;

/** Refuses what cannot be read on a connection, and ends it. */
function refuseConnection(
  answer: ServerResponse | undefined,
  { code = "" }: NodeJS.ErrnoException,
  socket: Socket,
): void {
  const isAnswering = answer?.headersSent === true && !answer.writableFinished;
  // in the middle of another answer a refusal would be taken for a part of it
  if (socket.writable && code !== "ECONNRESET" && !isAnswering) {
    const { status, reason, ...error } = unreadable[code] ?? noHttp;
    const body = JSON.stringify(errorBody(new TesseraError(error.code, error.message)));
    socket.write(
      `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json; charset=utf-8\r\n` +
        `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
}

/** A refusal by Fastify's router, in our words and shape. */
function refuseAddress(
  { statusCode = 400 }: { statusCode?: number },
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const message = statusCode === 414 ? "the address is too long" : "the address is malformed";
  sendShaped(Object.assign(new Error(message), { statusCode }), request, reply);
}

/** How often connections are looked at, in milliseconds: a slow request ends so much later than its time. */
const lookEvery = 1000;

/**
 * Limits requests before a route sees them, and refuses in our shape what Node and Fastify would refuse in theirs. Gives
 * the options of Fastify for it, and what is to be done with the server that is made with them.
 * @param requestTimeout How long a whole request may take to arrive, in milliseconds; its head has 10,000 at most.
 */
export function requestLimits(requestTimeout: number) {
  const answers = new WeakMap<object, ServerResponse>();
  const options = {
    requestTimeout,
    http: {
      // Node exchanges the two where the time for the head is the longer one, and then bodies may take that long
      headersTimeout: Math.min(10_000, requestTimeout),
      // Node looks every 30 seconds by default, and then a head that may take 10 seconds takes up to 40
      connectionsCheckingInterval: Math.max(1, Math.min(lookEvery, Math.floor(requestTimeout / 4))),
      // Node would answer with an empty body
      requireHostHeader: false,
    },
    frameworkErrors: refuseAddress,
    clientErrorHandler: (error: NodeJS.ErrnoException, socket: Socket) =>
      refuseConnection(answers.get(socket), error, socket),
  };
  const apply = (server: FastifyInstance): void => {
    server.server.on("request", ({ socket }, answer) => void answers.set(socket, answer));
    server.server.on("checkExpectation", (_, answer) => {
      const error = new TesseraError("BAD_ARGUMENT", "the only expectation that is met is 100-continue");
      const body = JSON.stringify(errorBody(error));
      const head = { "content-type": "application/json; charset=utf-8", "content-length": Buffer.byteLength(body) };
      answer.writeHead(417, head).end(body);
    });
    server.addHook("onRequest", ({ raw: { httpVersion, headers } }, _, done) => {
      if (httpVersion !== "1.1" || headers.host !== undefined) return done();
      done(new TesseraError("BAD_ARGUMENT", "the request names no host", { hint: "send the header `Host`" }));
    });
  };
  return { options, apply };
}
