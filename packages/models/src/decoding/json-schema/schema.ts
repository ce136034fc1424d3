import { type Json, TesseraError } from "@tessera/core";
import { z } from "zod";
import { decimalRange, type Range } from "./number-range.js";

/** A schema as what may be written. Every JSON text of a shape meets its schema; not every value that does has a text. */
export type Shape = { least: number } & (
  | { readonly kind: "literals"; readonly texts: readonly string[] }
  /** Code points between the quotes. */
  | { readonly kind: "string"; readonly min: number; readonly max: number }
  | { readonly kind: "number"; readonly range: Range }
  | { readonly kind: "array"; readonly items: Shape; readonly min: number; readonly max: number }
  /** In the order of the schema; an optional one may be left out. */
  | { readonly kind: "object"; readonly properties: readonly Property[] }
  /** Any keys. */
  | { readonly kind: "record"; readonly values: Shape }
  | { readonly kind: "any-of"; readonly shapes: readonly Shape[] }
);

export interface Property {
  /** The key as JSON. */
  readonly key: string;
  readonly shape: Shape;
  readonly required: boolean;
}

type Draft = Shape extends infer S ? (S extends unknown ? Omit<S, "least"> : never) : never;

const count = z.int().nonnegative();
const bound = z.number();
const typeName = z.enum(["string", "number", "integer", "boolean", "object", "array", "null"]);
type TypeName = z.infer<typeof typeName>;

const keywords = z.strictObject({
  type: z.union([typeName, z.array(typeName).min(1)]).optional(),
  enum: z.array(z.json()).optional(),
  const: z.json().optional(),
  properties: z.record(z.string(), z.json()).optional(),
  required: z.array(z.string()).optional(),
  additionalProperties: z.json().optional(),
  propertyNames: z.strictObject({ type: z.literal("string") }).optional(),
  items: z.json().optional(),
  minItems: count.optional(),
  maxItems: count.optional(),
  minLength: count.optional(),
  maxLength: count.optional(),
  minimum: bound.optional(),
  maximum: bound.optional(),
  exclusiveMinimum: bound.optional(),
  exclusiveMaximum: bound.optional(),
  anyOf: z.array(z.json()).optional(),
  $ref: z.string().optional(),
});
type Keywords = z.infer<typeof keywords>;
/** What says nothing about values. */
const notes = ["$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples"];
const supported = Object.keys(keywords.shape).join(", ");

const everyType: readonly TypeName[] = ["string", "number", "boolean", "null", "array", "object"];

/**
 * Reads a JSON Schema.
 * @throws TesseraError BAD_ARGUMENT for a keyword that is not known here, a reference that leads nowhere, and a schema that
 * no JSON meets
 */
export function readSchema(document: Json): Shape {
  const reader = new Reader(document);
  const shape = reader.shape(document, "#");
  settle(reader.made);
  if (shape.least === Number.POSITIVE_INFINITY)
    throw refuse(
      "#",
      "no JSON meets the schema",
      reader.made.find((one) => one.shape.least === Number.POSITIVE_INFINITY && isDeadEnd(one.shape))?.place,
    );
  return shape;
}

const refuse = (place: string, message: string, hint?: string): TesseraError =>
  new TesseraError("BAD_ARGUMENT", message, { path: `schema ${place}`, hint: hint && `see ${hint}` });

/** A shape that cannot be written for reasons of its own. */
const isDeadEnd = (shape: Shape): boolean =>
  shape.kind === "literals" ||
  shape.kind === "string" ||
  shape.kind === "number" ||
  (shape.kind === "array" && shape.min > shape.max) ||
  (shape.kind === "any-of" && shape.shapes.length === 0);

class Reader {
  readonly made: { readonly shape: Shape; readonly place: string }[] = [];
  private readonly byPlace = new Map<string, Shape>();
  private any: Shape | undefined;

  constructor(private readonly document: Json) {}

