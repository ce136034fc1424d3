import { type ErrorCode, errorCodes, TesseraError } from "@tessera/core";
import { errorBody, logLine } from "@tessera/core/internal";
import type { FastifyReply, FastifyRequest } from "fastify";

const failures: Partial<Record<ErrorCode, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  INDEX_MISSING: 404,
  RECORD_MISSING: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  ABORTED: 409,
  CONFLICT: 409,
  INDEX_LOCKED: 409,
  REQUEST_TOO_LARGE: 413,
  DOCUMENT_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA: 415,
  OVERLOADED: 429,
  QUOTA_EXHAUSTED: 429,
  BAD_BUNDLE: 500,
  BAD_OPERATOR: 500,
  BAD_OUTPUT: 500,
  BAD_VALUE: 500,
  INDEX_CORRUPT: 500,
  INTERNAL: 500,
  NODE_FAILED: 500,
  RECORD_CORRUPT: 500,
  SANDBOX_REFUSED: 500,
  SETUP_FAILED: 500,
  STORE_FAILED: 500,
  DEPENDENCY_MISSING: 501,
  MODEL_FAILED: 502,
  CLOSED: 503,
  NOT_READY: 503,
  NODE_TIMEOUT: 504,
};

/** The HTTP status of each code: what the caller can mend is 4xx, by default 400. */
export const statuses = Object.fromEntries(
  Object.keys(errorCodes).map((code) => [code, failures[code as ErrorCode] ?? 400]),
) as Readonly<Record<ErrorCode, number>>;

const byStatus: Readonly<Record<number, ErrorCode>> = {
  404: "NOT_FOUND",
  405: "METHOD_NOT_ALLOWED",
  408: "REQUEST_TIMEOUT",
  413: "REQUEST_TOO_LARGE",
  414: "REQUEST_TOO_LARGE",
  415: "UNSUPPORTED_MEDIA",
  429: "OVERLOADED",
  431: "REQUEST_TOO_LARGE",
};

/** What the server under us says of a refusal; of anything else that was thrown, which may throw when it is looked at, 500. */
function refusalOf(thrown: unknown): { statusCode: number; code: string; message?: string; isSyntax: boolean } {
  try {
    const { statusCode = 500, code, message } = (thrown ?? {}) as Record<"statusCode" | "code" | "message", never>;
    return { statusCode: Number(statusCode), code: String(code), message, isSyntax: thrown instanceof SyntaxError };
  } catch {
    return { statusCode: 500, code: "", isSyntax: false };
  }
}

/** The HTTP status of what was thrown: a refusal by the server under us keeps the status that it came with. */
export function statusOf(thrown: unknown): number {
  if (TesseraError.is(thrown)) return statuses[thrown.code];
  const { statusCode } = refusalOf(thrown);
  return statusCode >= 400 && statusCode < 500 ? statusCode : 500;
}

/** Anything that was thrown while a request was answered, as a `TesseraError` that a client may see. */
export function asTesseraError(thrown: unknown): TesseraError {
  if (TesseraError.is(thrown)) return thrown;
  const { statusCode, code, message, isSyntax } = refusalOf(thrown);
  if (statusCode < 400 || statusCode >= 500)
    return new TesseraError("INTERNAL", "the service failed", { hint: "its log says why", cause: thrown });
  const bad = isSyntax || code.includes("JSON") ? "BAD_JSON" : "BAD_ARGUMENT";
  return new TesseraError(byStatus[statusCode] ?? bad, message ?? "the request cannot be read");
}

/** Answers a request with what was thrown; what the caller cannot mend is logged. */
export function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = asTesseraError(thrown);
  const status = statusOf(thrown);
  if (status >= 500) request.log.error({ code: error.code, cause: logLine(thrown) }, "failed");
  if (error.retryAfterMs !== undefined) reply.header("retry-after", Math.ceil(error.retryAfterMs / 1000));
  if (status === 401) reply.header("www-authenticate", "Bearer");
  return reply.code(status).send(errorBody(error));
}
