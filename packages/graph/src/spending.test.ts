// faults of charging, time and streams that were seen, each with its siblings
import { getEventListeners } from "node:events";
import { afterEach, describe, expect, it, jest } from "@jest/globals";
import { type AnyOperator, type Context, flow, operator, text } from "@tessera/core";
import type { Spending } from "@tessera/core/internal";
import { FakeClock } from "@tessera/testkit";
import { z } from "zod";
import { checkFlow, compile } from "./compile.js";
import { memoryRecords } from "./records/memory.js";

const turn = () => new Promise((resolve) => setImmediate(resolve));
const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await turn();
};
const about = { module: "data", submodule: "test", summary: "Spends." } as const;
type Inner = Awaited<ReturnType<typeof compile>>;
type Work = (context: Context, config: { calls: number }) => Promise<void> | void;

/** An operator with a bound of some calls, that does what the test says and gives its input. */
const paid = (work: Work, { bounded = true, name = "test.paid" } = {}) =>
  operator({
    name,
    version: 1,
    about,
    config: z.strictObject({ calls: z.number().default(1) }),
    ports: { input: { value: text, after: text.optional() }, output: { value: text } },
    ...(bounded && { bound: ({ calls }: { calls: number }) => ({ calls, tokens: 0 }) }),
    setup:
      (config) =>
      async ({ value }, context) => {
        await work(context, config);
        return { value };
      },
  });
const operators = (...list: unknown[]) => list as AnyOperator[];
afterEach(() => void jest.restoreAllMocks());
const spent = (calls: number) => expect.objectContaining({ calls });

describe("a report leaves its reservation", () => {
  const clock = new FakeClock();
  const pause = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve));
  const reporting = paid(async ({ spend }) => {
    spend({ calls: 1 });
    await pause(5);
  });
  const parallel = flow("parallel", { value: "text" }, (f, { value }) =>
    Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`v${i}`, f.node(`n${i}`, reporting(), { value }).value])),
  );

  it.each([10, 9, 1, 0])(
    "ten parallel steps that report and work on make use of a budget of %i calls",
    async (calls) => {
      const ready = await compile(parallel.document, { operators: operators(reporting), clock });
      const running = ready.run({ value: "v" }, { budget: { calls } });
      await turns(3);
      clock.advance(5);
      const { status, output, spent } = await running;
      expect(status).toBe(calls === 10 ? "done" : "budget");
      expect(Object.keys(output)).toHaveLength(calls);
      expect(spent.calls).toBe(calls);
    },
  );

  it("a step that reports in the middle of its work leaves room for another", async () => {
    const step = paid(async ({ spend }, { calls }) => {
      for (let left = calls; left > 0; left--) {
        spend({ calls: 1 });
        await pause(400);
      }
    });
    const graph = flow("f", { value: "text" }, (f, { value }) => {
      const a = f.node("a", step({ calls: 2 }), { value });
      const b = f.node("b", step(), { value });
      return { verified: a.value, text: b.value };
    });
    const ready = await compile(graph.document, { operators: operators(step), clock });
    expect(ready.bound.calls).toBe(3);
    const stream = ready.stream({ value: "v" }, { budget: ready.bound });
    await turns(3);
    expect([stream.spent(), stream.due()]).toEqual([spent(2), spent(3)]);
    clock.advance(400);
    await turns(3);
    clock.advance(400);
    expect(await stream.result).toEqual({ status: "done", output: { verified: "v", text: "v" }, spent: spent(3) });
  });

  it("an `each` with a budget of one less gives the elements that are done, to the output alone", async () => {
    const many = flow("many", { values: { list: "text" } }, (f, { values }) => {
      const many = f.each("many", reporting(), { over: "value", max: 10 }, { value: values });
      const read = f.each("read", reporting(), { over: "value", max: 10 }, { value: many.value });
      return { values: many.value, read: read.value };
    });
    const ready = await compile(many.document, { operators: operators(reporting), clock });
    const values = Array.from({ length: 10 }, (_, i) => `v${i}`);
    const stream = ready.stream({ values }, { budget: { calls: 9 } });
    await turns(3);
    clock.advance(5);
    expect(await stream.result).toEqual({ status: "budget", output: { values: values.slice(0, 9) }, spent: spent(9) });
    const warnings: unknown[] = [];
    for await (const event of stream) if (event.type === "warning") warnings.push(event);
    expect(warnings).toEqual([{ type: "warning", path: "many/many", message: "the budget covered 9 of 10 elements" }]);
  });
});

