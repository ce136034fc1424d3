import { describe, expect, it } from "@jest/globals";
import { type FlowDocument, type Json, operator, text, waitFor } from "@tessera/core";
import { FakeClock } from "@tessera/testkit";
import fc from "fast-check";
import { z } from "zod";
import { checkFlow, compile } from "../compile.js";
import { memoryRecords } from "../records/memory.js";
import { openWaitsOf } from "./answering.js";
import { waitingKit } from "./waits.fixture.js";

type Nodes = FlowDocument["nodes"];
const flowOf = (nodes: Nodes, output: FlowDocument["output"], input: FlowDocument["input"] = { value: "text" }) =>
  ({ version: 1, name: "f", input, nodes, output }) as FlowDocument;

/** A flow with its own records and clock, of which several lives can be made. */
async function world(document: FlowDocument) {
  const kit = waitingKit();
  const records = memoryRecords();
  const clock = new FakeClock();
  const again = () => compile(document, { operators: kit.all, records, clock });
  const ready = await again();
  const open = async () => openWaitsOf(records, (await records.run("r"))!);
  return { ...kit, records, clock, ready, again, open };
}

/** Answers, and takes the run up where it does not go on by itself. */
async function answered(
  { ready }: { ready: Awaited<ReturnType<typeof compile>> },
  path: string,
  value: unknown,
  options = {},
) {
  expect(await ready.answer("r", { path, value }, options)).toBe(false);
  return ready.resume("r");
}

const approval = flowOf(
  {
    draft: { run: "test.wait", with: { add: "!" }, in: { value: "input.value" } },
    approve: { run: "test.ask", with: { answer: { choice: ["yes", "no"] } }, in: { value: "draft.value" } },
    other: { run: "test.wait", with: { add: "?", ms: 5 }, in: { value: "input.value" } },
    send: { run: "test.write", in: { value: "draft.value" }, when: { "approve.answer": "yes" } },
  },
  { sent: { first: ["send.value", { value: "nothing" }] }, answer: "approve.answer", other: "other.value" },
);

describe("a run that waits", () => {
  it("ends with what it waits for, when all that does not depend on it is done", async () => {
    const one = await world(approval);
    const { ready, log, records, open } = one;
    const result = await ready.run({ value: "a" }, { id: "r", principal: { id: "ann" } });
    const wait = {
      run: "r",
      flow: "f",
      path: "f/approve",
      kind: "answer",
      payload: "a!",
      schema: { type: "string", enum: ["yes", "no"] },
      since: "1970-01-01T00:00:00.000Z",
    };
    expect(result).toMatchObject({ status: "waiting", output: {}, waits: [wait] });
    expect(log.ended.sort()).toEqual(["f/draft", "f/other"]);
    expect(await open()).toEqual([wait]);
    expect(await records.waits!.get("r")).toMatchObject({ principal: "ann", paths: ["f/approve"] });
    const starts = [...log.started];
    const { status, output, spent } = await answered(one, "f/approve", "yes");
    expect({ status, output }).toEqual({ status: "done", output: { sent: "a!", answer: "yes", other: "a?" } });
    // a step never runs again: only what comes after the wait did
    expect(log.started.slice(starts.length)).toEqual(["f/send"]);
    expect(spent.steps).toBe(4);
    expect(await records.waits!.get("r")).toBeUndefined();
    expect(await ready.replay("r")).toMatchObject({ status: "done", output });
  });

  it("holds an answer to its type, and takes one alone", async () => {
    const one = await world(approval);
    await one.ready.run({ value: "a" }, { id: "r" });
    const answer = (path: string, value: unknown) => one.ready.answer("r", { path, value });
    await expect(answer("f/approve", "perhaps")).rejects.toMatchObject({ code: "BAD_INPUT", path: "f/approve" });
    await expect(answer("f/aprove", "yes")).rejects.toMatchObject({
      code: "NOT_FOUND",
      hint: expect.stringContaining("f/approve"),
    });
    await expect(answer("f/draft", "yes")).rejects.toMatchObject({ code: "NOT_FOUND" });
    const many = await Promise.allSettled(["yes", "no", "yes"].map((value) => answer("f/approve", value)));
    expect(many.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
    await expect(answer("f/approve", "no")).rejects.toMatchObject({ code: "CONFLICT" });
    expect((await one.ready.resume("r")).output).toMatchObject({ answer: "yes" });
    await expect(answer("f/approve", "no")).rejects.toMatchObject({ code: "CONFLICT" });
  });

  it("takes every JSON value as an answer, null too", async () => {
    const document = flowOf({ ask: { run: "test.ask", with: { answer: "any" }, in: {} } }, { answer: "ask.answer" });
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.constant(null), fc.jsonValue()), async (value) => {
        const one = await world(document);
        await one.ready.run({ value: "" }, { id: "r" });
        const { output } = await answered(one, "f/ask", value);
        expect(output.answer).toEqual(value);
      }),
      { numRuns: 60 },
    );
  });

  it("may be answered by its principal, and by whom the wait names", async () => {
    const document = flowOf(
      { ask: { run: "test.ask", with: { groups: ["editors"] }, in: {} } },
      { answer: "ask.answer", by: { first: ["ask.by", { value: "nobody" }] } },
    );
    const owner = { id: "ann" };
    const outcome = async (by: { id: string; groups?: string[] } | undefined, options = {}) => {
      const one = await world(document);
      await one.ready.run({ value: "" }, { id: "r", principal: owner });
      return answered(one, "f/ask", "x", { by, ...options }).then(
        ({ output }) => output.by,
        ({ code }) => code,
      );
    };
    expect(await outcome(undefined)).toBe("nobody");
    expect(await outcome(owner)).toBe("ann");
    expect(await outcome({ id: "bob", groups: ["editors"] })).toBe("bob");
    expect(await outcome({ id: "bob", groups: ["others"] })).toBe("FORBIDDEN");
    expect(await outcome({ id: "bob" }, { anyone: true })).toBe("bob");
  });
});

