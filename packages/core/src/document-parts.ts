// A circle of types: a flow may hold whole flows, so the type, the schema and the reader of a document name each other.
import type { Source } from "./document.js";
import { isName, isReference } from "./document-schema.js";
import { TesseraError } from "./errors.js";
import type { JsonSchema } from "./json-schema.js";
import type { Json } from "./passage.js";
import { type NamedType, namedTypes, type PortType } from "./ports.js";

// Each function here gives a copy of a part of a document, or `unsure` where it is not surely right: then the schema decides.
// They recurse, to the depth that a document may have at most.

export const unsure = Symbol("unsure");
export type Read<T> = T | typeof unsure;
export type Row = Record<string, unknown>;

/** How many more values a part may hold. */
export class ValueAllowance {
  constructor(
    private readonly most: number,
    private readonly path: readonly string[],
    private left = most,
  ) {}

  take(values: number): void {
    this.left -= values;
    if (this.left < 0)
      throw new TesseraError("DOCUMENT_TOO_LARGE", `one setting, constant or port type may hold ${this.most} values`, {
        path: this.path.join("."),
      });
  }
}

/** Whether it is an object as JSON has them. */
export function isPlain(value: unknown): value is Row {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Reads every member of an object; of a list with `listOf`. */
export function rowOf<T>(value: Row, read: (member: unknown) => Read<T>): Read<Record<string, T>> {
  const row: Record<string, T> = {};
  for (const key of Object.keys(value)) {
    const member = read(value[key]);
    if (member === unsure) return unsure;
    row[key] = member;
  }
  return row;
}

function listOf<T>(value: unknown, read: (member: unknown) => Read<T>): Read<T[]> {
  if (!Array.isArray(value)) return unsure;
  const list: T[] = [];
  for (const one of value) {
    const member = read(one);
    if (member === unsure) return unsure;
    list.push(member);
  }
  return list;
}

export function readJson(value: unknown, room: ValueAllowance): Read<Json> {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : unsure;
  const read = (member: unknown) => readJson(member, room);
  if (Array.isArray(value)) {
    room.take(value.length);
    return listOf(value, read);
  }
  if (!isPlain(value)) return unsure;
  room.take(Object.keys(value).length);
  return rowOf(value, read);
}

const isText = (value: unknown): Read<string> => (typeof value === "string" ? value : unsure);
const names: ReadonlySet<unknown> = new Set(namedTypes);

export function readType(value: unknown, room: ValueAllowance): Read<PortType> {
  if (typeof value === "string") return names.has(value) ? (value as NamedType) : unsure;
  if (!isPlain(value)) return unsure;
  const [key, ...others] = Object.keys(value);
  if (others.length === 0 && key === "choice") {
    const choice = listOf(value.choice, isText);
    return choice === unsure || choice.length === 0 ? unsure : { choice };
  }
  if (others.length === 0 && (key === "list" || key === "named" || key === "optional")) {
    room.take(1);
    const inner = readType(value[key], room);
    return inner === unsure ? unsure : ({ [key]: inner } as PortType);
  }
  return readStructure(value, room);
}

function readTexts(value: unknown, room: ValueAllowance): Read<string[]> {
  if (Array.isArray(value)) room.take(value.length);
  return listOf(value, isText);
}

const kinds: ReadonlySet<unknown> = new Set(["string", "number", "integer", "boolean", "object", "array", "null"]);

const keywords: Readonly<Record<keyof JsonSchema, (value: unknown, room: ValueAllowance) => Read<unknown>>> = {
  type: (value) => (kinds.has(value) ? value : unsure),
  enum: (value, room) => (Array.isArray(value) && value.length > 0 ? readJson(value, room) : unsure),
  const: readJson,
  items: readStructure,
  properties(value, room) {
    if (!isPlain(value)) return unsure;
    room.take(Object.keys(value).length);
    return rowOf(value, (member) => readStructure(member, room));
  },
  required: readTexts,
};

function readStructure(value: unknown, room: ValueAllowance): Read<JsonSchema> {
  if (!isPlain(value)) return unsure;
  room.take(1);
  const structure: Row = {};
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(keywords, key)) return unsure;
    const member = keywords[key as keyof JsonSchema](value[key], room);
    if (member === unsure) return unsure;
    structure[key] = member;
  }
  return structure;
}

export const readReference = (value: unknown): Read<string> => (isReference(value) ? value : unsure);

/** A member of a `first`: a reference, or a constant. */
export function readMember(value: unknown, room: ValueAllowance): Read<string | { value: Json }> {
  if (typeof value === "string" || !isPlain(value)) return readReference(value);
  const [key, ...others] = Object.keys(value);
  if (key !== "value" || others.length > 0) return unsure;
  const constant = readJson(value.value, room);
  return constant === unsure ? unsure : { value: constant };
}

export function readSource(value: unknown, room: ValueAllowance): Read<Source> {
  if (typeof value === "string") return readReference(value);
  if (Array.isArray(value)) return listOf(value, readReference);
  if (!isPlain(value)) return unsure;
  const [key, ...others] = Object.keys(value);
  if (others.length > 0) return unsure;
  if (key === "first") {
    const first = listOf(value.first, (member) => readMember(member, room));
    return first === unsure || first.length === 0 ? unsure : { first };
  }
  if (key === "named") {
    if (!isPlain(value.named) || !Object.keys(value.named).every(isName)) return unsure;
    const named = rowOf(value.named, readReference);
    return named === unsure ? unsure : { named };
  }
  return readMember(value, room) as Read<Source>;
}
