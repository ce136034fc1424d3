import { describe, expect, it, jest } from "@jest/globals";
import { type FlowEvent, first, flow, is, operator, text, use, value } from "@tessera/core";
import { EventEmitter } from "eventemitter3";
import { z } from "zod";
import { compile } from "./compile.js";
import type { CompiledFlow } from "./compiled.js";
import { findingsOf, testKit } from "./kit.fixture.js";
import { memoryRecords } from "./records/memory.js";
import type { FlowEvents } from "./run.js";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function eventsOf(ready: CompiledFlow, input: Record<string, unknown>): Promise<FlowEvent[]> {
  const list: FlowEvent[] = [];
  for await (const event of ready.stream(input)) list.push(event);
  return list;
}

const trace = (events: FlowEvent[]) => events.map(({ type, path }) => `${type} ${path}`);

describe("rule 6: aborting settles the run at once", () => {
  it("row 62: does not wait for a node that ignores its signal, and runs nothing after it", async () => {
    const kit = testKit();
    const graph = flow("slow", { value: "text" }, (f, input) => {
      const a = f.node("a", kit.wait({ ms: 150 }), { value: input.value });
      return { value: f.node("b", kit.wait(), { value: a.value }).value };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    const stop = new AbortController();
    const run = ready.run({ value: "v" }, { signal: stop.signal });
    await pause(10);
    stop.abort(new Error("enough"));
    await expect(run).rejects.toMatchObject({ code: "ABORTED", path: "slow", cause: { message: "enough" } });
    expect(kit.log.ended).toEqual([]);
    await pause(200);
    expect(kit.log.started).toEqual(["slow/a"]);
  });

  it("leaving a stream early aborts the run; an aborted signal starts nothing", async () => {
    const kit = testKit();
    const graph = flow("left", { value: "text" }, (f, input) => {
      const a = f.node("a", kit.wait({ ms: 5 }), { value: input.value });
      return { value: f.node("b", kit.wait({ ms: 5 }), { value: a.value }).value };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    const stream = ready.stream({ value: "v" });
    for await (const event of stream) if (event.type === "node-end") break;
    await expect(stream.result).rejects.toMatchObject({ code: "ABORTED" });
    expect(kit.log.ended).toEqual(["left/a"]);
    await expect(ready.run({ value: "v" }, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
    expect(kit.log.started.filter((path) => path === "left/a")).toHaveLength(1);
  });

  it("tells the operator through its signal, and keeps no listener afterwards", async () => {
    const heard = jest.fn();
    const listening = operator({
      name: "test.listening",
      version: 1,
      about: { module: "data", submodule: "test", summary: "Listens." },
      config: z.strictObject({}),
      ports: { input: { value: text }, output: { value: text } },
      setup:
        () =>
        ({ value }, { signal }) =>
          new Promise((resolve) => {
            signal.addEventListener("abort", heard);
            setTimeout(() => resolve({ value }), 20);
          }),
    });
    const graph = flow("listen", { value: "text" }, (f, input) => ({ value: f.node("l", listening(), input).value }));
    const ready = await compile(graph.document, { operators: [listening] });
    const stop = new AbortController();
    const remove = jest.spyOn(stop.signal, "removeEventListener");
    await ready.run({ value: "v" }, { signal: stop.signal });
    expect(remove).toHaveBeenCalledTimes(1);
    expect(heard).not.toHaveBeenCalled();
    const run = ready.run({ value: "v" }, { signal: stop.signal });
    stop.abort();
    await expect(run).rejects.toMatchObject({ code: "ABORTED" });
    expect(heard).toHaveBeenCalledTimes(1);
  });
});

describe("rule 7: a failing node fails the run, or is skipped, by its policy", () => {
  it("fails with code, path and cause, and stops the others", async () => {
    const kit = testKit();
    const inner = flow("inner", { value: "text" }, (f, input) => ({
      value: f.node("risky", kit.risky(), input).value,
    }));
    const graph = flow("outer", { value: "text" }, (f, input) => {
      const risky = f.node("inner", inner, { value: input.value });
      const slow = f.node("slow", kit.wait({ ms: 30 }), { value: input.value });
      return { value: f.node("join", kit.join(), { values: [risky.value, slow.value] }).value };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    await expect(ready.run({ value: "bad" })).rejects.toMatchObject({
      code: "NODE_FAILED",
      path: "outer/inner/risky",
      message: "cannot: bad",
      cause: { message: "cannot: bad" },
    });
    await pause(60);
    expect(kit.log.started).not.toContain("outer/join");
  });

  it("row 62: retries, with a timeout for each attempt", async () => {
    const kit = testKit();
    const graph = flow("retried", { value: "text" }, (f, input) => ({
      value: f.node("risky", kit.risky(), input, { policy: { retry: { attempts: 3, backoffMs: 1 } } }).value,
    }));
    const ready = await compile(graph.document, { operators: kit.all });
    expect((await ready.run({ value: "bad:2" })).output).toEqual({ value: "bad:2" });
    expect(kit.log.started).toHaveLength(3);
    await expect(ready.run({ value: "bad:3" })).rejects.toMatchObject({ code: "NODE_FAILED" });

    const slow = flow("slow", { value: "text" }, (f, input) => ({
      value: f.node("wait", kit.wait({ ms: 60 }), input, { policy: { timeoutMs: 10, retry: { attempts: 2 } } }).value,
    }));
    const events: FlowEvents = new EventEmitter();
    const errors: unknown[] = [];
    events.on("node-error", ({ error, attempt }) => errors.push([error.code, attempt]));
    const timed = await compile(slow.document, { operators: kit.all });
    await expect(timed.run({ value: "v" }, { events })).rejects.toMatchObject({
      code: "NODE_TIMEOUT",
      path: "slow/wait",
    });
    expect(errors).toEqual([
      ["NODE_TIMEOUT", 1],
      ["NODE_TIMEOUT", 2],
    ]);
  });

  it("leaves null at the place of a skipped element, and its event names the index", async () => {
    const kit = testKit();
    const graph = flow("gaps", { values: { list: "text" } }, (f, input) => ({
      values: f.each(
        "many",
        kit.risky(),
        { over: "value", max: 5 },
        { value: input.values },
        { policy: { onError: "skip" } },
      ).value,
    }));
    const ready = await compile(graph.document, { operators: kit.all });
    const stream = ready.stream({ values: ["a", "bad", "c"] });
    const skips: FlowEvent[] = [];
    for await (const event of stream) if (event.type === "node-skip") skips.push(event);
    expect((await stream.result).output).toEqual({ values: ["a", null, "c"] });
    expect(skips).toEqual([{ type: "node-skip", path: "gaps/many[1]", reason: "error", index: 1 }]);
  });

  it("does not let a list with gaps reach a port that expects none", async () => {
    const kit = testKit();
    const graph = flow("gaps", { values: { list: "text" } }, (f, input) => {
      const many = f.each(
        "many",
        kit.risky(),
        { over: "value", max: 5 },
        { value: input.values },
        { policy: { onError: "skip" } },
      );
      return { value: f.node("join", kit.join(), { values: many.value }).value };
    });
    const [finding] = await findingsOf(graph.document, kit);
    expect(finding).toMatchObject({ code: "TYPE_MISMATCH", path: "gaps/join.values" });
    expect(finding!.hint).toContain("list.compact");
  });

  it("more elements than `max` are an error, never a silent cut", async () => {
    const kit = testKit();
    const graph = flow("cut", { values: { list: "text" } }, (f, input) => ({
      values: f.each("many", kit.wait(), { over: "value", max: 2 }, { value: input.values }).value,
    }));
    const ready = await compile(graph.document, { operators: kit.all });
    await expect(ready.run({ values: ["a", "b", "c"] })).rejects.toMatchObject({
      code: "TOO_MANY_ELEMENTS",
      path: "cut/many",
    });
    expect(kit.log.started).toEqual([]);
  });
});

describe("rule 8: results never depend on timing", () => {
  it("keeps declared order, whichever node is first", async () => {
    for (const [slow, fast] of [
      [20, 0],
      [0, 20],
    ] as const) {
      const kit = testKit();
      const graph = flow("order", { values: { list: "text" } }, (f, input) => {
        const a = f.node("a", kit.wait({ ms: slow, add: "a" }), { value: value("") });
        const b = f.node("b", kit.wait({ ms: fast, add: "b" }), { value: value("") });
        const many = f.each(
          "many",
          kit.wait({ add: "!" }),
          { over: "value", max: 9, concurrency: 2 },
          { value: input.values },
        );
        return { joined: f.node("join", kit.join(), { values: [a.value, b.value] }).value, many: many.value };
      });
      const ready = await compile(graph.document, { operators: kit.all });
      expect((await ready.run({ values: ["1", "2", "3"] })).output).toEqual({
        joined: "a,b",
        many: ["1!", "2!", "3!"],
      });
      expect(kit.log.peak).toBeLessThanOrEqual(4);
    }
  });

  it("draws the same random numbers at the same place for the same seed", async () => {
    const kit = testKit();
    const graph = flow("random", { values: { list: "text" } }, (f, input) => ({
      values: f.each("many", kit.random(), { over: "value", max: 9 }, { value: input.values }).value,
    }));
    const ready = await compile(graph.document, { operators: kit.all });
    const draw = async (seed: number) => (await ready.run({ values: ["a", "b"] }, { seed })).output.values as string[];
    expect(await draw(1)).toEqual(await draw(1));
    expect(await draw(1)).not.toEqual(await draw(2));
    const [a, b] = await draw(1);
    expect(a).not.toBe(b);
  });

  it("the events of one path are always the same; a replayed node emits one delta", async () => {
    const kit = testKit();
    const records = memoryRecords();
    const graph = flow("speak", { value: "text" }, (f, input) => ({
      value: f.node("speak", kit.speak(), input).value,
    }));
    const ready = await compile(graph.document, { operators: kit.all, records });
    const deltas = async (run: (events: FlowEvents) => Promise<unknown>) => {
      const events: FlowEvents = new EventEmitter();
      const heard: unknown[] = [];
      events.on("node-delta", ({ delta }) => heard.push(delta));
      await run(events);
      return heard;
    };
    expect(await deltas((events) => ready.run({ value: "one two" }, { events, id: "r" }))).toEqual(["one1 ", "two1 "]);
    expect(await deltas((events) => ready.replay("r", { events }))).toEqual(["one two 1"]);
  });
});

describe("rule 9: everything is checked before anything runs", () => {
  it("row 2: gives all findings at once, each with code, path and a hint", async () => {
    const document = {
      version: 1,
      name: "wrong",
      input: { value: "text", n: "number" },
      nodes: {
        a: { run: "test.ad", in: { value: "input.value" } },
        b: { run: "test.add", with: { ad: "x" }, in: { value: "input.value" } },
        c: { run: "test.add", in: { valu: "input.value" } },
        d: { run: "test.add", in: { value: "input.vlue" } },
        e: { run: "test.add", in: { value: "input.n" } },
        g: { run: "test.add", in: { value: "nobody.value" } },
        h: { run: "test.add", in: { value: "input.value" }, when: { "input.value": "x" } },
        i: { run: "test.add", in: { value: "input.value" }, each: { over: "value", max: 2 } },
        j: { run: "test.join", in: { values: { value: [1] } } },
      },
      output: { value: "c.value" },
    };
    const findings = await findingsOf(document);
    expect(findings.map(({ code, path }) => `${code} ${path}`).sort()).toEqual(
      [
        "BAD_CONDITION wrong/h",
        "BAD_CONFIG wrong/b",
        "MISSING_INPUT wrong/c",
        "TYPE_MISMATCH wrong/e.value",
        "TYPE_MISMATCH wrong/i.value",
        "TYPE_MISMATCH wrong/j.values",
        "UNKNOWN_NODE wrong/g",
        "UNKNOWN_OPERATOR wrong/a",
        "UNKNOWN_PORT wrong/c",
        "UNKNOWN_PORT wrong/d",
      ].sort(),
    );
    expect(findings.find(({ code }) => code === "UNKNOWN_OPERATOR")!.hint).toBe('did you mean "test.add"?');
    expect(findings.find(({ path, code }) => path === "wrong/d" && code === "UNKNOWN_PORT")!.hint).toBe(
      'did you mean "value"?',
    );
  });

  it("finds nodes that nothing reads, but lets one stand that writes", async () => {
    const kit = testKit();
    const graph = flow("unused", { value: "text" }, (f, input) => {
      f.node("lost", kit.add(), { value: input.value });
      f.node("kept", kit.write(), { value: input.value });
      return { value: f.node("used", kit.add(), { value: input.value }).value };
    });
    expect(await findingsOf(graph.document, kit)).toMatchObject([{ code: "UNUSED_NODE", path: "unused/lost" }]);
  });

  it("opens every resource at compile, and says which are missing", async () => {
    const reader = operator({
      name: "test.reader",
      version: 1,
      about: { module: "retrieval", submodule: "test", summary: "Reads." },
      config: z.strictObject({ store: z.string() }),
      ports: { input: { value: text }, output: { value: text } },
      async setup({ store }, host) {
        await host.resource("store", store);
        return ({ value }) => ({ value });
      },
    });
    const graph = flow("stores", { value: "text" }, (f, input) => {
      const a = f.node("a", reader({ store: "one" }), input);
      return { value: f.node("b", reader({ store: "two" }), { value: a.value }).value };
    });
    await expect(compile(graph.document, { operators: [reader] })).rejects.toMatchObject({
      findings: [
        { code: "UNKNOWN_RESOURCE", path: "stores/a" },
        { code: "UNKNOWN_RESOURCE", path: "stores/b" },
      ],
    });
  });

  it("refuses inputs that the flow does not take, before anything runs", async () => {
    const kit = testKit();
    const graph = flow("strict", { value: "text", more: { optional: "number" } }, (f, input) => ({
      value: f.node("a", kit.add(), { value: input.value }).value,
    }));
    const ready = await compile(graph.document, { operators: kit.all });
    for (const input of [{}, { value: 1 }, { value: "v", more: "x" }, { value: "v", other: 1 }, null, []])
      await expect(ready.run(input as never)).rejects.toMatchObject({ code: "BAD_INPUT" });
    expect((await ready.run({ value: "v", more: 1 })).status).toBe("done");
    expect(kit.log.started).toHaveLength(1);
  });

  it("checks values on wires whose types are not equal, and refuses outputs that were left empty", async () => {
    const kit = testKit();
    const loose = flow("loose", { anything: "any" }, (f, input) => ({
      value: f.node("a", kit.add(), { value: input.anything }).value,
    }));
    const ready = await compile(loose.document, { operators: kit.all });
    expect((await ready.run({ anything: "v" })).output).toEqual({ value: "v" });
    await expect(ready.run({ anything: 7 })).rejects.toMatchObject({ code: "BAD_VALUE", path: "loose/a" });

    const careless = operator({
      name: "test.careless",
      version: 1,
      about: { module: "data", submodule: "test", summary: "Forgets." },
      config: z.strictObject({}),
      ports: { input: { value: text }, output: { value: text } },
      setup: () => () => ({}) as never,
    });
    const empty = flow("empty", { value: "text" }, (f, input) => ({ value: f.node("a", careless(), input).value }));
    const run = (await compile(empty.document, { operators: [careless] })).run({ value: "v" });
    await expect(run).rejects.toMatchObject({ code: "BAD_OUTPUT", path: "empty/a" });
  });
});

describe("rule 10: observing never changes running", () => {
  it("shows a closed set of events, in order, at every depth", async () => {
    const kit = testKit();
    const inner = flow("inner", { value: "text" }, (f, input) => ({ value: f.node("add", kit.add(), input).value }));
    const graph = flow("seen", { values: { list: "text" } }, (f, input) => ({
      values: f.each("many", inner, { over: "value", max: 2, concurrency: 1 }, { value: input.values }).value,
    }));
    const ready = await compile(graph.document, { operators: kit.all });
    expect(trace(await eventsOf(ready, { values: ["a", "b"] }))).toEqual([
      "flow-start seen",
      "node-start seen/many",
      "flow-start seen/many[0]",
      "node-start seen/many[0]/add",
      "node-end seen/many[0]/add",
      "flow-end seen/many[0]",
      "flow-start seen/many[1]",
      "node-start seen/many[1]/add",
      "node-end seen/many[1]/add",
      "flow-end seen/many[1]",
      "node-end seen/many",
      "flow-end seen",
    ]);
  });

  it("goes on when an observer throws", async () => {
    const kit = testKit();
    const warn = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    const graph = flow("watched", { value: "text" }, (f, input) => ({ value: f.node("a", kit.add(), input).value }));
    const ready = await compile(graph.document, { operators: kit.all });
    const events: FlowEvents = new EventEmitter();
    events.on("event", () => {
      throw new Error("observer");
    });
    expect((await ready.run({ value: "v" }, { events })).output).toEqual({ value: "v" });
    expect(warn).toHaveBeenCalled();
    warn.mockRestore();
  });

  const parts = async (ready: CompiledFlow, input: Record<string, unknown>) => {
    const stream = ready.stream(input);
    const seen: string[] = [];
    for await (const { port, delta } of stream.output) seen.push(`${port}:${delta}`);
    await stream.result;
    return seen;
  };

  it("streams to a client only what feeds the flow's output", async () => {
    const kit = testKit();
    const graph = flow("client", { value: "text" }, (f, input) => {
      const hidden = f.node("hidden", kit.speak(), { value: input.value });
      return { said: f.node("shown", kit.speak(), { value: hidden.value }).value };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    expect(await parts(ready, { value: "hello you" })).toEqual(["said:hello1 ", "said:you1 ", "said:11 "]);
  });

  it("holds a turn back until it is known to be the last", async () => {
    const kit = testKit();
    const graph = flow("turns", { value: "text" }, (f, input) => {
      const again = f.repeat(
        "again",
        kit.speak({ good: 3 }),
        { until: "good", carry: {}, max: 5 },
        { value: input.value },
      );
      return { said: again.value };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    expect(await parts(ready, { value: "a b" })).toEqual(["said:a3 ", "said:b3 "]);
  });

  it("of several members of `first`, streams the one that counts", async () => {
    const kit = testKit();
    const graph = flow("members", { value: "text" }, (f, input) => {
      const { choice } = f.node("choose", kit.choose(), { value: input.value });
      const a = f.node("a", kit.speak(), { value: value("from-a") }, { when: is(choice, "a") });
      const b = f.node("b", kit.speak(), { value: value("from-b") });
      return { said: first(a.value, b.value) };
    });
    const ready = await compile(graph.document, { operators: kit.all });
    expect(await parts(ready, { value: "a" })).toEqual(["said:from-a1 "]);
    expect(await parts(ready, { value: "b" })).toEqual(["said:from-b1 "]);
  });

  it("does not stream an attempt that fails", async () => {
    let attempt = 0;
    const flaky = operator({
      name: "test.flaky",
      version: 1,
      about: { module: "data", submodule: "test", summary: "Fails once." },
      config: z.strictObject({}),
      ports: { input: { value: text }, output: { value: text } },
      setup:
        () =>
        async ({ value }, { emit }) => {
          emit("value", `try${++attempt}`);
          if (attempt === 1) throw new Error("once");
          return { value };
        },
    });
    const graph = flow("flaky", { value: "text" }, (f, input) => ({
      said: f.node("flaky", flaky(), input, { policy: { retry: { attempts: 2 } } }).value,
    }));
    expect(await parts(await compile(graph.document, { operators: [flaky] }), { value: "v" })).toEqual(["said:try2"]);
  });
});

describe("a flow is an operator", () => {
  it("runs by name or in place, and `use` names one that TypeScript does not know", async () => {
    const kit = testKit();
    const inner = flow("inner", { value: "text" }, (f, input) => ({
      value: f.node("a", use("test.add", { add: "?" }), input).value!,
    }));
    const graph = flow("outer", { value: "text" }, (f, input) => ({ value: f.node("inner", inner, input).value }));
    const ready = await compile(graph.document, { operators: kit.all });
    expect((await ready.run({ value: "v" })).output).toEqual({ value: "v?" });
  });
});