  shape(schema: Json, place: string): Shape {
    const known = this.byPlace.get(place);
    if (known) return known;
    // a reference may lead back here before the shape is known
    const shape = { least: Number.POSITIVE_INFINITY } as Shape;
    this.byPlace.set(place, shape);
    Object.assign(shape, this.draft(schema, place));
    this.made.push({ shape, place });
    return shape;
  }

  private fresh(draft: Draft, place: string): Shape {
    const shape = { ...draft, least: Number.POSITIVE_INFINITY } as Shape;
    this.made.push({ shape, place });
    return shape;
  }

  private draft(schema: Json, place: string): Draft {
    if (schema === true) return this.anything(place);
    if (schema === false) return { kind: "any-of", shapes: [] };
    if (typeof schema !== "object" || schema === null || Array.isArray(schema))
      throw refuse(place, "a schema is an object, true or false");
    const asked = Object.fromEntries(Object.entries(schema).filter(([keyword]) => !notes.includes(keyword)));
    const parsed = keywords.safeParse(asked);
    if (!parsed.success) {
      const unknown = parsed.error.issues.find(({ code }) => code === "unrecognized_keys");
      if (unknown?.code === "unrecognized_keys")
        throw new TesseraError("BAD_ARGUMENT", `answers cannot be held to "${unknown.keys.join('", "')}"`, {
          path: `schema ${place}`,
          hint: `keywords: ${supported}`,
        });
      throw refuse(place, z.prettifyError(parsed.error));
    }
    return this.written(parsed.data, place);
  }

  private written(schema: Keywords, place: string): Draft {
    const { $ref, anyOf, enum: values, const: value, type, ...rest } = schema;
    const alone = (keyword: string, others: object): void => {
      const names = Object.entries(others).filter(([, given]) => given !== undefined);
      if (names.length > 0)
        throw refuse(
          place,
          `"${keyword}" beside "${names[0]![0]}" is not supported`,
          "move it into a schema of its own",
        );
    };
    if ($ref !== undefined) {
      alone("$ref", { ...schema, $ref: undefined });
      return { kind: "any-of", shapes: [this.referred($ref, place)] };
    }
    if (anyOf) {
      alone("anyOf", { ...schema, anyOf: undefined });
      return { kind: "any-of", shapes: anyOf.map((one, i) => this.shape(one, `${place}/anyOf/${i}`)) };
    }
    const types = type === undefined ? undefined : [type].flat();
    if (values || value !== undefined) {
      alone(values ? "enum" : "const", rest);
      const all = [...(values ?? [value!])].filter(
        (one) => value === undefined || JSON.stringify(one) === JSON.stringify(value),
      );
      const fits = all.filter((one) => types === undefined || types.some((name) => isOfType(one, name)));
      return { kind: "literals", texts: [...new Set(fits.map((one) => JSON.stringify(one)))] };
    }
    const names = types ?? impliedTypes(rest);
    const drafts = names.map((name) => this.ofType(name, rest, place));
    if (drafts.length === 1) return drafts[0]!;
    return { kind: "any-of", shapes: drafts.map((draft) => this.fresh(draft, place)) };
  }