describe("an attempt that is given up is charged", () => {
  const hanging = paid(() => new Promise(() => {}), { name: "test.hanging" });
  const graphOf = (policy: object) =>
    flow("f", { value: "text" }, (f, input) => ({
      value: f.node("a", hanging(), input, { policy: policy as never }).value,
      kept: input.value,
    }));

  it("at its bound, each time that it is timed out, and no attempt is refused within the flow's bound", async () => {
    const clock = new FakeClock();
    const policy = { timeoutMs: 5, retry: { attempts: 10 }, onError: "skip" };
    const document = graphOf(policy).document;
    const ready = await compile(
      { ...document, output: { value: { first: ["a.value", { value: "" }] } } },
      { operators: operators(hanging), clock },
    );
    const running = ready.run({ value: "v" }, { budget: ready.bound });
    for (let i = 0; i < 20; i++) {
      await turn();
      clock.step();
    }
    expect(await running).toEqual({ status: "done", output: { value: "" }, spent: spent(10) });
  });

  it.each([
    ["an abort", (stop: AbortController) => stop.abort()],
    ["a failed sibling", undefined],
  ])("where the run ends by %s", async (_, end) => {
    const failing = paid(
      async () => {
        await turns(3);
        if (!end) throw new Error("sibling");
      },
      { name: "test.failing", bounded: false },
    );
    const graph = flow("f", { value: "text" }, (f, input) => ({
      a: f.node("a", hanging({ calls: 3 }), input).value,
      b: f.node("b", failing(), input).value,
    }));
    const ready = await compile(graph.document, { operators: operators(hanging, failing) });
    const stop = new AbortController();
    const stream = ready.stream({ value: "v" }, { signal: stop.signal });
    await turn();
    expect([stream.spent(), stream.due()]).toEqual([spent(0), spent(3)]);
    end?.(stop);
    await expect(stream.result).rejects.toMatchObject({ code: end ? "ABORTED" : "NODE_FAILED" });
    expect(stream.spent()).toEqual(spent(3));
  });

  it.each(["a flow", "each"] as const)("by a policy on %s around it", async (kind) => {
    const clock = new FakeClock();
    const inner = flow("inner", { value: "text" }, (f, input) => ({ value: f.node("a", hanging(), input).value }));
    const policy = { timeoutMs: 5, onError: "skip" as const };
    const graph = flow("f", { value: "text", values: { list: "text" } }, (f, input) =>
      kind === "a flow"
        ? { value: f.node("n", inner, { value: input.value }, { policy }).value }
        : { value: f.each("n", inner, { over: "value", max: 2 }, { value: input.values }, { policy }).value },
    );
    const document = { ...graph.document, output: { value: { first: ["n.value", { value: "none" }] } } };
    const ready = await compile(document, { operators: operators(hanging), clock });
    const running = ready.run({ value: "v", values: ["a", "b"] }, { budget: ready.bound });
    await turn();
    clock.advance(5);
    expect(await running).toMatchObject({ status: "done", spent: spent(kind === "a flow" ? 1 : 2) });
  });

  it("and stays charged when the run is resumed, once", async () => {
    let fails = true;
    const once = paid(({ spend }) => {
      spend({ calls: 1 });
      if (fails) throw new Error("once");
    });
    const first = paid(({ spend }) => spend({ calls: 1 }), { name: "test.first" });
    const graph = flow("f", { value: "text" }, (f, input) => {
      const { value } = f.node("first", first(), input);
      return {
        value: f.node("once", once(), { value }).value,
        other: f.node("h", hanging({ calls: 5 }), { value }).value,
      };
    });
    const records = memoryRecords();
    const ready = await compile(graph.document, { operators: operators(once, first, hanging), records });
    const stream = ready.stream({ value: "v" }, { id: "r" });
    await expect(stream.result).rejects.toThrow("once");
    expect(stream.spent()).toEqual(spent(1 + 1 + 5));
    fails = false;
    const again = ready.resumeStream("r");
    again.result.catch(() => {});
    await turns(10);
    expect(again.spent()).toEqual(spent(7 + 1));
    expect(again.due()).toEqual(spent(7 + 1 + 5));
  });
});

