// public: Filter, filter
// internal: assertFilter, fieldOf, matches, accessKey, accessNames, permits, admits
import { z } from "zod";
import { canonicalJson } from "./canonical.js";
import { TesseraError } from "./errors.js";
import type { Json, Passage } from "./passage.js";
// A circle of types: a query of a store has a filter and a principal, and a filter is tested for a principal.
import type { Principal } from "./resources.js";

/**
 * Which passages a search may return. A field is a key of the metadata of a passage, or "id", "path", "symbol" or
 * "parent". If a name with dots is no key itself, it leads into objects: "author.name" is the key "name" of the object
 * "author". `least` and `most` are numbers; both ends are included.
 */
export type Filter =
  | { field: string; equals: Json }
  | { field: string; in: Json[] }
  | { field: string; least?: number | undefined; most?: number | undefined }
  | { all: Filter[] }
  | { any: Filter[] }
  | { not: Filter };

const field = z.string().min(1);
/** The schema of `Filter`, for configs and request bodies. */
export const filter: z.ZodType<Filter> = z.lazy(() =>
  z.union([
    z.strictObject({ field, equals: z.json() }),
    z.strictObject({ field, in: z.array(z.json()) }),
    z.strictObject({ field, least: z.number().optional(), most: z.number().optional() }),
    z.strictObject({ all: z.array(filter) }),
    z.strictObject({ any: z.array(filter) }),
    z.strictObject({ not: filter }),
  ]),
);

/**
 * Refuses a range whose bounds are no numbers, such as dates as text: no passage would ever meet it.
 * @throws TesseraError BAD_ARGUMENT with the name of the field.
 */
export function assertFilter(condition: Filter): void {
  const open: Filter[] = [condition];
  for (let part = open.pop(); part; part = open.pop()) {
    if ("all" in part) open.push(...part.all);
    else if ("any" in part) open.push(...part.any);
    else if ("not" in part) open.push(part.not);
    else if ("least" in part || "most" in part)
      for (const bound of [part.least, part.most] as unknown[])
        if (bound !== undefined && typeof bound !== "number")
          throw new TesseraError("BAD_ARGUMENT", `a range of "${part.field}" has a bound that is no number`, {
            path: part.field,
            hint: "ranges compare numbers: keep a date as a number too, such as 20261130 or Date.parse(text)",
          });
  }
}

/** What lies at a name with dots, through objects; undefined where there is nothing. */
function within(metadata: Passage["metadata"], name: string): Json | undefined {
  let value: Json | undefined = metadata;
  for (const key of name.split(".")) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
      return undefined;
    value = value[key];
  }
  return value;
}

/** What a filter's field is in a passage; never what it inherits. */
export function fieldOf(passage: Passage, name: string): Json | undefined {
  if (name === "id") return passage.id;
  if (name === "path") return passage.source?.path;
  if (name === "symbol") return passage.source?.symbol;
  if (name === "parent") return passage.parent;
  if (Object.hasOwn(passage.metadata, name)) return passage.metadata[name];
  return name.includes(".") ? within(passage.metadata, name) : undefined;
}

const same = (a: Json | undefined, b: Json): boolean =>
  a === b || (typeof a === "object" && typeof b === "object" && canonicalJson(a) === canonicalJson(b));

// a list in the metadata matches where one of its members does
const holds = (value: Json | undefined, wanted: Json): boolean =>
  same(value, wanted) || (Array.isArray(value) && value.some((member) => same(member, wanted)));

/** Whether a passage meets a filter. A missing field meets nothing but a `not`. */
export function matches(passage: Passage, condition: Filter): boolean {
  if ("all" in condition) return condition.all.every((part) => matches(passage, part));
  if ("any" in condition) return condition.any.some((part) => matches(passage, part));
  if ("not" in condition) return !matches(passage, condition.not);
  const value = fieldOf(passage, condition.field);
  if ("equals" in condition) return holds(value, condition.equals);
  if ("in" in condition) return condition.in.some((wanted) => holds(value, wanted));
  return (
    typeof value === "number" &&
    (condition.least === undefined || value >= condition.least) &&
    (condition.most === undefined || value <= condition.most)
  );
}

/**
 * The metadata key that lists who may see a passage; without it everybody may. `principal:ann` is that principal alone and
 * `group:staff` that group alone; a name without either is a principal or a group, whichever is called so.
 */
export const accessKey = "access";

const marked = /^(?:principal|group):/;

/** All that an access list may say to admit a principal. */
export function accessNames({ id, groups = [] }: Principal): string[] {
  const named = (kind: string, name: unknown) =>
    typeof name !== "string" ? [] : marked.test(name) ? [`${kind}:${name}`] : [`${kind}:${name}`, name];
  return [...named("principal", id), ...groups.flatMap((group) => named("group", group))];
}

/** Whether a principal may see a passage. Fails closed: a damaged list, or nobody asking, admits nobody. */
export function permits(passage: Passage, principal: Principal | undefined): boolean {
  if (!Object.hasOwn(passage.metadata, accessKey)) return true;
  const access = passage.metadata[accessKey];
  if (!Array.isArray(access) || principal === undefined) return false;
  return accessNames(principal).some((name) => access.includes(name));
}

/** Both: what a store applies to every candidate before it takes the best. */
export function admits(passage: Passage, condition: Filter | undefined, principal: Principal | undefined): boolean {
  return permits(passage, principal) && (condition === undefined || matches(passage, condition));
}
