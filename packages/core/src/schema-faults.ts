// internal: assertSchema, schemaFaults
import { canonicalJson } from "./canonical.js";
import { TesseraError } from "./errors.js";
import type { Json } from "./passage.js";

export type Schema = { readonly [key: string]: Json };

/** The keywords that say nothing of a value. */
const silent = ["$schema", "$id", "$defs", "definitions", "$comment", "title", "description", "default", "examples"];
const mostSteps = 20_000;

const kinds: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string",
  number: (value) => typeof value === "number",
  integer: Number.isInteger,
  boolean: (value) => typeof value === "boolean",
  object: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  array: Array.isArray,
  null: (value) => value === null,
};

const wrongSchema = (place: string, message: string, hint?: string): TesseraError =>
  new TesseraError("BAD_ARGUMENT", `the JSON Schema ${message}${place === "" ? "" : `, at ${place}`}`, {
    path: `schema${place}`,
    hint,
  });

const isSchema = (value: unknown): value is Schema => kinds.object!(value);
const kindOf = (value: unknown): string =>
  Object.keys(kinds).find((name) => name !== "number" && kinds[name]!(value)) ?? "number";

/** What a keyword finds wrong with a value; nothing where it is of another kind. */
type Keyword = (value: never, given: never) => string | false;

const lengthOf = (value: string): number => [...value].length;
const few = (what: string, count: number, least: number) => count < least && `has ${count} ${what}, and needs ${least}`;
const many = (what: string, count: number, most: number) =>
  count > most && `has ${count} ${what}, and may have ${most}`;

const onText = {
  minLength: (value: string, least: number) => few("characters", lengthOf(value), least),
  maxLength: (value: string, most: number) => many("characters", lengthOf(value), most),
} satisfies Record<string, Keyword>;
const onNumber = {
  minimum: (value: number, least: number) => value < least && `is below ${least}`,
  maximum: (value: number, most: number) => value > most && `is above ${most}`,
  exclusiveMinimum: (value: number, bound: number) => value <= bound && `is not above ${bound}`,
  exclusiveMaximum: (value: number, bound: number) => value >= bound && `is not below ${bound}`,
} satisfies Record<string, Keyword>;
const onList = {
  minItems: (value: unknown[], least: number) => few("members", value.length, least),
  maxItems: (value: unknown[], most: number) => many("members", value.length, most),
  uniqueItems: (value: unknown[], given: boolean) =>
    given && new Set(value.map((one) => canonicalJson(one))).size < value.length && "has a member twice",
} satisfies Record<string, Keyword>;

/** Those that one look at the value answers. Texts are looked at by no `pattern`, which could take for ever. */
const plain: Readonly<Record<string, { readonly kind: string; readonly look: Keyword }>> = Object.fromEntries(
  Object.entries({ string: onText, number: onNumber, array: onList }).flatMap(([kind, looks]) =>
    Object.entries(looks).map(([name, look]) => [name, { kind, look: look as Keyword }]),
  ),
);

class Check {
  readonly faults: string[] = [];
  private steps = 0;

  constructor(private readonly root: Schema) {}

  /** @returns whether the value meets the schema; what is wrong is noted with its place */
  meets(value: unknown, schema: Json | undefined, place: string, at: string): boolean {
    if (++this.steps > mostSteps) throw wrongSchema(at, "takes too long to check", "let fewer `$ref` and `anyOf` meet");
    if (schema === true || schema === undefined) return true;
    if (schema === false) return this.fault(place, "must not be there");
    if (!isSchema(schema)) throw wrongSchema(at, "has something else in the place of a schema");
    const before = this.faults.length;
    for (const [keyword, given] of Object.entries(schema))
      this.keyword(keyword, given, { value, schema, place, at: `${at}/${keyword}` });
    return this.faults.length === before;
  }

  private fault(place: string, message: string): false {
    this.faults.push(`${place === "" ? "the value" : place} ${message}`);
    return false;
  }

  /** Whether a value meets a schema, said to nobody. */
  private quiet(value: unknown, schema: Json, place: string, at: string): boolean {
    const before = this.faults.length;
    const does = this.meets(value, schema, place, at);
    this.faults.length = before;
    return does;
  }

