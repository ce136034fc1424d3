import { z } from "zod";
import { TesseraError } from "./errors.js";
import { type Answer, answer, type Hit, hit, hits, type Json, type Passage, passage, passages } from "./passage.js";

/** The named types of ports. They are nominal: text never fits a port that wants hits, whatever it holds. */
const named = ["text", "number", "flag", "passage", "passages", "hit", "hits", "answer", "any"] as const;
export type NamedType = (typeof named)[number];

/** The part of JSON Schema that a port may use; it is compared structurally. */
export interface JsonSchema {
  type?: "string" | "number" | "integer" | "boolean" | "object" | "array" | "null" | undefined;
  enum?: Json[] | undefined;
  const?: Json | undefined;
  items?: JsonSchema | undefined;
  properties?: Record<string, JsonSchema> | undefined;
  required?: string[] | undefined;
}

/** The type of a port as it stands in a document. "hits" is `{ list: "hit" }`, "passages" is `{ list: "passage" }`. */
export type PortType =
  | NamedType
  | { choice: readonly string[] }
  | { list: PortType }
  | { named: PortType }
  | { optional: PortType }
  | JsonSchema;

/** The TypeScript type of a port's values. */
export type PortValue<T> = T extends "text"
  ? string
  : T extends "number"
    ? number
    : T extends "flag"
      ? boolean
      : T extends "passage"
        ? Passage
        : T extends "passages"
          ? Passage[]
          : T extends "hit"
            ? Hit
            : T extends "hits"
              ? Hit[]
              : T extends "answer"
                ? Answer
                : T extends { choice: readonly (infer C)[] }
                  ? C
                  : T extends { list: infer E }
                    ? PortValue<E>[]
                    : T extends { named: infer E }
                      ? Record<string, PortValue<E>>
                      : T extends { optional: infer E }
                        ? PortValue<E> | undefined
                        : // biome-ignore lint/suspicious/noExplicitAny: "any" and schemas are checked at run time
                          any;

const jsonSchema: z.ZodType<JsonSchema> = z.lazy(() =>
  z.strictObject({
    type: z.enum(["string", "number", "integer", "boolean", "object", "array", "null"]).optional(),
    enum: z.array(z.json()).optional(),
    const: z.json().optional(),
    items: jsonSchema.optional(),
    properties: z.record(z.string(), jsonSchema).optional(),
    required: z.array(z.string()).optional(),
  }),
);

export const portType: z.ZodType<PortType> = z.lazy(() =>
  z.union([
    z.enum(named),
    z.strictObject({ choice: z.array(z.string()).min(1) }),
    z.strictObject({ list: portType }),
    z.strictObject({ named: portType }),
    z.strictObject({ optional: portType }),
    jsonSchema,
  ]),
);

// the zod schemas of the named types; operators use these very objects
export const text = z.string();
export const number = z.number();
export const flag = z.boolean();

const names = new WeakMap<z.ZodType, NamedType>([
  [text, "text"],
  [number, "number"],
  [flag, "flag"],
  [passage, "passage"],
  [passages, "passages"],
  [hit, "hit"],
  [hits, "hits"],
  [answer, "answer"],
]);
const schemas = { text, number, flag, passage, passages, hit, hits, answer, any: z.any() };

/**
 * The port type of a zod schema.
 * @throws TesseraError BAD_OPERATOR where the schema would change the value it checks.
 */
export function portTypeOf(schema: z.ZodType): PortType {
  const name = names.get(schema);
  if (name) return name;
  const { def } = schema._zod as unknown as { def: Definition };
  switch (def.type) {
    case "any":
    case "unknown":
      return "any";
    case "string":
      if (!def.checks?.length && !def.format && !def.coerce) return "text";
      break;
    case "number":
      if (!def.checks?.length && !def.format && !def.coerce) return "number";
      break;
    case "boolean":
      if (!def.coerce) return "flag";
      break;
    case "enum":
      if (Object.values(def.entries!).every((entry) => typeof entry === "string"))
        return { choice: Object.values(def.entries!) as string[] };
      break;
    case "literal":
      if (def.values!.every((value) => typeof value === "string")) return { choice: def.values as string[] };
      break;
    case "array":
      return { list: portTypeOf(def.element!) };
    case "record":
      return { named: portTypeOf(def.valueType!) };
    case "optional":
    case "default":
      return { optional: portTypeOf(def.innerType!) };
    case "pipe":
    case "transform":
    case "prefault":
    case "catch":
      throw new TesseraError("BAD_OPERATOR", `a port may not change its value (${def.type})`, {
        hint: "transform inside the operator instead",
      });
  }
  if (def.coerce) throw new TesseraError("BAD_OPERATOR", "a port may not coerce its value");
  try {
    const parsed = jsonSchema.safeParse(subset(z.toJSONSchema(schema) as Record<string, unknown>));
    return parsed.success ? parsed.data : "any";
  } catch (cause) {
    if (TesseraError.is(cause)) throw cause;
    return "any"; // no JSON Schema exists (a typed array, a date): checked at run time alone
  }
}

interface Definition {
  type: string;
  checks?: unknown[];
  format?: string;
  coerce?: boolean;
  entries?: Record<string, unknown>;
  values?: unknown[];
  element?: z.ZodType;
  valueType?: z.ZodType;
  innerType?: z.ZodType;
}

const kept = ["type", "enum", "const", "required"] as const;

/** Drops what the subset does not compare; the port's own zod schema still checks it at run time. */
function subset(schema: Record<string, unknown>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const key of kept) if (schema[key] !== undefined && !Array.isArray(schema.anyOf)) result[key] = schema[key];
  if (Array.isArray(result.type)) delete result.type;
  if (schema.items && typeof schema.items === "object") result.items = subset(schema.items as Record<string, unknown>);
  if (schema.properties)
    result.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([key, value]) => [key, subset(value as Record<string, unknown>)]),
    );
  return result;
}

