// public: EveryKind, everyKind, everyKindInput, everyKindInside
import { flow, operator, text } from "@tessera/core";
import { z } from "zod";

export interface EveryKind {
  /** How long a step takes, in milliseconds. */
  readonly ms: number;
  /** Told of every step when it ends, before its result counts. */
  readonly note: (path: string, value: string) => void | Promise<void>;
}

/**
 * What the tests of crashes run: the flow "every" with a step, an `each`, a `repeat` and a nested flow, and the flow "one"
 * with a single step. A step given "poison" kills its process. In a process of its own, which has no jest, it is
 * `@tessera/testkit/every-kind`.
 */
export function everyKind({ ms, note }: EveryKind) {
  const about = { module: "data", submodule: "test" } as const;
  const slow = operator({
    name: "test.slow",
    version: 1,
    about: { ...about, summary: "Takes its time." },
    config: z.strictObject({ add: z.string() }),
    ports: { input: { value: text }, output: { value: text } },
    effects: "write",
    setup:
      ({ add }) =>
      async ({ value }, { path, random }) => {
        await new Promise((resolve) => setTimeout(resolve, ms));
        if (value === "poison") process.kill(process.pid, "SIGKILL");
        await note(path, value);
        return { value: `${value}${add}${Math.floor(random() * 10)}` };
      },
  });
  const join = operator({
    name: "test.join",
    version: 1,
    about: { ...about, summary: "Joins." },
    config: z.strictObject({}),
    ports: { input: { values: z.array(text) }, output: { value: text } },
    setup:
      () =>
      ({ values }) => ({ value: values.join("") }),
  });
  const inner = flow("inner", { value: "text" }, (f, input) => {
    const a = f.node("a", slow({ add: "a" }), input);
    return { value: f.node("b", slow({ add: "b" }), { value: a.value }).value };
  });
  const every = flow("every", { value: "text", values: { list: "text" } }, (f, { value, values }) => {
    const step = f.node("step", slow({ add: "s" }), { value });
    const each = f.each("each", slow({ add: "e" }), { over: "value", max: 9, concurrency: 2 }, { value: values });
    const repeat = f.repeat("repeat", slow({ add: "r" }), { carry: { value: "value" }, max: 3 }, { value: step.value });
    const nested = f.node("nested", inner, { value: step.value });
    const elements = f.node("elements", join(), { values: each.value });
    return { value: f.node("end", join(), { values: [elements.value, repeat.value, nested.value] }).value };
  });
  const one = flow("one", { value: "text" }, (f, { value }) => ({
    value: f.node("step", slow({ add: "s" }), { value }).value,
  }));
  return { flows: { every: every.document, one: one.document }, operators: [slow, join] };
}

/** An input of the flow "every". */
export const everyKindInput = { value: "v", values: ["1", "2", "3", "4"] };

/** The paths of the steps within each composed node of the flow "every". */
export const everyKindInside = {
  each: /^every\/each/,
  repeat: /^every\/repeat/,
  nested: /^every\/nested/,
} as const;
