import { TesseraError } from "@tessera/core";

/** Makes the errors of the service of one model: `path` is the model's name. */
export const errorsOf =
  (path: string | undefined) =>
  (
    code: "ABORTED" | "BAD_ARGUMENT" | "CLOSED" | "MODEL_FAILED" | "OVERLOADED",
    message: string,
    details: { readonly hint?: string; readonly cause?: unknown; readonly retryAfterMs?: number } = {},
  ): TesseraError =>
    new TesseraError(code, message, { path, ...details });
