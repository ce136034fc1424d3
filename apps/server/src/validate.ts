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

const nesting = 256;

/** Refuses what is nested too deeply for those who walk it; walks itself without recursion. @throws TesseraError BAD_JSON */
export function assertShallow(body: unknown): void {
  let level: unknown[] = [body];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > nesting) throw new TesseraError("BAD_JSON", `values may be nested ${nesting} deep`, { path: "body" });
    level = level.flatMap((one) => (typeof one === "object" && one !== null ? Object.values(one) : []));
  }
}
