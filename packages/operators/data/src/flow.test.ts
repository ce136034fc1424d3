import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, flow, is, waitFor } from "@tessera/core";
import { portTypeOf, requestOf } from "@tessera/core/internal";
import { flowReceive } from "./flow-receive.js";
import { flowSleep } from "./flow-sleep.js";
import { flowWait } from "./flow-wait.js";

const host = { resource: () => Promise.reject(new Error("none")) };
/** What an operator asks for, with a config and an input. */
async function asked(given: unknown, config: object, input: object = {}) {
  const one = given as AnyOperator;
  const work = await one.setup(one.config.parse(config), host);
  return requestOf(await work(input, {} as never));
}
const problems = (given: unknown, config: object): string[] =>
  ((given as AnyOperator).config.safeParse(config).error?.issues ?? []).map(
    (issue: { message: string }) => issue.message,
  );
const outputs = (given: unknown, config: object) => {
  const { ports, config: schema } = given as AnyOperator;
  const { output } = typeof ports === "function" ? ports(schema.parse(config)) : ports;
  return Object.fromEntries(Object.entries(output).map(([port, type]) => [port, portTypeOf(type as never)]));
};
const moment = Date.parse("2030-01-01T00:00:00Z");

describe("flow.wait", () => {
  it("asks for an answer of its type, until the earliest of its times", async () => {
    const config = { answer: "number", until: "2030-01-02T00:00:00Z", timeoutMs: 5, otherwise: { value: 3 } };
    expect(await asked(flowWait, config, { payload: "p", until: "2030-01-01T01:00:00+01:00" })).toEqual({
      payload: "p",
      answer: "number",
      timeoutMs: 5,
      due: moment,
      otherwise: { answer: 3, timedOut: true },
    });
    expect(await asked(flowWait, {})).toEqual({ answer: "any" });
    const who = { groups: ["editors"], scope: "operate" };
    expect(await asked(flowWait, { otherwise: "skip", who })).toEqual({
      answer: "any",
      otherwise: { timedOut: true },
      who,
    });
    expect(await asked(flowWait, { form: { a: "flag" }, otherwise: { value: { a: true } } })).toEqual({
      form: { a: "flag" },
      otherwise: { a: true, timedOut: true },
    });
  });

  it("has the outputs of its answer, or of each member of its form; what may be left out is optional", () => {
    const said = { timedOut: "flag", by: { optional: "text" } };
    expect(outputs(flowWait, { answer: { choice: ["a"] } })).toEqual({ answer: { choice: ["a"] }, ...said });
    expect(outputs(flowWait, { form: { a: "flag", b: { optional: "text" } } })).toEqual({
      a: "flag",
      b: { optional: "text" },
      ...said,
    });
    expect(outputs(flowWait, { answer: "hits", otherwise: "skip" })).toEqual({ answer: { optional: "hits" }, ...said });
  });

  it("says what is wrong in its settings", async () => {
    expect(problems(flowWait, { answer: "text", form: {} })).toEqual(["it has either `answer` or `form`"]);
    expect(problems(flowWait, { form: { by: "text" } })).toEqual(['"by" is an output of its own']);
    expect(problems(flowWait, { answer: "text", otherwise: { value: 1 } })).toHaveLength(1);
    expect(problems(flowWait, { form: { a: "text" }, otherwise: { value: null } })).toHaveLength(1);
    expect(problems(flowWait, { timeoutMs: 1e12 })).toHaveLength(1);
    expect(problems(flowWait, { until: "tomorrow" })).toHaveLength(1);
    await expect(asked(flowWait, {}, { until: "tomorrow" })).rejects.toMatchObject({ code: "BAD_VALUE" });
  });

  it("its answer is a decision that a `when` reads, also in TypeScript", () => {
    flow("typed", {}, (f) => {
      const { answer } = f.node("ask", flowWait({ answer: { choice: ["yes", "no"] } }), {});
      f.node("yes", flowWait(), {}, { when: is(answer, "yes") });
      // @ts-expect-error there is no such choice
      f.node("perhaps", flowWait(), {}, { when: is(answer, "perhaps") });
      const { words } = f.node("form", flowWait({ form: { words: "text" } }), {});
      f.node("nap", flowSleep<string>({ ms: 1 }), { value: words });
      return { answer };
    });
  });
});

describe("flow.sleep", () => {
  it("sleeps for a time or until a moment, and passes its value on", async () => {
    const otherwise = { value: [1], woken: true };
    expect(await asked(flowSleep, { ms: 7 }, { value: [1] })).toEqual({ timeoutMs: 7, due: undefined, otherwise });
    expect(await asked(flowSleep, { ms: 7 }, { value: [1], ms: 9, until: "2030-01-01T00:00:00Z" })).toEqual({
      timeoutMs: 9,
      due: moment,
      otherwise,
    });
    await expect(asked(flowSleep, {}, { value: 1 })).rejects.toMatchObject({ code: "BAD_VALUE" });
    await expect(asked(flowSleep, {}, { value: 1, ms: -1 })).rejects.toMatchObject({ code: "BAD_VALUE" });
  });
});

describe("flow.receive", () => {
  it("waits for a signal of its name, and says how many are kept", async () => {
    expect(await asked(flowReceive, { signal: "go", value: "text", otherwise: { value: "none" } })).toEqual({
      signal: "go",
      answer: "text",
      port: "value",
      otherwise: { value: "none", timedOut: true },
    });
    const one = flowReceive as unknown as AnyOperator;
    expect(one.waits!(one.config.parse({ signal: "go", queue: 3 }))).toEqual({
      signal: { name: "go", queue: 3, type: "any" },
    });
    expect(problems(flowReceive, { signal: "no good" })).toHaveLength(1);
    expect(problems(flowReceive, { signal: "go", value: "number", otherwise: { value: "x" } })).toHaveLength(1);
  });
});

it("a request is known as one, and nothing else is", () => {
  expect(requestOf(waitFor({ payload: 1 }))).toEqual({ payload: 1 });
  for (const other of [undefined, null, {}, { request: {} }]) expect(requestOf(other)).toBeUndefined();
});
