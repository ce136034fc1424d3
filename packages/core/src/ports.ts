// public: PortType, text, number, flag
// internal: portType, PortValue, portTypeOf, schemaOf, isOptional, required, elementOf, listOf, valuesOf, show, fit
import { z } from "zod";
import { TesseraError } from "./errors.js";
import { type JsonSchema, jsonSchema, meets } from "./json-schema.js";
import { type Answer, answer, type Hit, hit, hits, type Passage, passage, passages } from "./passage.js";

/** The named types of ports. They are nominal: text never fits a port that wants hits, whatever it holds. */
export const namedTypes = ["text", "number", "flag", "passage", "passages", "hit", "hits", "answer", "any"] as const;
export type NamedType = (typeof namedTypes)[number];

/** The type of a port as a document writes it. "hits" is `{ list: "hit" }`, "passages" is `{ list: "passage" }`. */
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

export const portType: z.ZodType<PortType> = z.lazy(() =>
  z.union([
    z.enum(namedTypes),
    z.strictObject({ choice: z.array(z.string()).min(1) }),
    z.strictObject({ list: portType }),
    z.strictObject({ named: portType }),
    z.strictObject({ optional: portType }),
    jsonSchema,
  ]),
);

// the zod schemas of the named types; operators use these very objects
/** The port type `text`: a string. */
export const text = z.string();
/** The port type `number`: a finite number. */
export const number = z.number();
/** The port type `flag`: true or false. A `when` may read it. */
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

// the JSON Schemas of the zod schemas that `schemaOf` made of them
const structures = new WeakMap<z.ZodType, JsonSchema>();

const types = new WeakMap<z.ZodType, PortType>();

/**
 * The port type of a zod schema.
 * @throws TesseraError BAD_OPERATOR where the schema would change the value it checks, at any depth.
 */
export function portTypeOf(schema: z.ZodType): PortType {
  let type = types.get(schema);
  if (type === undefined) {
    refuseChanges(schema);
    type = typeOf(schema);
    types.set(schema, type);
  }
  return type;
}

function typeOf(schema: z.ZodType): PortType {
  const known = names.get(schema) ?? structures.get(schema);
  if (known) return known;
  const def = definitionOf(schema);
  switch (def.type) {
    case "any":
    case "unknown":
      return "any";
    case "string":
      if (!def.checks?.length && !def.format) return "text";
      break;
    case "number":
      if (!def.checks?.length && !def.format) return "number";
      break;
    case "boolean":
      return "flag";
    case "enum":
      if (Object.values(def.entries!).every((entry) => typeof entry === "string"))
        return { choice: Object.values(def.entries!) as string[] };
      break;
    case "literal":
      if (def.values!.every((value) => typeof value === "string")) return { choice: def.values as string[] };
      break;
    case "array":
      return { list: placeOf(def.element!) };
    case "record":
      return { named: typeOf(def.valueType!) };
    case "optional":
    case "default":
      return { optional: typeOf(def.innerType!) };
  }
  try {
    const parsed = jsonSchema.safeParse(subset(z.toJSONSchema(schema) as Record<string, unknown>));
    return parsed.success ? parsed.data : "any";
  } catch {
    return "any"; // no JSON Schema exists (a typed array, a date): checked at run time alone
  }
}

/** In a list `null` is the place of an element that was skipped: what admits it may be missing there. */
function placeOf(element: z.ZodType): PortType {
  const { type, innerType } = definitionOf(element);
  return type === "nullable" ? { optional: required(typeOf(innerType!)) } : typeOf(element);
}

const definitionOf = (schema: z.ZodType): Definition => schema._zod.def as unknown as Definition;
const isSchema = (value: unknown): value is z.ZodType => typeof value === "object" && value !== null && "_zod" in value;
const changing = new Set(["pipe", "transform", "prefault", "catch"]);

