import { createHash } from "node:crypto";
import { isArrayBuffer, isDate, isMap, isSet } from "node:util/types"; // all of node:util takes 3 ms to load
import { type Json, TesseraError } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";

const arrays = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
};
type ArrayName = keyof typeof arrays;

const deepest = 1000; // levels; JSON itself ends by a full stack some thousand levels down

/** A value that ports can carry, as the two walks over values below see it. */
type Kind =
  | { readonly kind: "json" }
  | { readonly kind: "scalar"; readonly tag: string; readonly text: string }
  | { readonly kind: "bytes"; readonly tag: string; readonly bytes: Buffer }
  | { readonly kind: "list" | "map" | "set" | "object" | "bare" };

const json: Kind = { kind: "json" };
const list: Kind = { kind: "list" };
const object: Kind = { kind: "object" };

const refused = (what: string, path: string) =>
  new TesseraError("BAD_OUTPUT", `${path} cannot be recorded: ${what}`, {
    path,
    hint: "ports carry JSON, typed arrays, dates, maps, sets and big integers",
  });

/** Whether a prototype is that of plain objects or lists, also of another realm. */
const isOf = (prototype: object, own: PropertyKey, here: object): boolean =>
  prototype === here || (Object.hasOwn(prototype, own) && Object.hasOwn(prototype, "constructor"));

function kindOf(value: unknown, path: string): Kind {
  if (value === null || typeof value === "string" || typeof value === "boolean") return json;
  if (typeof value === "number")
    return Number.isFinite(value) && !Object.is(value, -0)
      ? json
      : { kind: "scalar", tag: "$number", text: Object.is(value, -0) ? "-0" : String(value) };
  if (value === undefined) return { kind: "scalar", tag: "$undefined", text: "" };
  if (typeof value === "bigint") return { kind: "scalar", tag: "$bigint", text: String(value) };
  if (typeof value !== "object") throw refused(typeof value, path);
  return kindOfObject(value, path);
}

function kindOfObject(value: object, path: string): Kind {
  const prototype = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    if (isOf(prototype, "flatMap", Array.prototype)) return list;
  } else if (prototype === null) return { kind: "bare" };
  else if (Object.getPrototypeOf(prototype) === null && isOf(prototype, "isPrototypeOf", Object.prototype)) {
    if (Object.getOwnPropertySymbols(value).length > 0) throw refused("an object with symbols as keys", path);
    return object;
  } else if (ArrayBuffer.isView(value)) {
    const name = Object.prototype.toString.call(value).slice(8, -1);
    const tag = Buffer.isBuffer(value) ? "Buffer" : name;
    if (name in arrays)
      return { kind: "bytes", tag, bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength) };
  } else if (isArrayBuffer(value)) return { kind: "bytes", tag: "ArrayBuffer", bytes: Buffer.from(value) };
  else if (isDate(value) && Object.keys(value).length === 0)
    return { kind: "scalar", tag: "$date", text: String(value.getTime()) };
  else if (isMap(value) && Object.keys(value).length === 0) return { kind: "map" };
  else if (isSet(value) && Object.keys(value).length === 0) return { kind: "set" };
  throw refused(`an object of the class ${classOf(prototype)}`, path);
}

const classOf = (prototype: unknown): string => {
  const maker = (prototype as { constructor?: unknown } | null)?.constructor;
  return typeof maker === "function" && maker.name !== "" ? maker.name : "without a name";
};

/** The places of a list: its length, and the indexes that are not holes. @throws for members that are no elements. */
function elementsOf(value: readonly unknown[], path: string): string[] | undefined {
  const keys = Object.keys(value);
  if (keys.length === value.length && (keys.length === 0 || keys.at(-1) === String(value.length - 1))) return undefined;
  const indexes = keys.filter((key) => /^(0|[1-9]\d*)$/.test(key));
  if (indexes.length < keys.length) throw refused("a list with members beside its elements", path);
  return indexes;
}

/** Writes one value: each distinct object once, so that the work is linear in them. */
class Writer {
  private readonly places = new Map<object, number>();
  private readonly inside = new Set<object>();