describe("what a step reports", () => {
  it.each([
    { calls: -5 },
    { tokens: Number.NaN },
    { cost: Number.POSITIVE_INFINITY },
    { layers: "3" as never },
    { calls: 1, tokens: -1 },
    { calls: null as never },
  ] as Spending[])("is refused where it is no amount: %p", async (use) => {
    const wrong = paid(({ spend }) => spend(use));
    const graph = flow("f", { value: "text" }, (f, input) => ({ value: f.node("a", wrong(), input).value }));
    const ready = await compile(graph.document, { operators: operators(wrong) });
    const stream = ready.stream({ value: "v" }, { budget: { tokens: 5 } });
    await expect(stream.result).rejects.toMatchObject({ code: "BAD_ARGUMENT", path: "f/a" });
    // it ended by itself, and had reported nothing
    expect(stream.spent()).toEqual({ steps: 1, calls: 1, tokens: 0, layers: 0, cost: 0 });
  });

  it("is charged where no bound was declared, with one warning to the process", async () => {
    const warn = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    const free = paid(({ spend }) => spend({ calls: 2 }), { bounded: false });
    const graph = flow("f", { values: { list: "text" } }, (f, { values }) => ({
      values: f.each("a", free(), { over: "value", max: 9 }, { value: values }).value,
    }));
    const ready = await compile(graph.document, { operators: operators(free) });
    expect((await ready.run({ values: ["a", "b", "c"] })).spent.calls).toBe(6);
    expect(warn.mock.calls.filter(([message]) => String(message).includes("test.paid"))).toEqual([
      ["f/a[0]: test.paid reported more than its bound: 2 calls of at most 0", "TesseraWarning"],
    ]);
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    ["is negative", () => ({ calls: -1, tokens: 0 })],
    ["is no number", () => ({ calls: Number.NaN, tokens: 0 })],
    ["lacks an amount", () => ({ calls: 1 })],
    ["is nothing", () => undefined],
  ])("has a bound that a check refuses where it %s", (_, bound) => {
    const odd = operator({ ...paid(() => {}), bound: bound as never, name: "test.odd" });
    const graph = flow("f", { value: "text" }, (f, input) => ({ value: f.node("a", odd(), input).value }));
    expect(checkFlow(graph.document, operators(odd)).findings).toMatchObject([{ code: "BAD_OPERATOR", path: "f/a" }]);
  });
});

describe("time", () => {
  const days = 86_400_000;
  const failing = paid(() => {
    throw new Error("again");
  });

  it("a time-out of 30 days waits 30 days", async () => {
    const clock = new FakeClock();
    const slow = paid(() => new Promise((resolve) => void clock.after(30 * days - 1, resolve)));
    const graph = flow("f", { value: "text" }, (f, input) => ({
      value: f.node("a", slow(), input, { policy: { timeoutMs: 30 * days } }).value,
    }));
    const ready = await compile(graph.document, { operators: operators(slow), clock });
    const running = ready.run({ value: "v" });
    clock.advance(30 * days - 1);
    expect((await running).status).toBe("done");
  });

  it("pauses double from 3e9 ms on, up to a year", async () => {
    const clock = new FakeClock();
    const graph = flow("f", { value: "text" }, (f, input) => ({
      value: f.node("a", failing(), input, { policy: { retry: { attempts: 7, backoffMs: 3e9 } } }).value,
    }));
    const ready = await compile(graph.document, { operators: operators(failing), clock });
    const running = ready.run({ value: "v" });
    running.catch(() => {});
    const pauses: number[] = [];
    for (let i = 0; i < 6; i++) {
      await turn();
      pauses.push(clock.next() - clock.now());
      clock.step();
    }
    expect(pauses).toEqual([3e9, 6e9, 12e9, 24e9, 365 * days, 365 * days]);
    await expect(running).rejects.toThrow("again");
  });

  it.each([{ timeoutMs: 1e12 }, { retry: { attempts: 2, backoffMs: 1e12 } }])(
    "a check names the greatest: %p",
    async (policy) => {
      const graph = flow("f", { value: "text" }, (f, input) => ({
        value: f.node("a", failing(), input, { policy }).value,
      }));
      await expect(compile(graph.document, { operators: operators(failing) })).rejects.toMatchObject({
        code: "BAD_DOCUMENT",
        message: expect.stringContaining("31536000000"),
      });
    },
  );
});