  private keyword(
    keyword: string,
    given: Json,
    { value, schema, place, at }: { value: unknown; schema: Schema; place: string; at: string },
  ): void {
    const isObject = kinds.object!(value);
    const looked = Object.hasOwn(plain, keyword) ? plain[keyword] : undefined;
    if (looked) {
      const wrong = kinds[looked.kind]!(value) && looked.look(value as never, given as never);
      if (wrong) this.fault(place, wrong);
      return;
    }
    const each = (list: Json): boolean[] =>
      (list as Json[]).map((one, index) => this.quiet(value, one, place, `${at}/${index}`));
    switch (keyword) {
      case "type": {
        const types = [given].flat() as string[];
        if (types.some((type) => !Object.hasOwn(kinds, type)))
          throw wrongSchema(at, `has no type ${JSON.stringify(given)}`);
        if (!types.some((type) => kinds[type]!(value)))
          this.fault(place, `is of the type ${kindOf(value)}, and must be ${types.join(" or ")}`);
        return;
      }
      case "const":
        if (canonicalJson(value) !== canonicalJson(given)) this.fault(place, `must be ${JSON.stringify(given)}`);
        return;
      case "enum":
        if (!(given as Json[]).some((one) => canonicalJson(value) === canonicalJson(one)))
          this.fault(place, `is ${JSON.stringify(value)}, and must be one of ${JSON.stringify(given)}`);
        return;
      case "required":
        for (const name of isObject ? (given as string[]) : [])
          if (!Object.hasOwn(value as object, name)) this.fault(`${place}/${name}`, "is missing");
        return;
      case "properties":
        for (const [name, inner] of isObject ? Object.entries(given as Schema) : [])
          if (Object.hasOwn(value as object, name))
            this.meets((value as Schema)[name], inner, `${place}/${name}`, `${at}/${name}`);
        return;
      case "additionalProperties":
        for (const [name, member] of isObject ? Object.entries(value as object) : [])
          if (!Object.hasOwn((schema.properties as object | undefined) ?? {}, name))
            this.meets(member, given, `${place}/${name}`, at);
        return;
      case "items":
        for (const [index, member] of Array.isArray(value) ? value.entries() : [])
          this.meets(member, given, `${place}/${index}`, at);
        return;
      case "allOf":
        for (const [index, one] of (given as Json[]).entries()) this.meets(value, one, place, `${at}/${index}`);
        return;
      case "anyOf":
        if (!each(given).includes(true)) this.fault(place, "meets none of the schemas of `anyOf`");
        return;
      case "oneOf":
        if (each(given).filter(Boolean).length !== 1)
          this.fault(place, "does not meet exactly one of the schemas of `oneOf`");
        return;
      case "$ref":
        this.meets(value, this.resolve(given, at), place, at);
        return;
    }
  }

  private resolve(reference: Json, at: string): Json {
    if (typeof reference !== "string" || !/^#(?:\/|$)/.test(reference))
      throw wrongSchema(at, "refers to something outside of itself", "put it under `$defs`");
    let found: unknown = this.root;
    for (const part of reference.split("/").slice(1)) {
      const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
      if (typeof found !== "object" || found === null || !Object.hasOwn(found, name))
        throw wrongSchema(at, `has nothing at ${reference}`);
      found = (found as Record<string, unknown>)[name];
    }
    return found as Json;
  }
}

const looked = ["type", "const", "enum", "required", ...Object.keys(plain), "$ref"];
const maps = ["properties", "$defs", "definitions"];
const lists = ["allOf", "anyOf", "oneOf"];
const ones = ["items", "additionalProperties"];

/** @throws TesseraError BAD_ARGUMENT where a part of a schema has a keyword that is not read, or something else than a schema */
export function assertSchema(schema: Json, at = ""): void {
  if (typeof schema === "boolean" && at !== "") return;
  if (!isSchema(schema)) throw wrongSchema(at, "has something else in the place of a schema");
  for (const [keyword, given] of Object.entries(schema)) {
    const place = `${at}/${keyword}`;
    const inner = maps.includes(keyword) ? isSchema(given) : !lists.includes(keyword) || Array.isArray(given);
    if (!inner) throw wrongSchema(place, "has something else in the place of schemas");
    if (ones.includes(keyword)) assertSchema(given, place);
    else if (maps.includes(keyword) || lists.includes(keyword))
      for (const [name, one] of Object.entries(given as Schema)) assertSchema(one, `${place}/${name}`);
    else if (!looked.includes(keyword) && !silent.includes(keyword))
      throw wrongSchema(place, `has the keyword "${keyword}", which is not read`, "say it in a `description`");
  }
}

/**
 * What is wrong with a value by a JSON Schema (the keywords of draft 2020-12 but patterns, formats, conditions and what is not
 * evaluated), each with its place as a JSON pointer; nothing where it meets the schema.
 * @throws TesseraError BAD_ARGUMENT that names the place in the schema
 */
export function schemaFaults(value: unknown, schema: Schema): readonly string[] {
  const check = new Check(schema);
  try {
    check.meets(value, schema, "", "");
  } catch (error) {
    if (TesseraError.is(error)) throw error;
    // values of keywords of a wrong kind, and schemas that refer to themselves without end
    throw wrongSchema("", "cannot be used", "is each keyword of the type that it must have?");
  }
  return check.faults;
}