const nested = flowOf(
  { ask: { run: "test.ask", in: { value: "input.value" } }, end: { run: "test.wait", in: { value: "ask.answer" } } },
  { value: "end.value" },
);

/** Three branches that wait, an `each`, and a loop; whatever reads them waits for all. */
const many = flowOf(
  {
    split: { run: "test.split", in: { value: "input.value" } },
    each: { run: nested, each: { over: "value", max: 9, concurrency: 2 }, in: { value: "split.values" } },
    left: { run: "test.ask", in: { value: { value: "left" } } },
    loop: { run: nested, repeat: { carry: { value: "value" }, max: 2 }, in: { value: { value: "turn" } } },
    join: { run: "test.join", in: { values: "each.value" } },
  },
  { each: "join.value", left: "left.answer", loop: "loop.value" },
);

describe("several waits in one run", () => {
  it("are answered in any order, each once; payloads and concurrency stay, and each turn asks anew", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { minLength: 8, maxLength: 8 }), async (choices) => {
        const one = await world(many);
        let result = await one.ready.run({ value: "a,b,c" }, { id: "r" });
        let asked = 0;
        for (const choice of choices) {
          if (result.status === "done") break;
          const { waits = [] } = result;
          // an element of an `each` waits with its own payload, and no more of them than may work at once
          const elements = waits.filter(({ path }) => path.includes("["));
          expect(elements.length).toBeLessThanOrEqual(2);
          for (const { path, payload } of elements) expect(payload).toBe("abc"[Number(/\[(\d)/.exec(path)![1])]);
          expect(await one.open()).toEqual(waits);
          const { path, payload } = waits[choice % waits.length]!;
          asked++;
          result = await answered(one, path, `<${payload}>`);
        }
        expect(asked).toBe(6);
        expect(result.output).toEqual({ each: "<a>,<b>,<c>", left: "<left>", loop: "<<turn>>" });
        // no question is asked twice, and nothing behind one runs twice
        expect(new Set(one.log.started).size).toBe(one.log.started.length);
      }),
      { numRuns: 40 },
    );
  });

  it("are answered while others work, in this life or before it", async () => {
    const document = flowOf(
      {
        ask: { run: "test.ask", in: { value: "input.value" } },
        behind: { run: "test.wait", with: { add: "+" }, in: { value: "ask.answer" } },
        slow: { run: "test.wait", with: { ms: 40 }, in: { value: "input.value" } },
        later: { run: "test.ask", in: { value: "slow.value" } },
      },
      { behind: "behind.value", later: "later.answer" },
    );
    const one = await world(document);
    const running = one.ready.run({ value: "v" }, { id: "r" });
    while ((await one.records.run("r")) === undefined || (await one.open()).length === 0)
      await new Promise((resolve) => setImmediate(resolve));
    expect(await one.ready.answer("r", { path: "f/ask", value: "A" })).toBe(true);
    const { status, waits } = await running;
    // the other one still worked, and the branch behind the answer went on
    expect({ status, paths: waits?.map(({ path }) => path) }).toEqual({ status: "waiting", paths: ["f/later"] });
    expect(one.log.ended).toEqual(["f/behind", "f/slow"]);
    expect((await answered(one, "f/later", "L")).output).toEqual({ behind: "A+", later: "L" });
    expect(new Set(one.log.started).size).toBe(one.log.started.length);
  });

  it("of a flow that is tried again belong to its attempt", async () => {
    const inner = flowOf(
      {
        ask: { run: "test.ask", in: { value: "input.value" } },
        risky: { run: "test.risky", in: { value: "ask.answer" } },
      },
      { value: "risky.value" },
    );
    const one = await world(
      flowOf(
        { inner: { run: inner, policy: { retry: { attempts: 3 } }, in: { value: "input.value" } } },
        { value: "inner.value" },
      ),
    );
    const first = await one.ready.run({ value: "q" }, { id: "r" });
    expect(first.waits).toMatchObject([{ path: "f/inner/ask" }]);
    // what follows fails once: the next attempt asks anew
    const second = answered(one, "f/inner/ask", "bad:2");
    while (one.clock.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
    one.clock.advance(0); // the pause between attempts
    const { waits } = await second;
    expect(waits).toMatchObject([{ path: "f/inner!2/ask" }]);
    expect(await one.open()).toEqual(waits);
    await expect(one.ready.answer("r", { path: "f/inner!1/ask", value: "x" })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    expect((await answered(one, "f/inner/ask", "good")).output).toEqual({ value: "good" });
  });
});

