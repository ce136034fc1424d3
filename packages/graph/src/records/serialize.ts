// internal: toJson
import { type Json, TesseraError } from "@tessera/core";

const arrays = { Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array };
type ArrayName = keyof typeof arrays;

const isPlain = (value: object): boolean => {
  const prototype = Object.getPrototypeOf(value);
  // an object of another realm has another Object.prototype, whose own prototype is null
  return prototype === null || Object.getPrototypeOf(prototype) === null;
};

/**
 * A value of a port as JSON, for states, events and answers: typed arrays are written as base64, `undefined` members are left
 * out. Each distinct object is converted once. (Records keep more, exactly: `encode`.)
 * @throws TesseraError BAD_OUTPUT for what JSON cannot say: functions, class instances, circles.
 */
export function toJson(value: unknown, path = "value"): Json {
  const plain = shallow(value);
  if (plain !== undefined) return plain;
  const known = new Map<object, Json>();
  const inside = new Set<object>();
  const convert = (given: unknown, at: string): Json => {
    if (given === null || typeof given === "string" || typeof given === "boolean") return given;
    if (typeof given === "number") return Number.isFinite(given) ? given : { $number: String(given) };
    if (typeof given !== "object" || inside.has(given)) throw refused(given, at);
    const before = known.get(given);
    if (before !== undefined) return before;
    inside.add(given);
    const made = convertObject(given, at, convert);
    inside.delete(given);
    known.set(given, made);
    return made;
  };
  return convert(value, path);
}

/** The copy of an object of texts and flags, which most ports carry; `undefined` for anything else. */
function shallow(value: unknown): Json | undefined {
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return undefined;
  const copy: Record<string, Json> = {};
  for (const key of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[key];
    if (typeof member !== "string" && typeof member !== "boolean") return undefined;
    if (key.startsWith("$") || key === "__proto__") return undefined;
    copy[key] = member;
  }
  return copy;
}

const refused = (value: unknown, path: string) =>
  new TesseraError("BAD_OUTPUT", `${path} cannot be written as JSON: ${typeof value}`, {
    path,
    hint: "states, events and answers carry JSON and typed arrays",
  });

function convertObject(value: object, path: string, convert: (value: unknown, path: string) => Json): Json {
  if (Array.isArray(value)) return Array.from(value, (member, index) => convert(member ?? null, `${path}.${index}`));
  if (ArrayBuffer.isView(value)) {
    const name = Object.prototype.toString.call(value).slice(8, -1);
    if (!(name in arrays)) throw refused(value, path);
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return { $array: name, base64: bytes.toString("base64") };
  }
  if (!isPlain(value)) throw refused(value, path);
  const plain: Record<string, Json> = {};
  let tagged = false;
  for (const key of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[key];
    if (member === undefined) continue;
    const json = convert(member, `${path}.${key}`);
    if (key === "__proto__")
      Object.defineProperty(plain, key, { value: json, enumerable: true, writable: true, configurable: true });
    else plain[key] = json;
    tagged ||= key.startsWith("$");
  }
  return tagged ? { $object: plain } : plain;
}

/** The value that `toJson` wrote. */
export function fromJson(json: Json): unknown {
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) return json.map(fromJson);
  const members = json as Record<string, Json>;
  if (typeof members.$number === "string") return Number(members.$number);
  if (typeof members.$array === "string" && typeof members.base64 === "string") {
    const bytes = Uint8Array.from(Buffer.from(members.base64, "base64"));
    return new arrays[members.$array as ArrayName](bytes.buffer);
  }
  const plain = (members.$object ?? members) as Record<string, Json>;
  return Object.fromEntries(Object.entries(plain).map(([key, member]) => [key, fromJson(member)]));
}
