import { createHash } from "node:crypto";
import type { Json, Passage } from "@tessera/core";
import { accessKey, canonicalJson } from "@tessera/core/internal";

const longest = 64; // indexes of databases take short entries; what is longer is kept by its hash
/** Stands in the access list of a passage that everybody may see. */
export const everybody = "*"; // never the JSON of a name, which begins with a quote

/** A value as one word. JSON writes NUL and lone surrogates, which databases cannot keep, as escapes. */
export const token = (value: unknown): string => {
  const text = canonicalJson(value);
  return text.length <= longest ? text : `#${createHash("sha256").update(text).digest("base64")}`;
};

/** That a field holds a value, as one word. */
export const fact = (field: string, value: Json): string => token([field, value]);

/** What the filters and the principal's condition look at, of one passage. */
interface PassageFacts {
  /** Every value that a field holds; of a list also each member. */
  readonly facts: readonly string[];
  /** The fields that are numbers, under their names as JSON. */
  readonly numbers: Readonly<Record<string, number>>;
  /** Who may see it. */
  readonly access: readonly string[];
}

/** What lies in the objects of a passage's metadata, under names with dots that are no keys themselves. */
function nested(metadata: Passage["metadata"]): [string, Json][] {
  const found: [string, Json][] = [];
  const open: [string, Json][] = Object.entries(metadata).filter(([name]) => !name.includes("."));
  for (let next = open.pop(); next; next = open.pop()) {
    const [name, value] = next;
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (key.includes(".")) continue;
      const place = `${name}.${key}`;
      if (!Object.hasOwn(metadata, place)) found.push([place, inner]);
      open.push([place, inner]);
    }
  }
  return found;
}

/** What a store in a database keeps of a passage beside it, so that the database can filter. */
export function factsOf({ id, source, parent, metadata }: Passage): PassageFacts {
  const own: Record<string, Json | undefined> = { id, path: source?.path, symbol: source?.symbol, parent };
  const fields: [string, Json | undefined][] = [
    ...Object.entries(own),
    ...Object.entries(metadata).filter(([field]) => !Object.hasOwn(own, field)),
    ...nested(metadata),
  ];
  const facts = new Set<string>();
  const numbers: [string, number][] = [];
  for (const [field, value] of fields) {
    if (value === undefined) continue;
    facts.add(fact(field, value));
    if (Array.isArray(value)) for (const member of value) facts.add(fact(field, member));
    if (typeof value === "number") numbers.push([JSON.stringify(field), value]);
  }
  const listed = metadata[accessKey];
  const names = Array.isArray(listed) ? listed.filter((name) => typeof name === "string").map(token) : [];
  return {
    facts: [...facts],
    numbers: Object.fromEntries(numbers),
    access: Object.hasOwn(metadata, accessKey) ? [...new Set(names)] : [everybody],
  };
}