  write(value: unknown, path: string): Json {
    const kind = kindOf(value, path);
    if (kind.kind === "json") return value as Json;
    if (kind.kind === "scalar" && typeof value !== "object") return { [kind.tag]: kind.text };
    const known = this.places.get(value as object);
    if (known !== undefined) {
      if (this.inside.has(value as object)) throw refused("a value that contains itself", path);
      return { $same: known };
    }
    this.places.set(value as object, this.places.size);
    if (kind.kind === "scalar") return { [kind.tag]: kind.text };
    if (kind.kind === "bytes") return { $array: kind.tag, base64: kind.bytes.toString("base64") };
    this.inside.add(value as object);
    if (this.inside.size > deepest) throw refused(`nested deeper than ${deepest} levels`, path);
    const written = this.members(value as object, kind.kind, path);
    this.inside.delete(value as object);
    return written;
  }

  private members(value: object, kind: "list" | "map" | "set" | "object" | "bare", path: string): Json {
    const each = (members: Iterable<unknown>) =>
      Array.from(members, (member, index) => this.write(member, `${path}.${index}`));
    if (kind === "list") {
      const members = value as unknown[];
      const indexes = elementsOf(members, path);
      if (!indexes) return each(members);
      const there = indexes.map(
        (index): Json => [Number(index), this.write(members[Number(index)], `${path}.${index}`)],
      );
      return { $sparse: members.length, there };
    }
    if (kind === "map") return { $map: each([...(value as Map<unknown, unknown>)].flat(1)) };
    if (kind === "set") return { $set: each(value as Set<unknown>) };
    const plain: { [key: string]: Json } = Object.create(null); // "__proto__" is a key like any other
    let tagged = false;
    for (const key of Object.keys(value)) {
      plain[key] = this.write((value as Record<string, unknown>)[key], `${path}.${key}`);
      tagged ||= key.startsWith("$");
    }
    if (kind === "bare") return { $bare: plain };
    return tagged ? { $object: plain } : plain;
  }
}

/**
 * A value of a port as text, from which `decode` makes the same again: JSON, and beside it −0, NaN and infinities,
 * `undefined`, big integers, holes in lists, dates, maps, sets, objects without a prototype, and bytes. An object that
 * occurs twice is written once, and is one object again.
 * @throws TesseraError BAD_OUTPUT for what cannot be kept: functions, symbols, objects of classes, circles.
 */
export const encode = (value: unknown, path = "value"): string =>
  typeof value === "string" ? textOfString(value) : JSON.stringify(new Writer().write(value, path));

const remembered = 8;
const longString = 1 << 14; // characters
/** The latest long strings that were written: one that passes many nodes is written once. */
const latest: { readonly value: string; readonly text: string }[] = [];

function textOfString(value: string): string {
  if (value.length < longString) return JSON.stringify(value);
  const known = latest.find((one) => one.value === value);
  if (known) return known.text;
  const text = JSON.stringify(value);
  if (latest.unshift({ value, text }) > remembered) latest.pop();
  return text;
}

/** Reads what a `Writer` wrote. */
class Reader {
  private readonly objects: unknown[] = [];

  read(given: Json): unknown {
    if (typeof given !== "object" || given === null) return given;
    if (Array.isArray(given)) {
      const elements: unknown[] = [];
      this.objects.push(elements);
      for (const member of given) elements.push(this.read(member));
      return elements;
    }
    return this.tagged(given as Record<string, Json>);
  }

