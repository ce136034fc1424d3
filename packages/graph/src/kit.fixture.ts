// operators for the tests of this package
import { type AnyOperator, type FlowDocument, flag, number, operator, type TesseraError, text } from "@tessera/core";
import { referencesOf, splitReference } from "@tessera/core/internal";
import { z } from "zod";
import { compile } from "./compile.js";

const about = { module: "data", submodule: "test", summary: "For tests of the scheduler." } as const;
const none = z.strictObject({});

/** What the test operators were asked to do, in order. */
export class Log {
  readonly started: string[] = [];
  readonly ended: string[] = [];
  active = 0;
  peak = 0;
}

/** A set of small operators that share a log. */
export function testKit(log = new Log()) {
  const operators = {
    /** Gives its text back after some time; it ignores its signal. */
    wait: operator({
      name: "test.wait",
      version: 1,
      about,
      config: z.strictObject({ ms: z.number().default(0), add: z.string().default("") }),
      ports: { input: { value: text, after: z.any().optional() }, output: { value: text } },
      setup:
        ({ ms, add }) =>
        async ({ value }, { path }) => {
          log.started.push(path);
          log.peak = Math.max(log.peak, ++log.active);
          if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
          log.active--;
          log.ended.push(path);
          return { value: value + add };
        },
    }),
    /** The same, at once and synchronously. */
    add: operator({
      name: "test.add",
      version: 1,
      about,
      config: z.strictObject({ add: z.string().default("") }),
      ports: { input: { value: text }, output: { value: text } },
      effects: "none",
      setup:
        ({ add }) =>
        ({ value }, { path }) => {
          log.started.push(path);
          return { value: value + add };
        },
    }),
    increment: operator({
      name: "test.increment",
      version: 1,
      about,
      config: z.strictObject({ until: z.number().default(Number.POSITIVE_INFINITY) }),
      ports: { input: { n: number }, output: { n: number, done: flag, rest: z.array(number) } },
      effects: "none",
      setup:
        ({ until }) =>
        ({ n }) => ({
          n: n + 1,
          done: n + 1 >= until,
          rest: Array.from({ length: Math.max(0, 3 - n - 1) }, (_, i) => i),
        }),
    }),
    choose: operator({
      name: "test.choose",
      version: 1,
      about,
      config: none,
      ports: { input: { value: text }, output: { choice: z.enum(["a", "b", "c"]), long: flag } },
      setup:
        () =>
        ({ value }, { path }) => {
          log.started.push(path);
          return {
            choice: (["a", "b"] as const).find((letter) => value.startsWith(letter)) ?? ("c" as const),
            long: value.length > 3,
          };
        },
    }),
    join: operator({
      name: "test.join",
      version: 1,
      about,
      config: none,
      ports: { input: { values: z.array(text), also: text.optional() }, output: { value: text } },
      setup:
        () =>
        ({ values, also }, { path }) => {
          log.started.push(path);
          return { value: [...values, ...(also === undefined ? [] : [`also ${also}`])].join(",") };
        },
    }),
    names: operator({
      name: "test.names",
      version: 1,
      about,
      config: none,
      ports: { input: { values: z.record(z.string(), text) }, output: { value: text } },
      setup:
        () =>
        ({ values }) => ({ value: JSON.stringify(values) }),
    }),
    split: operator({
      name: "test.split",
      version: 1,
      about,
      config: none,
      ports: { input: { value: text }, output: { values: z.array(text) } },
      setup:
        () =>
        ({ value }) => ({ values: value === "" ? [] : value.split(",") }),
    }),
    /** Fails for texts with "bad" in them; for "bad:2" on the first two attempts only. */
    risky: operator({
      name: "test.risky",
      version: 1,
      about,
      config: none,
      ports: { input: { value: text }, output: { value: text } },
      setup: () => {
        const attempts = new Map<string, number>();
        return async ({ value }, { path }) => {
          log.started.push(path);
          const attempt = (attempts.get(value) ?? 0) + 1;
          attempts.set(value, attempt);
          const limit = /bad:(\d+)/.exec(value)?.[1];
          if (value.includes("bad") && (limit === undefined || attempt <= Number(limit)))
            throw new Error(`cannot: ${value}`);
          return { value };
        };
      },
    }),
    /** Streams the words of its text, then returns it. */
    speak: operator({
      name: "test.speak",
      version: 1,
      about,
      config: z.strictObject({ good: z.number().default(1) }),
      ports: { input: { value: text, turn: number.optional() }, output: { value: text, good: flag } },
      setup:
        ({ good }) =>
        async ({ value, turn = 1 }, { emit }) => {
          for (const word of value.split(" ")) {
            emit("value", `${word}${turn} `);
            await null;
          }
          return { value: `${value} ${turn}`, good: turn >= good };
        },
    }),
    /** One call and at most 10 tokens, of which it reports those of its config, or nothing. */
    costly: operator({
      name: "test.costly",
      version: 1,
      about,
      config: z.strictObject({ report: z.number().optional(), ms: z.number().default(0) }),
      ports: { input: { value: text }, output: { value: text, done: flag } },
      bound: () => ({ calls: 1, tokens: 10 }),
      setup:
        ({ report, ms }) =>
        async ({ value }, { spend, path }) => {
          log.started.push(path);
          if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
          if (report !== undefined) spend({ calls: 1, tokens: report });
          return { value: `${value}$`, done: false };
        },
    }),
    random: operator({
      name: "test.random",
      version: 1,
      about,
      config: none,
      ports: { input: { value: text }, output: { value: text } },
      setup: () => (_, context) => ({ value: String(context.random()) }),
    }),
    maybe: operator({
      name: "test.maybe",
      version: 1,
      about,
      config: none,
      ports: { input: { value: text }, output: { value: text, extra: text.optional() } },
      setup:
        () =>
        ({ value }) => ({ value, ...(value.includes("extra") && { extra: "extra" }) }),
    }),
    write: operator({
      name: "test.write",
      version: 1,
      about,
      config: none,
      ports: { input: { value: text }, output: { value: text } },
      effects: "write",
      setup:
        () =>
        async ({ value }, { path }) => {
          log.started.push(path);
          return { value };
        },
    }),
  };
  return { ...operators, log, all: Object.values(operators) as unknown as AnyOperator[] };
}

/** What is wrong with a document, as `compile` says it. */
export const findingsOf = (document: unknown, kit = testKit()): Promise<TesseraError[]> =>
  compile(document, { operators: kit.all }).then(
    () => [],
    (error: TesseraError) => [...error.findings],
  );

/** Leaves out the nodes that nothing reads: they would be findings. */
export function prune(document: FlowDocument): FlowDocument {
  const used = new Set<string>();
  const pending = Object.values(document.output).flatMap(referencesOf);
  while (pending.length > 0) {
    const [id] = splitReference(pending.pop()!);
    if (used.has(id) || id === "input") continue;
    used.add(id);
    const node = document.nodes[id]!;
    pending.push(...Object.keys(node.when ?? {}), ...Object.values(node.in).flatMap(referencesOf));
  }
  return { ...document, nodes: Object.fromEntries(Object.entries(document.nodes).filter(([id]) => used.has(id))) };
}
