import type { Json } from "@tessera/core";
import { mulberry32 } from "@tessera/core/internal";
import type { CodeModule, Problem } from "./problem.js";
import type { Language } from "./sandbox/language.js";
import type { Outcome, Sandbox } from "./sandbox/sandbox.js";

type Arguments = readonly Json[];

/** The argument lists of the public tests, where they are data. */
export const publicArguments = ({ tests, entry }: Pick<Problem, "tests" | "entry">): Json[][] =>
  typeof tests === "string" ? [] : tests.flatMap((one) => ("call" in one && one.call === entry ? [one.arguments] : []));

const words = ["", "a", "Ab", "level", "the cat sat", "x1y22z"];
const numbers = [0, 1, 2, 7, -3, 10];

/** A value of the same shape, a little different. */
function vary(value: Json, random: () => number): Json {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  if (typeof value === "number")
    return Number.isInteger(value)
      ? pick([value + 1, value - 1, -value, 0, value * 2, pick(numbers)])
      : value * (0.5 + random());
  if (typeof value === "boolean") return !value;
  if (typeof value === "string")
    return pick([
      value.slice(1),
      value + pick(["a", " ", "z"]),
      [...value].reverse().join(""),
      value.toUpperCase(),
      pick(words),
    ]);
  if (Array.isArray(value)) {
    const copy = value.map((member) => (random() < 0.3 ? vary(member, random) : member));
    const change = random();
    if (change < 0.2) return copy.slice(1);
    if (change < 0.4 && copy.length > 0) return [...copy, vary(pick(copy), random)];
    if (change < 0.6) return copy.reverse();
    if (change < 0.7) return [];
    return copy;
  }
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, vary(member, random)]));
  return value;
}

/** Argument lists like the given ones: those first, then seeded variations of them, without repeats. */
export function similarArguments(given: readonly Arguments[], count: number, seed: number): Json[][] {
  if (given.length === 0) return [];
  const random = mulberry32(seed);
  const found = new Map(given.map((one) => [JSON.stringify(one), [...one]]));
  for (let attempt = 0; attempt < count * 20 && found.size < count; attempt++) {
    const base = given[Math.floor(random() * given.length)]!;
    const next = base.map((value) => vary(value, random));
    found.set(JSON.stringify(next), next);
  }
  return [...found.values()].slice(0, count);
}

function partsOf(value: Json, into: Map<string, Json>): void {
  into.set(JSON.stringify(value), value);
  if (Array.isArray(value)) for (const member of value) partsOf(member, into);
}

const general: Json[] = [
  [3, 1, 2],
  5,
  "Hello you",
  [1, 2, 2, -4],
  "abba",
  0,
  ["b", "a", "ccc"],
  [],
  12,
  "",
  [[1, 2], [3]],
  true,
];

/**
 * Argument lists for a function of unknown types, shared by all functions of its arity: combinations of what occurs in
 * the public tests and of a few general values, in a fixed order.
 */
function sharedArguments(arity: number, given: readonly Arguments[], count: number): Json[][] {
  const parts = new Map<string, Json>();
  for (const list of given) for (const value of list) partsOf(value, parts);
  for (const value of general) parts.set(JSON.stringify(value), value);
  const pool = [...parts.values()].slice(0, 24);
  const lists = new Map<string, Json[]>();
  if (arity === 0) lists.set("", []);
  // the pair (i, i + offset) for every offset: each argument meets each value before any pair comes twice
  for (let offset = 0; arity > 0 && offset < pool.length && lists.size < count; offset++)
    for (let start = 0; start < pool.length && lists.size < count; start++) {
      const list = Array.from({ length: arity }, (_, place) => pool[(start + place * offset) % pool.length]!);
      lists.set(JSON.stringify(list), list);
    }
  return [...lists.values()];
}

/** What calls gave, as comparable text: equal texts are equal behaviour. All errors are alike. */
export const signature = (outcomes: readonly Outcome[]): string[] =>
  outcomes.map((outcome) => ("value" in outcome ? JSON.stringify(outcome.value) : "!"));

/** What each module gives on the arguments shared by its arity. A module runs inside the program it was taken from. */
export async function behaviours(
  sandbox: Sandbox,
  modules: readonly CodeModule[],
  { language, tests, entry }: { language: Language } & Pick<Problem, "tests" | "entry">,
  count: number,
  signal: AbortSignal,
): Promise<string[][]> {
  const given = publicArguments({ tests, entry });
  return Promise.all(
    modules.map(async ({ program, name, parameters }) =>
      signature(await sandbox.call(program, name, sharedArguments(parameters, given, count), language, signal)),
    ),
  );
}
