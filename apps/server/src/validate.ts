import { TesseraError } from "@tessera/core";
import type { FastifySchemaCompiler } from "fastify";
import type { z } from "zod";

/** Checks the parts of a request by zod schemas. */
export const validated: FastifySchemaCompiler<unknown> =
  ({ schema, httpPart }) =>
  (data) => {
    const result = (schema as z.ZodType).safeParse(data ?? {});
    if (result.success) return { value: result.data };
    const [issue] = result.error.issues;
    return {
      error: new TesseraError("BAD_ARGUMENT", issue!.message, {
        path: [httpPart, ...issue!.path].map(String).join("."),
      }),
    };
  };
