import { type Json, TesseraError } from "@tessera/core";

const arrays = { Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array };
type ArrayName = keyof typeof arrays;

const isPlain = (value: object): boolean => {
  const prototype = Object.getPrototypeOf(value);
  // an object of another realm has another Object.prototype, whose own prototype is null
  return prototype === null || Object.getPrototypeOf(prototype) === null;
};

/**
 * A value of a port as JSON: typed arrays are written as base64, `undefined` members are left out.
 * @throws TesseraError BAD_OUTPUT for what cannot be kept: functions, class instances, circles.
 */
export function toJson(value: unknown, path = "value", above: readonly unknown[] = []): Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : { $number: String(value) };
  if (typeof value === "object" && !above.includes(value)) {
    const inside = [...above, value];
    if (Array.isArray(value)) return value.map((member, index) => toJson(member ?? null, `${path}.${index}`, inside));
    if (ArrayBuffer.isView(value)) {
      const name = Object.prototype.toString.call(value).slice(8, -1);
      if (name in arrays)
        return {
          $array: name,
          base64: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64"),
        };
    } else if (isPlain(value)) {
      const entries = Object.entries(value)
        .filter(([, member]) => member !== undefined)
        .map(([key, member]) => [key, toJson(member, `${path}.${key}`, inside)] as const);
      const plain = Object.fromEntries(entries);
      return entries.some(([key]) => key.startsWith("$")) ? { $object: plain } : plain;
    }
  }
  throw new TesseraError("BAD_OUTPUT", `${path} cannot be recorded: ${typeof value}`, {
    path,
    hint: "ports carry JSON and typed arrays",
  });
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