describe("the time of a wait", () => {
  const timed = (config: Record<string, Json>, policy?: Nodes[string]["policy"]) =>
    flowOf(
      {
        ask: { run: "test.ask", with: { timeoutMs: 1000, ...config }, in: {}, ...(policy && { policy }) },
        late: { run: "test.wait", in: { value: "input.value" }, when: { "ask.timedOut": true } },
      },
      {
        answer: { first: ["ask.answer", { value: "left out" }] },
        late: { first: ["late.value", { value: "in time" }] },
      },
    );
  const over = async (document: FlowDocument, ms: number) => {
    const one = await world(document);
    const { waits } = await one.ready.run({ value: "v" }, { id: "r" });
    expect(waits).toMatchObject([{ due: "1970-01-01T00:00:01.000Z" }]);
    expect(await one.records.waits!.next()).toBe(1000);
    one.clock.advance(ms);
    return one;
  };

  it("gives what is assumed, leaves the answer out, or fails the step; its policy may leave it out then", async () => {
    const assumed = await over(timed({ otherwise: "default" }), 1000);
    expect(await assumed.records.waits!.due(1000, 10)).toEqual(["r"]);
    expect((await assumed.ready.resume("r")).output).toEqual({ answer: "default", late: "v" });
    const skipped = await over(timed({ skip: true }), 1000);
    expect((await skipped.ready.resume("r")).output).toEqual({ answer: "left out", late: "v" });
    const failing = await over(timed({}), 1000);
    await expect(failing.ready.resume("r")).rejects.toMatchObject({ code: "NODE_TIMEOUT", path: "f/ask" });
    expect(await failing.records.waits!.get("r")).toBeUndefined();
    const left = await over(timed({}, { onError: "skip" }), 1000);
    expect((await left.ready.resume("r")).output).toEqual({ answer: "left out", late: "in time" });
  });

  it("is not over before: the run waits on, and its time began when it asked", async () => {
    const one = await over(timed({ otherwise: "default" }), 999);
    const { status, waits } = await one.ready.resume("r");
    expect({ status, waits }).toMatchObject({ status: "waiting", waits: [{ due: "1970-01-01T00:00:01.000Z" }] });
    expect((await answered(one, "f/ask", "in time")).output).toEqual({ answer: "in time", late: "in time" });
    await expect(one.ready.answer("r", { path: "f/ask", value: "late" })).rejects.toMatchObject({ code: "CONFLICT" });
  });

  it("comes to its end within a life in which others work", async () => {
    const one = await world(
      flowOf(
        {
          nap: { run: "test.nap", with: { ms: 500 }, in: { value: "input.value" } },
          slow: { run: "test.wait", with: { ms: 30 }, in: { value: "input.value" } },
          both: { run: "test.names", in: { values: { named: { nap: "nap.value", slow: "slow.value" } } } },
        },
        { value: "both.value" },
      ),
    );
    const running = one.ready.run({ value: "v" }, { id: "r" });
    while (one.clock.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
    one.clock.advance(500);
    expect((await running).output).toEqual({ value: '{"nap":"v","slow":"v"}' });
  });
});

describe("signals", () => {
  const loop = flowOf(
    { hear: { run: "test.hear", with: { signal: "go" }, in: {} } },
    { value: "hear.value" },
    { value: { optional: "text" } },
  );
  const document = flowOf(
    {
      loop: { run: loop, repeat: { carry: { value: "value" }, max: 3 }, in: {} },
      each: { run: loop, each: { over: "value", max: 3, concurrency: 1 }, in: { value: { value: ["x", "y"] } } },
    },
    { loop: "loop.value", each: "each.value" },
    {},
  );

  it("are received in their order, each once, also those that came before anybody waited", async () => {
    const one = await world(document);
    const signal = (value: string) => one.ready.signal("r", { name: "go", value });
    expect((await one.ready.run({}, { id: "r" })).waits).toMatchObject([
      { kind: "signal", signal: "go" },
      { kind: "signal" },
    ]);
    for (const value of ["1", "2"]) expect(await signal(value)).toBe(false);
    await expect(signal("3")).rejects.toMatchObject({ code: "OVERLOADED" });
    expect(await one.ready.resume("r")).toMatchObject({ status: "waiting" });
    await signal("3");
    await signal("4");
    expect(await one.ready.resume("r")).toMatchObject({ status: "waiting" });
    await signal("5");
    const { output } = await one.ready.resume("r");
    const heard = [output.loop, ...(output.each as string[])];
    expect(new Set(heard).size).toBe(3);
    expect(one.log.started).toHaveLength(5);
  });

  it("are refused where nobody receives them, or their value does not fit", async () => {
    const one = await world(document);
    await one.ready.run({}, { id: "r" });
    await expect(one.ready.signal("r", { name: "og", value: "1" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(one.ready.signal("r", { name: "go", value: 1 })).rejects.toMatchObject({ code: "BAD_INPUT" });
    const answer = one.ready.answer("r", { path: "f/loop#1/hear", value: "1" });
    await expect(answer).rejects.toMatchObject({ code: "BAD_INPUT", hint: expect.stringContaining("signal") });
  });
});

describe("the check", () => {
  const operators = waitingKit().all;
  const codes = (document: FlowDocument) =>
    checkFlow(document, operators).findings.map(({ code, path }) => `${code} ${path}`);

  it("says in its bound how often a run may wait", () => {
    expect(checkFlow(many, operators).bound).toMatchObject({ waits: 9 + 1 + 2 });
    expect(
      checkFlow(flowOf({ a: { run: "test.wait", in: { value: "input.value" } } }, { a: "a.value" }), operators).bound,
    ).toEqual({ steps: 1, calls: 0, tokens: 0, layers: 0 });
  });

  it("finds an output that an unanswered wait starves, and policies that cannot hold while a run waits", () => {
    expect(codes(flowOf({ ask: { run: "test.ask", with: { skip: true }, in: {} } }, { answer: "ask.answer" }))).toEqual(
      ["STARVED_OUTPUT f.answer"],
    );
    const policy = { timeoutMs: 10, retry: { attempts: 2 } };
    expect(codes(flowOf({ ask: { run: "test.ask", in: {}, policy } }, { answer: "ask.answer" }))).toEqual([
      "BAD_WAIT f/ask",
      "BAD_WAIT f/ask",
    ]);
    expect(
      codes(flowOf({ in: { run: nested, in: { value: "input.value" }, policy } }, { answer: "in.value" })),
    ).toEqual(["BAD_WAIT f/in"]);
    const hear = (queue: number) => ({ run: "test.hear", with: { signal: "go", queue }, in: {} });
    expect(codes(flowOf({ a: hear(1), b: hear(2) }, { a: "a.value", b: "b.value" }))).toEqual(["BAD_WAIT f/b"]);
  });

  it("a flow that may wait needs records; an operator that waits declares it, and its effects are write", async () => {
    const ready = await compile(approval, { operators });
    await expect(ready.run({ value: "a" })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    const specification = {
      name: "test.secret",
      version: 1,
      about: { module: "data", submodule: "test", summary: "Waits and does not say so." },
      config: z.strictObject({}),
      ports: { input: { value: text }, output: { value: text } },
      setup: () => () => waitFor({ answer: "text" }),
    } as const;
    const document = flowOf({ a: { run: "test.secret", in: { value: "input.value" } } }, { a: "a.value" });
    const undeclared = await compile(document, { operators: [operator(specification)], records: memoryRecords() });
    await expect(undeclared.run({ value: "" })).rejects.toMatchObject({ code: "BAD_OUTPUT" });
    expect(() => operator({ ...specification, waits: () => ({}) })).toThrow(
      expect.objectContaining({ code: "BAD_OPERATOR" }),
    );
  });
});