  private tagged(given: Record<string, Json>): unknown {
    if (typeof given.$number === "string") return Number(given.$number);
    if (typeof given.$undefined === "string") return undefined;
    if (typeof given.$bigint === "string") return BigInt(given.$bigint);
    if (typeof given.$date === "string") return this.keep(new Date(Number(given.$date)));
    if (typeof given.$same === "number") return this.objects[given.$same];
    if (typeof given.$array === "string") return this.keep(bytesOf(given.$array, String(given.base64)));
    if (typeof given.$sparse === "number") return this.sparse(given.$sparse, given.there as [number, Json][]);
    if (Array.isArray(given.$map)) return this.map(given.$map);
    if (Array.isArray(given.$set)) {
      const set = this.keep(new Set());
      for (const member of given.$set) set.add(this.read(member));
      return set;
    }
    const bare = given.$bare as Record<string, Json> | undefined;
    const target: object = this.keep(bare ? Object.create(null) : {});
    for (const [key, member] of Object.entries(bare ?? (given.$object as Record<string, Json>) ?? given)) {
      const value = this.read(member);
      if (key === "__proto__")
        Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
      else (target as Record<string, unknown>)[key] = value;
    }
    return target;
  }

  private keep<T>(made: T): T {
    this.objects.push(made);
    return made;
  }

  private sparse(length: number, there: readonly [number, Json][]): unknown[] {
    const elements: unknown[] = this.keep([]);
    elements.length = length;
    for (const [index, member] of there) elements[index] = this.read(member);
    return elements;
  }

  private map(given: readonly Json[]): Map<unknown, unknown> {
    const map = this.keep(new Map());
    for (let at = 0; at < given.length; at += 2) {
      const key = this.read(given[at]!);
      map.set(key, this.read(given[at + 1]!));
    }
    return map;
  }
}

function bytesOf(name: string, base64: string): unknown {
  const bytes = Buffer.from(base64, "base64");
  if (name === "Buffer") return bytes;
  const own = Uint8Array.from(bytes).buffer;
  return name === "ArrayBuffer" ? own : new (arrays[name as ArrayName] as new (bytes: ArrayBuffer) => unknown)(own);
}

/** The value that `encode` wrote. */
export const decode = (text: string): unknown => new Reader().read(JSON.parse(text));

const long = 1024; // characters; what is longer stands in its parent as a hash

/**
 * A hash of a value: equal for equal values (the order of keys counts), whether parts of it are one object or several.
 * Linear in distinct objects.
 * @throws TesseraError BAD_OUTPUT as `encode`.
 */
export function hashOf(value: unknown, path = "value"): string {
  const known = new Map<object, string>();
  const inside = new Set<object>();
  const short = (text: string): string => (text.length > long ? `#${sha256(text)}` : text);
  const print = (given: unknown, at: string): string => {
    const kind = kindOf(given, at);
    if (kind.kind === "json") return typeof given === "string" ? textOfString(given) : JSON.stringify(given);
    if (kind.kind === "scalar") return `${kind.tag}(${kind.text})`;
    const before = known.get(given as object);
    if (before !== undefined) return before;
    if (kind.kind === "bytes") return `${kind.tag}(${createHash("sha256").update(kind.bytes).digest("hex")})`;
    if (inside.has(given as object)) throw refused("a value that contains itself", at);
    if (inside.size > deepest) throw refused(`nested deeper than ${deepest} levels`, at);
    inside.add(given as object);
    const text = short(members(given as object, kind.kind, at));
    inside.delete(given as object);
    known.set(given as object, text);
    return text;
  };
  const members = (given: object, kind: string, at: string): string => {
    if (kind === "list") {
      const indexes = elementsOf(given as unknown[], at);
      if (!indexes)
        return `[${(given as unknown[]).map((member, index) => print(member, `${at}.${index}`)).join(",")}]`;
      const there = indexes.map((index) => `${index}:${print((given as unknown[])[Number(index)], `${at}.${index}`)}`);
      return `$sparse(${(given as unknown[]).length},${there.join(",")})`;
    }
    if (kind === "map" || kind === "set") {
      const all = kind === "map" ? [...(given as Map<unknown, unknown>)].flat(1) : [...(given as Set<unknown>)];
      return `$${kind}(${all.map((member, index) => print(member, `${at}.${index}`)).join(",")})`;
    }
    const parts = Object.entries(given).map(
      ([key, member]) => `${JSON.stringify(key)}:${print(member, `${at}.${key}`)}`,
    );
    return `${kind === "bare" ? "$bare" : ""}{${parts.join(",")}}`;
  };
  return sha256(print(value, path));
}