  private ofType(type: TypeName, schema: Keywords, place: string): Draft {
    const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, minItems = 0 } = schema;
    if (type === "null") return { kind: "literals", texts: ["null"] };
    if (type === "boolean") return { kind: "literals", texts: ["true", "false"] };
    if (type === "string") return { kind: "string", min: minLength, max: maxLength };
    if (type === "number" || type === "integer")
      return { kind: "number", range: decimalRange(schema, type === "integer") };
    if (type === "array") {
      const items = this.shape(schema.items ?? true, `${place}/items`);
      return { kind: "array", items, min: minItems, max: schema.maxItems ?? Number.POSITIVE_INFINITY };
    }
    return this.object(schema, place);
  }

  /** Properties in their order; keys that are only required come last. Other keys are written only where none is named. */
  private object(schema: Keywords, place: string): Draft {
    const { properties = {}, required = [], additionalProperties = true } = schema;
    const unnamed = required.filter((key) => !Object.hasOwn(properties, key));
    const names = [...Object.keys(properties), ...unnamed];
    const others = (): Shape => this.shape(additionalProperties, `${place}/additionalProperties`);
    if (names.length === 0)
      return additionalProperties === false ? { kind: "object", properties: [] } : { kind: "record", values: others() };
    return {
      kind: "object",
      properties: names.map((key) => ({
        key: JSON.stringify(key),
        shape: Object.hasOwn(properties, key)
          ? this.shape(properties[key]!, `${place}/properties/${escaped(key)}`)
          : others(),
        required: required.includes(key),
      })),
    };
  }

  /** Any JSON: one shape that holds itself. */
  private anything(place: string): Draft {
    if (this.any) return { kind: "any-of", shapes: [this.any] };
    const any = { least: Number.POSITIVE_INFINITY } as Shape;
    this.any = any;
    Object.assign(any, {
      kind: "any-of",
      shapes: everyType.map((type) => {
        if (type === "array")
          return this.fresh({ kind: "array", items: any, min: 0, max: Number.POSITIVE_INFINITY }, place);
        if (type === "object") return this.fresh({ kind: "record", values: any }, place);
        return this.fresh(this.ofType(type, {}, place), place);
      }),
    });
    this.made.push({ shape: any, place });
    return { kind: "any-of", shapes: [any] };
  }

  /** "#" or a JSON Pointer behind it (RFC 6901). */
  private referred(reference: string, place: string): Shape {
    if (!reference.startsWith("#")) throw refuse(place, `"${reference}" is no reference within the schema`);
    let found: Json | undefined = this.document;
    for (const part of decodeURIComponent(reference).slice(1).split("/").slice(1)) {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const inside: Json | undefined = found;
      found =
        typeof inside === "object" && inside !== null && Object.hasOwn(inside, key)
          ? (inside as Record<string, Json>)[key]
          : undefined;
    }
    if (found === undefined || !/^#(\/|$)/.test(reference)) throw refuse(place, `"${reference}" leads nowhere`);
    return this.shape(found, reference);
  }
}

const escaped = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1");

/** A schema without a type that speaks of one kind of value is written as that kind. */
function impliedTypes(schema: Keywords): readonly TypeName[] {
  const says = (...names: (keyof Keywords)[]): boolean => names.some((name) => schema[name] !== undefined);
  if (says("properties", "required", "additionalProperties", "propertyNames")) return ["object"];
  if (says("items", "minItems", "maxItems")) return ["array"];
  if (says("minLength", "maxLength")) return ["string"];
  if (says("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")) return ["number"];
  return everyType;
}

function isOfType(value: Json, type: TypeName): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
}

/** Finds the fewest bytes of each shape: a shape that holds itself waits for what ends it. */
function settle(made: readonly { readonly shape: Shape }[]): void {
  for (let changed = true; changed; ) {
    changed = false;
    for (const { shape } of made) {
      const least = leastOf(shape);
      changed ||= least < shape.least;
      shape.least = least;
    }
  }
}

function leastOf(shape: Shape): number {
  const least = (numbers: readonly number[]): number => Math.min(Number.POSITIVE_INFINITY, ...numbers);
  switch (shape.kind) {
    case "literals":
      return least(shape.texts.map((text) => Buffer.byteLength(text)));
    case "string":
      return shape.min > shape.max ? Number.POSITIVE_INFINITY : 2 + shape.min;
    case "number":
      return shape.range.least("");
    case "array":
      if (shape.min > shape.max) return Number.POSITIVE_INFINITY;
      return shape.min === 0 ? 2 : 1 + shape.min * (shape.items.least + 1);
    case "object": {
      const sizes = shape.properties.filter(({ required }) => required).map(propertyLeast);
      return sizes.reduce((sum, size) => sum + size, 2 + Math.max(0, sizes.length - 1));
    }
    case "record":
      return 2;
    case "any-of":
      return least(shape.shapes.map((one) => one.least));
  }
}

/** Bytes of a key, its colon and its value. */
export const propertyLeast = ({ key, shape }: Property): number => Buffer.byteLength(key) + 1 + shape.least;
