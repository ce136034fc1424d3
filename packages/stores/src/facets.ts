import type { Filter, Json, Passage } from "@tessera/core";
import { canonicalJson, fieldOf } from "@tessera/core/internal";

const remembered = 16; // fields

/** The slots of a value: the one slot, where there is no other. */
type Slots = number | Set<number>;
type Field = Map<unknown, Slots>;

// lists and objects are found by their text; it may be another value's as well, which only lets more through
const keyOf = (value: Json): unknown => (typeof value === "object" && value !== null ? canonicalJson(value) : value);

/**
 * Which slots hold which value of a field: an index inverted, of the fields that filters have named. A field is read
 * through when the first filter names it, and kept up from then on; of more than sixteen the one asked for longest ago
 * goes. It narrows a search and decides nothing: of the slots that it gives each is still held against the filter, so
 * that passages which were changed from outside, or cleared, are never let through.
 */
export class Facets {
  readonly #fields = new Map<string, Field>();

  /** @param passages by slot; what it holds before a field is first named is read from there */
  constructor(private readonly passages: readonly (Passage | undefined)[]) {}

  put(slot: number, passage: Passage): void {
    for (const [name, field] of this.#fields) add(field, slot, fieldOf(passage, name));
  }

  clear(slot: number, passage: Passage): void {
    for (const [name, field] of this.#fields)
      for (const key of keysOf(fieldOf(passage, name))) {
        const slots = field.get(key);
        if (slots === slot) field.delete(key);
        else if (typeof slots === "object" && slots.delete(slot) && slots.size === 0) field.delete(key);
      }
  }

  /**
   * The slots that may meet a filter, each once; `undefined` where its values do not name them (a `not`, a range of a
   * field with more than `most` values), or name more than `most`.
   */
  find(filter: Filter, most: number): Iterable<number> | undefined {
    const lists = this.#lists(filter, most);
    if (!lists) return undefined;
    if (lists.length === 1) return typeof lists[0] === "number" ? [lists[0]] : lists[0];
    const all = new Set<number>();
    for (const slots of lists)
      if (typeof slots === "number") all.add(slots);
      else for (const slot of slots) all.add(slot);
    return all;
  }

  /** Lists whose union is it. */
  #lists(filter: Filter, most: number): Slots[] | undefined {
    if ("not" in filter) return undefined;
    if ("all" in filter) {
      let fewest: Slots[] | undefined;
      for (const part of filter.all) {
        const lists = this.#lists(part, fewest ? countOf(fewest) : most);
        if (lists) fewest = lists;
      }
      return fewest;
    }
    const lists: Slots[] = [];
    if ("any" in filter)
      for (const part of filter.any) {
        const some = this.#lists(part, most);
        if (!some) return undefined;
        lists.push(...some);
      }
    else {
      const field = this.#field(filter.field);
      if ("equals" in filter || "in" in filter)
        for (const key of new Set(("in" in filter ? filter.in : [filter.equals]).map(keyOf))) {
          const slots = field.get(key);
          if (slots !== undefined) lists.push(slots);
        }
      else {
        if (field.size > most) return undefined;
        const { least = Number.NEGATIVE_INFINITY, most: greatest = Number.POSITIVE_INFINITY } = filter;
        for (const [key, slots] of field)
          if (typeof key === "number" && key >= least && key <= greatest) lists.push(slots);
      }
    }
    return countOf(lists) <= most ? lists : undefined;
  }

  #field(name: string): Field {
    let field = this.#fields.get(name);
    if (field) this.#fields.delete(name);
    else {
      field = new Map();
      for (const [slot, passage] of this.passages.entries()) if (passage) add(field, slot, fieldOf(passage, name));
      if (this.#fields.size >= remembered) this.#fields.delete(this.#fields.keys().next().value!);
    }
    this.#fields.set(name, field);
    return field;
  }
}

const countOf = (lists: readonly Slots[]): number =>
  lists.reduce<number>((sum, slots) => sum + (typeof slots === "number" ? 1 : slots.size), 0);

/** What a filter may ask for and find this value: itself, and the members of a list. */
function keysOf(value: Json | undefined): unknown[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? [keyOf(value), ...value.map(keyOf)] : [keyOf(value)];
}

function add(field: Field, slot: number, value: Json | undefined): void {
  for (const key of keysOf(value)) {
    const slots = field.get(key);
    if (slots === undefined) field.set(key, slot);
    else if (typeof slots === "object") slots.add(slot);
    else if (slots !== slot) field.set(key, new Set([slots, slot]));
  }
}
