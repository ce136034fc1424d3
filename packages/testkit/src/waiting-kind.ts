// public: WaitingKind, waitingKind, waitingKindInput, livesOf
import { flow, operator, text, waitFor } from "@tessera/core";
import { z } from "zod";
import type { EveryKind } from "./every-kind.js";

/** A flow that waits in every place where one can, for tests that kill its process. */
export type WaitingKind = ReturnType<typeof waitingKind>;

const about = { module: "data", submodule: "test" } as const;

/**
 * The flow "asking": a step, an `each` whose elements ask, a loop that asks in each turn, and a question of its own, each with
 * a step behind it. It can work on a thread. In a process of its own, which has no jest, it is
 * `@tessera/testkit/waiting-kind`.
 */
export function waitingKind({ ms, note }: EveryKind) {
  const step = operator({
    name: "test.step",
    version: 1,
    about: { ...about, summary: "Takes its time." },
    config: z.strictObject({}),
    ports: { input: { value: text }, output: { value: text } },
    effects: "write",
    setup:
      () =>
      async ({ value }, { path }) => {
        await new Promise((resolve) => setTimeout(resolve, ms));
        await note(path, value);
        return { value: `${value}!` };
      },
  });
  const ask = operator({
    name: "test.ask",
    version: 1,
    about: { ...about, summary: "Asks." },
    config: z.strictObject({}),
    ports: { input: { value: text }, output: { answer: text } },
    effects: "write",
    waits: () => ({}),
    setup:
      () =>
      async ({ value }, { path }) => {
        await note(path, value);
        return waitFor({ payload: value, answer: "text" });
      },
  });
  const split = operator({
    name: "test.split",
    version: 1,
    about: { ...about, summary: "Makes three of one." },
    config: z.strictObject({}),
    ports: { input: { value: text }, output: { values: z.array(text) } },
    setup:
      () =>
      ({ value }) => ({ values: [1, 2, 3].map((n) => `${value}${n}`) }),
  });
  const join = operator({
    name: "test.join",
    version: 1,
    about: { ...about, summary: "Joins." },
    config: z.strictObject({}),
    ports: { input: { values: z.array(text), more: z.array(text) }, output: { text } },
    setup:
      () =>
      ({ values, more }) => ({ text: [...values, ...more].join(" ") }),
  });
  const asked = flow("asked", { value: "text" }, (f, input) => {
    const { answer } = f.node("ask", ask(), input);
    return { value: f.node("step", step(), { value: answer }).value };
  });
  const asking = flow("asking", { query: "text", history: { optional: "text" } }, (f, { query }) => {
    const first = f.node("first", step(), { value: query });
    const { values } = f.node("split", split(), { value: first.value });
    const each = f.each("each", asked, { over: "value", max: 9, concurrency: 2 }, { value: values });
    const loop = f.repeat("loop", asked, { carry: { value: "value" }, max: 2 }, { value: first.value });
    const own = f.node("own", asked, { value: query });
    return { text: f.node("end", join(), { values: each.value, more: [loop.value, own.value] }).text };
  });
  return { flow: asking, document: asking.document, operators: [step, ask, split, join] };
}

/** An input of the flow "asking". */
export const waitingKindInput = { query: "q" };

interface Result {
  readonly status: string;
  readonly output: Readonly<Record<string, unknown>>;
  readonly waits?: readonly { readonly path: string; readonly payload?: unknown }[];
}

/** A flow that is ready to run, as far as it is needed here. */
interface Ready {
  run(input: never, options: { id: string; thread?: string }): Promise<Result>;
  resume(id: string): Promise<Result>;
  answer(id: string, answer: { path: string; value: unknown }): Promise<unknown>;
}

/**
 * Lives a run to its end: begins it or takes it up, and answers the last thing that it waits for until nothing is left.
 * @param isKnown whether it began in an earlier life
 */
export async function livesOf(ready: Ready, id: string, isKnown: boolean): Promise<Result> {
  let result = isKnown ? await ready.resume(id) : await ready.run(waitingKindInput as never, { id, thread: `t-${id}` });
  while (result.status === "waiting") {
    const { path, payload } = result.waits!.at(-1)!;
    await ready.answer(id, { path, value: `<${payload}>` });
    result = await ready.resume(id);
  }
  return result;
}
