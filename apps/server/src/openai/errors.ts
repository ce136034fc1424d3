// internal
import { type ErrorCode, TesseraError } from "@tessera/core";
import { errorBody, logLine } from "@tessera/core/internal";
import type { FastifyReply } from "fastify";
import { z } from "zod";
import { asTesseraError, statusOf as httpStatusOf } from "../errors.js";

/** An error in the shape that OpenAI's clients read. */
export const openAiErrorBody = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});
export type OpenAiError = Readonly<z.infer<typeof openAiErrorBody>>;

/** The place of a field of a request; OpenAI's `param` is the field. */
export const fieldPath = (field: string): string => `body.${field}`;

/** A field of a request that is wrong. */
export const refusal = (field: string | undefined, message: string, hint?: string): TesseraError =>
  new TesseraError("BAD_ARGUMENT", message, { path: field === undefined ? undefined : fieldPath(field), hint });

const types: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  429: "rate_limit_error",
};

const codes: Partial<Record<ErrorCode, string>> = {
  UNAUTHENTICATED: "invalid_api_key",
  UNKNOWN_RESOURCE: "model_not_found",
  OVERLOADED: "rate_limit_exceeded",
  QUOTA_EXHAUSTED: "insufficient_quota",
};

export function openAiError(error: TesseraError): OpenAiError {
  const status = statusOf(error);
  const { message, hint, path } = errorBody(error);
  return {
    error: {
      message: hint === undefined ? message : `${message}; ${hint}`,
      type: types[status] ?? (status < 500 ? "invalid_request_error" : "server_error"),
      param: /^body\.(.+)$/.exec(path ?? "")?.[1] ?? null,
      code: codes[error.code] ?? error.code.toLowerCase(),
    },
  };
}

const statusOf = (thrown: unknown): number =>
  TesseraError.is(thrown) && thrown.code === "UNKNOWN_RESOURCE" ? 404 : httpStatusOf(thrown);

/** Answers with an error: status, the time to ask again, and the body. */
export function sendError(thrown: unknown, reply: FastifyReply): FastifyReply {
  const error = asTesseraError(thrown);
  if (error.retryAfterMs !== undefined) reply.header("retry-after", Math.ceil(error.retryAfterMs / 1000));
  const status = statusOf(thrown);
  if (status >= 500) reply.log.error({ code: error.code, cause: logLine(thrown) }, "failed");
  if (status === 401) reply.header("www-authenticate", "Bearer");
  return reply.code(status).type("application/json; charset=utf-8").send(openAiError(error));
}
