import { TesseraError } from "@tessera/core";
import type { FastifySchemaCompiler } from "fastify";
import type { z } from "zod";

const plain = new WeakMap<object, (data: unknown) => boolean>();

/**
 * Says of a schema what it takes as it is, without looking further: for routes where a check by the schema takes as long as
 * the work.
 * @param fits whether a value is of that kind; `false` lets the schema decide
 */
export function fitsPlainly<S extends z.ZodType>(schema: S, fits: (data: unknown) => boolean): S {
  plain.set(schema, fits);
  return schema;
}

/** Checks the parts of a request by zod schemas. */
export const validated: FastifySchemaCompiler<unknown> =
  ({ schema, httpPart }) =>
  (data) => {
    if (plain.get(schema as object)?.(data)) return true;
    // of headers those that a schema names: there may be many others
    if (httpPart === "headers") data = namedBy(schema as z.ZodObject, data as Record<string, unknown>);
    const result = (schema as z.ZodType).safeParse(data ?? {});
    if (result.success) return httpPart === "headers" ? true : { value: result.data };
    const [issue] = result.error.issues;
    return {
      error: new TesseraError("BAD_ARGUMENT", issue!.message, {
        path: [httpPart, ...issue!.path].map(String).join("."),
      }),
    };
  };

function namedBy({ shape }: z.ZodObject, headers: Record<string, unknown>): Record<string, unknown> {
  const named: Record<string, unknown> = {};
  for (const name in shape) if (headers[name] !== undefined) named[name] = headers[name];
  return named;
}

const nesting = 256;

/** The error for a body that is nested too deeply for those who walk it; `undefined` for one that is not. */
export function tooDeep(body: unknown): TesseraError | undefined {
  // the bytes of a file are no values
  if (ArrayBuffer.isView(body) || isWithin(body, nesting)) return undefined;
  return new TesseraError("BAD_JSON", `values may be nested ${nesting} deep`, { path: "body" });
}

function isWithin(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (levels === 0) return false;
  if (Array.isArray(value)) return value.every((member) => isWithin(member, levels - 1));
  for (const key in value) if (!isWithin((value as Record<string, unknown>)[key], levels - 1)) return false;
  return true;
}