/** Wires whose types are equal are not validated, so a schema may only look; a port's own default is the exception. */
function refuseChanges(schema: z.ZodType, seen = new Set<z.ZodType>()): void {
  if (seen.has(schema)) return;
  const isPort = seen.size === 0;
  seen.add(schema);
  const def = definitionOf(schema);
  const overwrites = def.checks?.some((check) => check._zod?.def.check === "overwrite");
  if (changing.has(def.type) || def.coerce || overwrites || (def.type === "default" && !isPort))
    throw new TesseraError(
      "BAD_OPERATOR",
      `a port may not change its value (${def.coerce ? "coerce" : overwrites ? "overwrite" : def.type})`,
      { hint: "transform inside the operator instead" },
    );
  if (def.type === "lazy") refuseChanges(def.getter!(), seen);
  const parts = Object.entries(def).flatMap(([key, part]) => (key === "shape" ? Object.values(part) : part));
  for (const part of parts) if (isSchema(part)) refuseChanges(part, seen);
}

interface Definition {
  type: string;
  checks?: { _zod?: { def: { check: string } } }[];
  format?: string;
  coerce?: boolean;
  entries?: Record<string, unknown>;
  values?: unknown[];
  element?: z.ZodType;
  valueType?: z.ZodType;
  innerType?: z.ZodType;
  getter?: () => z.ZodType;
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
  if ("list" in type)
    return z.array(isOptional(type.list) ? schemaOf(required(type.list)).nullish() : schemaOf(type.list));
  if ("named" in type) return z.record(z.string(), schemaOf(type.named));
  if ("optional" in type) return schemaOf(type.optional).optional();
  const schema = z.custom((value) => meets(value, type), `does not fit ${show(type)}`);
  structures.set(schema, type);
  return schema;
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
export function valuesOf(type: PortType): readonly (string | boolean)[] | undefined {
  if (type === "flag") return [false, true];
  return typeof type === "object" && "choice" in type ? type.choice : undefined;
}

const said = new WeakMap<object, string>();
/** A port type in words. */
export function show(type: PortType): string {
  if (typeof type === "string") return type;
  let words = said.get(type);
  if (words === undefined) {
    words = inWords(type);
    said.set(type, words);
  }
  return words;
}

function inWords(type: PortType): string {
  if (typeof type === "string") return type;
  if ("choice" in type) return `choice of ${type.choice.join(" | ")}`;
  if ("list" in type) return `list of ${inWords(type.list)}`;
  if ("named" in type) return `named ${inWords(type.named)}`;
  if ("optional" in type) return `optional ${inWords(type.optional)}`;
  return JSON.stringify(type);
}

/**
 * "equal": nothing is checked when a value passes; "check": each value is; "mismatch": no value can fit (an empty list
 * aside), or it may be missing where it is required.
 */
type Fit = "equal" | "check" | "mismatch";

const worst = (fits: Fit[]): Fit =>
  fits.includes("mismatch") ? "mismatch" : fits.includes("check") ? "check" : "equal";

const compared = new WeakMap<object, WeakMap<object, Fit>>();

/** Whether values of one port type fit another. Types are not changed in place: the same two are compared once. */
export function fit(source: PortType, target: PortType): Fit {
  if (typeof source !== "object" || typeof target !== "object") return compare(source, target);
  let known = compared.get(source);
  if (!known) {
    known = new WeakMap();
    compared.set(source, known);
  }
  let result = known.get(target);
  if (!result) {
    result = compare(source, target);
    known.set(target, result);
  }
  return result;
}

function compare(source: PortType, target: PortType): Fit {
  if (target === "any") return "equal";
  if (isOptional(target)) return fit(required(source), target.optional);
  if (isOptional(source)) return "mismatch";
  if (source === "any") return "check";
  if (typeof source === "string" && source === target) return "equal";
  if (isUntyped(target)) return Object.keys(target).length === 0 || sameText(source, target) ? "equal" : "check";
  if (isUntyped(source)) return "check";

  const [from, to] = [elementOf(source), elementOf(target)];
  if (from !== undefined && to !== undefined)
    return sameText(source, target) ? "equal" : worst([fit(from, to), narrows(target) ? "check" : "equal"]);
  if (from !== undefined || to !== undefined) return "mismatch";

  const choices = typeof source === "object" && "choice" in source ? source.choice : undefined;
  if (choices && target === "text") return "equal";
  if (typeof target === "object" && "choice" in target) {
    if (source === "text") return "check";
    const admitted = new Set(target.choice);
    const shared = choices?.filter((choice) => admitted.has(choice));
    if (shared) return shared.length === choices!.length ? "equal" : shared.length > 0 ? "check" : "mismatch";
  }

  const [left, right] = [structureOf(source), structureOf(target)];
  if (typeof target === "object" && "named" in target) {
    if (typeof source === "object" && "named" in source) return fit(source.named, target.named);
    return left.type === "object" ? "check" : "mismatch";
  }
  return fitStructure(left, right);
}

const equal = new WeakMap<object, WeakMap<object, boolean>>();

/** Whether two types, or parts of them, have one JSON text. Parts that were compared before are not looked at again. */
function sameText(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  let known = equal.get(a);
  if (!known) {
    known = new WeakMap();
    equal.set(a, known);
  }
  let result = known.get(b);
  if (result === undefined) {
    const [left, right] = [membersOf(a), membersOf(b)];
    result =
      Array.isArray(a) === Array.isArray(b) &&
      left.length === right.length &&
      left.every(([key, member], at) => key === right[at]![0] && sameText(member, right[at]![1]));
    known.set(b, result);
  }
  return result;
}

const membersOf = (value: object): [string, unknown][] =>
  Object.entries(value).filter(([, member]) => member !== undefined);

/** A schema that admits values of several kinds. */
const isUntyped = (type: PortType): type is JsonSchema =>
  typeof type === "object" && !["choice", "list", "named", "optional", "type"].some((key) => Object.hasOwn(type, key));

/** Whether a type admits only some of the values of its structure. */
const narrows = (type: PortType): boolean =>
  typeof type === "object" && (("enum" in type && !!type.enum) || ("const" in type && type.const !== undefined));

type Structure = JsonSchema & { nominal?: string };

/** What of a type that is no list can be compared as JSON Schema. Two different named types are never compared. */
function structureOf(type: PortType): Structure {
  if (type === "text") return { type: "string", nominal: type };
  if (type === "number") return { type: "number", nominal: type };
  if (type === "flag") return { type: "boolean", nominal: type };
  if (typeof type === "string" || "named" in type) return { type: "object", nominal: inWords(type) };
  if ("choice" in type) return { type: "string", enum: [...type.choice] };
  return type as JsonSchema;
}

function fitStructure(source: Structure, target: Structure): Fit {
  if (source.nominal && target.nominal) return "mismatch";
  if (sameText(source, target)) return "equal";
  if (source.type !== target.type) {
    if (source.type === "integer" && target.type === "number") return narrows(target) ? "check" : "equal";
    return source.type === "number" && target.type === "integer" ? "check" : "mismatch";
  }
  if (narrows(target)) return "check";
  if (target.type !== "object") return "equal";
  if (target.nominal) return "check";
  const promised = new Set(source.required);
  const demanded = new Set(target.required);
  const promises = (key: string) => promised.has(key);
  const demands = (key: string) => demanded.has(key);
  const fits = Object.entries(target.properties ?? {}).map(([key, wanted]): Fit => {
    const given = source.properties && Object.hasOwn(source.properties, key) ? source.properties[key] : undefined;
    const inner = given ? fit(given, wanted) : "check";
    return inner === "mismatch" && !promises(key) && !demands(key) ? "check" : inner;
  });
  return worst([...fits, target.required?.every(promises) === false ? "check" : "equal"]);
}