describe("a flow that is run inside an operator", () => {
  let calls = 0;
  const model = paid(
    async ({ spend }) => {
      calls++;
      spend({ calls: 1 });
      await turn();
    },
    { name: "test.model" },
  );
  const innerGraph = flow("inner", { value: "text" }, (f, input) => ({ value: f.node("m", model(), input).value }));

  const outerOf = async (
    how: (context: Context, value: string, inner: Inner) => Promise<unknown>,
    bounded: boolean,
    elements = 50,
  ) => {
    calls = 0;
    const inner = await compile(innerGraph.document, { operators: operators(model) });
    const agent = operator({
      ...paid(() => {}, { bounded }),
      name: "test.agent",
      setup:
        () =>
        async ({ value }: { value: string }, context: Context) => ({
          value: ((await how(context, value, inner)) as { output: { value: string } }).output.value,
        }),
    } as never) as unknown as ReturnType<typeof paid>;
    const graph = flow("outer", { values: { list: "text" } }, (f, { values }) => ({
      values: f.each("many", agent(), { over: "value", max: elements }, { value: values }).value,
    }));
    const ready = await compile(graph.document, { operators: operators(agent) });
    return { ready, input: { values: Array.from({ length: elements }, (_, i) => `v${i}`) } };
  };

  it.each([
    ["by its signal", ({ signal }: Context, value: string, inner: Inner) => inner.run({ value }, { signal })],
    ["by where it begins", (_: Context, value: string, inner: Inner) => inner.run({ value })],
    [
      "by its context",
      async (outer: Context, value: string, inner: Inner) => {
        await turn();
        return inner.run({ value }, { outer });
      },
    ],
    [
      "by whose work goes on behind an await",
      async (_: Context, value: string, inner: Inner) => {
        await turn();
        await Promise.all([turn(), turn()]);
        return inner.run({ value });
      },
    ],
    [
      "by whose work goes on, as a stream",
      async (_: Context, value: string, inner: Inner) => {
        await turn();
        return inner.stream({ value }).result;
      },
    ],
  ] as const)("keeps to the budget around it, known %s", async (_, how) => {
    jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    for (const bounded of [true, false]) {
      const { ready, input } = await outerOf(how as never, bounded);
      const result = await ready.run(input, { budget: { calls: 1 } });
      expect(result).toMatchObject({ status: "budget", spent: spent(1) });
      expect(calls).toBe(1);
      // without a bound, a budget and records nobody looks for the operator behind an await
      if (bounded || !/behind|as a stream/.test(_)) expect((await ready.run(input)).spent.calls).toBe(50);
    }
  });

  it("draws from what the operator has reserved: a budget of the flow's bound refuses nothing", async () => {
    const { ready, input } = await outerOf(({ signal }, value, inner) => inner.run({ value }, { signal }), true);
    expect(await ready.run(input, { budget: ready.bound })).toMatchObject({ status: "done", spent: spent(50) });
  });

  it("is aborted with the run around it, which is charged what was under way", async () => {
    const hanging = paid(() => new Promise(() => {}));
    const inner = await compile(
      flow("inner", { value: "text" }, (f, input) => ({ value: f.node("h", hanging({ calls: 4 }), input).value }))
        .document,
      { operators: operators(hanging) },
    );
    let result: Promise<unknown> | undefined;
    const agent = paid((outer) => {
      result = inner.run({ value: "v" }, { outer });
      return result as Promise<void>;
    });
    const ready = await compile(
      flow("f", { value: "text" }, (f, input) => ({ value: f.node("a", agent(), input).value })).document,
      { operators: operators(agent) },
    );
    const stop = new AbortController();
    const stream = ready.stream({ value: "v" }, { signal: stop.signal });
    await turn();
    stop.abort();
    await expect(stream.result).rejects.toMatchObject({ code: "ABORTED" });
    await expect(result).rejects.toMatchObject({ code: "ABORTED", path: "inner" });
    expect(stream.spent()).toEqual(spent(4));
  });

  it("is a run of its own where it asks for that", async () => {
    const { ready, input } = await outerOf(
      ({ signal }, value, inner) => inner.run({ value }, { signal, outer: "none" }),
      false,
    );
    expect(await ready.run(input, { budget: { calls: 1 } })).toMatchObject({ status: "done", spent: spent(0) });
    expect(calls).toBe(50);
  });

  it("is a run of its own where the work that began it is over, or asked for that", async () => {
    let late: Promise<unknown> | undefined;
    const inner = await compile(innerGraph.document, { operators: operators(model) });
    const nested = paid(() => turn().then(() => inner.run({ value: "v" })) as never, { bounded: false });
    const own = await compile(
      flow("own", { value: "text" }, (f, input) => ({ value: f.node("n", nested(), input).value })).document,
      { operators: operators(nested) },
    );
    const leaving = paid(
      async () => {
        late = turns(20).then(() => inner.run({ value: "v" }));
        await turn();
        await own.run({ value: "v" }, { outer: "none" });
      },
      { bounded: false, name: "test.leaving" },
    );
    const graph = flow("outer", { value: "text" }, (f, input) => ({ value: f.node("a", leaving(), input).value }));
    const ready = await compile(graph.document, { operators: operators(leaving) });
    expect(await ready.run({ value: "v" }, { budget: { calls: 0 } })).toMatchObject({
      status: "done",
      spent: spent(0),
    });
    expect(await late).toMatchObject({ status: "done", spent: spent(1) });
  });

  it("stays charged where the budget cut it and the run is resumed", async () => {
    jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    const inner = await compile(innerGraph.document, { operators: operators(model) });
    const twice = paid(async () => {
      await inner.run({ value: "v" });
      await inner.run({ value: "v" });
    });
    const graph = flow("outer", { value: "text" }, (f, input) => ({ value: f.node("a", twice(), input).value }));
    const ready = await compile(graph.document, { operators: operators(twice), records: memoryRecords() });
    expect(await ready.run({ value: "v" }, { id: "r", budget: { calls: 1 } })).toMatchObject({
      status: "budget",
      spent: spent(1),
    });
    expect(await ready.resume("r", { budget: { calls: 3 } })).toMatchObject({ status: "done", spent: spent(3) });
  });

  it("is not kept as a result where the budget cut it: the run that is resumed does it", async () => {
    jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    calls = 0;
    const inner = await compile(innerGraph.document, { operators: operators(model) });
    const agent = paid(async ({ signal }) => void (await inner.run({ value: "v" }, { signal })), { bounded: false });
    const graph = flow("outer", { value: "text" }, (f, input) => {
      const { value } = f.node("a", agent(), input);
      return { value: f.node("b", agent(), { value }).value };
    });
    const ready = await compile(graph.document, { operators: operators(agent), records: memoryRecords() });
    expect(await ready.run({ value: "v" }, { id: "r", budget: { calls: 1 } })).toMatchObject({ status: "budget" });
    expect(calls).toBe(1);
    expect(await ready.resume("r", { budget: { calls: 2 } })).toMatchObject({ status: "done", spent: spent(2) });
    expect(calls).toBe(2);
  });
});

