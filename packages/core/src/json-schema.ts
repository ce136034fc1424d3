// internal: JsonSchema
import { z } from "zod";
import { canonicalJson } from "./canonical.js";
import type { Json } from "./passage.js";

/** The part of JSON Schema that the type of a port may use. */
export interface JsonSchema {
  type?: "string" | "number" | "integer" | "boolean" | "object" | "array" | "null" | undefined;
  enum?: Json[] | undefined;
  const?: Json | undefined;
  items?: JsonSchema | undefined;
  properties?: Record<string, JsonSchema> | undefined;
  required?: string[] | undefined;
}

export const jsonSchema: z.ZodType<JsonSchema> = z.lazy(() =>
  z.strictObject({
    type: z.enum(["string", "number", "integer", "boolean", "object", "array", "null"]).optional(),
    enum: z.array(z.json()).min(1).optional(),
    const: z.json().optional(),
    items: jsonSchema.optional(),
    properties: z.record(z.string(), jsonSchema).optional(),
    required: z.array(z.string()).optional(),
  }),
);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const ofType: Record<NonNullable<JsonSchema["type"]>, (value: unknown) => boolean> = {
  string: (value) => typeof value === "string",
  number: Number.isFinite,
  integer: Number.isInteger,
  boolean: (value) => typeof value === "boolean",
  object: isObject,
  array: Array.isArray,
  null: (value) => value === null,
};

const same = (a: unknown, b: Json): boolean => canonicalJson(a) === canonicalJson(b);

/** Whether a value meets a schema. As in JSON Schema, a keyword speaks only of values of its own kind. */
export function meets(value: unknown, schema: JsonSchema): boolean {
  const { type, items, properties = {}, required = [] } = schema;
  if (value === undefined || (type && !ofType[type](value))) return false;
  if (schema.const !== undefined && !same(value, schema.const)) return false;
  if (schema.enum && !schema.enum.some((one) => same(value, one))) return false;
  if (items && Array.isArray(value) && !value.every((member) => meets(member, items))) return false;
  if (!isObject(value)) return true;
  return (
    // a member that is undefined is absent, as in JSON and for the schema of a port
    required.every((key) => Object.hasOwn(value, key) && value[key] !== undefined) &&
    Object.entries(properties).every(
      ([key, inner]) => !Object.hasOwn(value, key) || value[key] === undefined || meets(value[key], inner),
    )
  );
}