/** The zod schema that checks values of a port type. */
export function schemaOf(type: PortType): z.ZodType {
  if (typeof type === "string") return schemas[type];
  if ("choice" in type) return z.enum(type.choice as [string, ...string[]]);
  if ("list" in type) return z.array(schemaOf(type.list));
  if ("named" in type) return z.record(z.string(), schemaOf(type.named));
  if ("optional" in type) return schemaOf(type.optional).optional();
  return z.fromJSONSchema(type as Parameters<typeof z.fromJSONSchema>[0]);
}

export const isOptional = (type: PortType): type is { optional: PortType } =>
  typeof type === "object" && "optional" in type;

/** The type of a port's value where there is one. */
export const required = (type: PortType): PortType => (isOptional(type) ? required(type.optional) : type);

/** The element type of a list type, or `undefined` where it is no list. */
export function elementOf(type: PortType): PortType | undefined {
  if (type === "hits") return "hit";
  if (type === "passages") return "passage";
  if (type === "any") return "any";
  if (typeof type === "string") return undefined;
  if ("list" in type) return type.list;
  if ("type" in type && type.type === "array") return type.items ?? "any";
  return undefined;
}

/** The type of a list of such elements. */
export const listOf = (element: PortType): PortType =>
  element === "hit" ? "hits" : element === "passage" ? "passages" : { list: element };

/** The values a decision port can have, or `undefined` where it is neither a flag nor a choice. */
export function valuesOf(type: PortType): (string | boolean)[] | undefined {
  if (type === "flag") return [false, true];
  return typeof type === "object" && "choice" in type ? [...type.choice] : undefined;
}

/** A port type in words, for messages. */
export function show(type: PortType): string {
  if (typeof type === "string") return type;
  if ("choice" in type) return `choice of ${type.choice.join(" | ")}`;
  if ("list" in type) return `list of ${show(type.list)}`;
  if ("named" in type) return `named ${show(type.named)}`;
  if ("optional" in type) return `optional ${show(type.optional)}`;
  return JSON.stringify(type);
}

/** "equal": nothing is checked when a value passes; "check": each value is; "mismatch": no value can fit. */
export type Fit = "equal" | "check" | "mismatch";

const worst = (fits: Fit[]): Fit =>
  fits.includes("mismatch") ? "mismatch" : fits.includes("check") ? "check" : "equal";

/** Whether values of one port type fit another. */
export function fit(source: PortType, target: PortType): Fit {
  if (target === "any") return "equal";
  if (isOptional(target)) return fit(required(source), target.optional);
  if (isOptional(source)) return "mismatch";
  if (source === "any") return "check";
  if (typeof source === "string" && source === target) return "equal";

  const [from, to] = [elementOf(source), elementOf(target)];
  if (from !== undefined && to !== undefined) return fit(from, to);
  if (from !== undefined || to !== undefined) return "mismatch";

  const choices = valuesOf(source);
  if (choices && source !== "flag") {
    if (target === "text") return "equal";
    const wanted = valuesOf(target);
    if (wanted && target !== "flag")
      return worst(choices.map((value) => (wanted.includes(value) ? "equal" : "mismatch")));
  }
  if (source === "text" && typeof target === "object" && "choice" in target) return "check";

  if (typeof source === "object" && typeof target === "object" && "named" in source && "named" in target)
    return fit(source.named, target.named);

  const [left, right] = [structureOf(source), structureOf(target)];
  return left && right ? fitSchema(left, right) : "mismatch";
}

/** What of a type can be compared as JSON Schema. Two different named types are never compared. */
function structureOf(type: PortType): (JsonSchema & { nominal?: string }) | undefined {
  if (type === "text") return { type: "string", nominal: type };
  if (type === "number") return { type: "number", nominal: type };
  if (type === "flag") return { type: "boolean", nominal: type };
  if (typeof type === "string") return { type: "object", nominal: type };
  if ("choice" in type) return { type: "string", enum: [...type.choice] };
  if ("named" in type) return { type: "object" };
  if ("list" in type || "optional" in type) return undefined;
  return type;
}

const scalars = ["string", "number", "boolean"];

function fitSchema(source: JsonSchema & { nominal?: string }, target: JsonSchema & { nominal?: string }): Fit {
  if (source.nominal && target.nominal) return "mismatch";
  if (JSON.stringify(source) === JSON.stringify(target)) return "equal";
  if (source.type && target.type && source.type !== target.type) {
    if (source.type === "integer" && target.type === "number")
      return target.enum || target.const !== undefined ? "check" : "equal";
    return source.type === "number" && target.type === "integer" ? "check" : "mismatch";
  }
  const plain = Object.keys(target).every((key) => key === "type" || key === "nominal");
  if (plain && source.type === target.type && scalars.includes(target.type ?? "")) return "equal";
  if (source.type !== "object" || target.type !== "object" || source.nominal || target.nominal) return "check";
  const fits = Object.entries(target.properties ?? {}).map(([key, wanted]): Fit => {
    const given = source.properties && Object.hasOwn(source.properties, key) ? source.properties[key] : undefined;
    if (!given) return "check";
    const inner = fitSchema(given, wanted);
    return target.required?.includes(key) && !source.required?.includes(key) && inner === "equal" ? "check" : inner;
  });
  const promised = (target.required ?? []).every((key) => source.required?.includes(key));
  return worst([...fits, promised && !target.enum && target.const === undefined ? "equal" : "check"]);
}