describe("many runs and steps", () => {
  it("leave one listener of the engine on a signal that they share, and none of each other's", async () => {
    let most = 0;
    const count = (signal: AbortSignal) => {
      most = Math.max(most, getEventListeners(signal, "abort").length);
    };
    const { signal } = new AbortController();
    const listening = paid(async (context) => {
      context.signal.addEventListener("abort", () => {});
      await turn();
      count(context.signal);
      count(signal);
    });
    const graph = flow("f", { values: { list: "text" } }, (f, { values }) => ({
      values: f.each("many", listening(), { over: "value", max: 50 }, { value: values }).value,
    }));
    const ready = await compile(graph.document, { operators: operators(listening) });
    const input = { values: Array.from({ length: 50 }, (_, i) => `${i}`) };
    const runs = Array.from({ length: 20 }, () => ready.run(input, { signal }));
    const streams = Array.from({ length: 20 }, () => ready.stream(input, { signal }).result);
    await Promise.all([...runs, ...streams]);
    expect(most).toBe(1);
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });
});

describe("a node with attempts streams", () => {
  const speaking = (failAt: number, attempts: { count: number }) =>
    paid(async ({ emit }) => {
      const attempt = ++attempts.count;
      for (let part = 0; part < 5; part++) {
        if (attempt === 1 && part === failAt) throw new Error("broke off");
        emit("value", `${attempt}.${part}`);
        await turns(2);
      }
    });
  const streamOf = async (failAt: number, policy: object) => {
    const attempts = { count: 0 };
    const speak = speaking(failAt, attempts);
    const graph = flow("f", { value: "text" }, (f, input) => ({
      said: f.node("speak", speak(), input, { policy: policy as never }).value,
    }));
    const output = { said: { first: ["speak.value", { value: "" }] } };
    const ready = await compile({ ...graph.document, output }, { operators: operators(speak) });
    return { stream: ready.stream({ value: "v" }), attempts, ready };
  };

  it.each([{ retry: { attempts: 2 } }, { onError: "skip" }])("its parts as they come, under %p", async (policy) => {
    const { stream } = await streamOf(-1, policy);
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const { delta } of stream.output) seen.push(delta);
    })();
    await turns(3);
    expect(seen).toEqual(["1.0", "1.1"].slice(0, seen.length));
    expect(seen.length).toBeGreaterThan(0);
    await reading;
    expect(seen).toEqual(["1.0", "1.1", "1.2", "1.3", "1.4"]);
  });

  it.each([
    [{ retry: { attempts: 2 } }, "tried again"],
    [{ onError: "skip" }, "left out"],
    [{ retry: { attempts: 3 }, onError: "skip" }, "tried again or left out"],
    [{ retry: { attempts: 1 } }, undefined],
    [{ timeoutMs: 5 }, undefined],
  ])("and a check says so, under %p", (policy, words) => {
    const speak = paid(() => {});
    const inside = flow("inside", { value: "text" }, (f, input) => ({
      said: f.node("speak", speak(), input, { policy: policy as never }).value,
      other: f.node("unread", speak(), input, { policy: { retry: { attempts: 9 } } }).value,
    }));
    const graph = flow("f", { value: "text", values: { list: "text" } }, (f, input) => {
      const { said } = f.node("in", inside, { value: input.value });
      const { value } = f.node("first", speak(), { value: input.value }, { policy: policy as never });
      const listed = f.each("listed", speak(), { over: "value", max: 3 }, { value: input.values }, { policy } as never);
      return { said, after: f.node("last", speak(), { value }).value, listed: listed.value };
    });
    const document = {
      ...graph.document,
      output: { ...graph.document.output, said: { first: ["in.said", { value: "" }] } },
    };
    const inner = graph.document.nodes.in!.run as typeof graph.document;
    const whole = {
      ...document,
      nodes: {
        ...document.nodes,
        in: {
          ...document.nodes.in,
          run: { ...inner, output: { ...inner.output, said: { first: ["speak.value", { value: "" }] } } },
        },
        last: { ...document.nodes.last, in: { value: { first: ["first.value", { value: "" }] } } },
      },
      output: { ...document.output, listed: { first: ["listed.value", { value: [] }] } },
    };
    const { findings, notices } = checkFlow(whole, operators(speak));
    expect(findings).toEqual([]);
    expect(notices).toEqual(
      words === undefined ? [] : [{ path: "f/in/speak", message: expect.stringContaining(`it is not ${words}`) }],
    );
  });

  it("from another attempt only where no part was sent", async () => {
    const { stream } = await streamOf(0, { retry: { attempts: 2 } });
    const seen: unknown[] = [];
    for await (const { delta } of stream.output) seen.push(delta);
    expect(seen).toEqual(["2.0", "2.1", "2.2", "2.3", "2.4"]);
  });

  it.each([{ retry: { attempts: 2 } }, { onError: "skip" }])(
    "and fails where it breaks off behind a part that was sent, under %p",
    async (policy) => {
      const { stream, attempts, ready } = await streamOf(2, policy);
      const seen: unknown[] = [];
      await expect(
        (async () => {
          for await (const { delta } of stream.output) seen.push(delta);
        })(),
      ).rejects.toMatchObject({
        message: "broke off",
        hint: expect.stringContaining("a part of the output had been sent"),
      });
      expect(seen).toEqual(["1.0", "1.1"]);
      // whoever is shown no parts gets the next attempt
      attempts.count = 0;
      expect((await ready.run({ value: "v" })).status).toBe("done");
    },
  );
});
