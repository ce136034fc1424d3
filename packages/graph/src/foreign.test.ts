import { describe, expect, it, jest } from "@jest/globals";
import { type AnyOperator, type FlowDocument, type NodeDocument, operator, TesseraError, text } from "@tessera/core";
import { EventEmitter } from "eventemitter3";
import { z } from "zod";
import { checkFlow, compile } from "./compile.js";
import type { CompiledFlow } from "./compiled.js";
import { memoryRecords } from "./records/memory.js";
import type { FlowEvents, RunResult } from "./run.js";

const about = { module: "data", submodule: "test", summary: "For tests." } as const;
const none = z.strictObject({});
const boom = (): never => {
  throw new Error("boom");
};
/** A value of which nothing can be looked at. */
const closed = (): object =>
  new Proxy({}, { get: boom, has: boom, getPrototypeOf: boom, ownKeys: boom, getOwnPropertyDescriptor: boom });
const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};
const withGetter = (of: object, name: string): object =>
  Object.defineProperty(of, name, { get: boom, enumerable: true });

/** What may be thrown, or be the reason of a rejection. */
const thrown: Record<string, () => unknown> = {
  undefined: () => undefined,
  null: () => null,
  "a number": () => 7,
  "a symbol": () => Symbol("s"),
  "an object without a prototype": () => Object.create(null),
  "an error whose message throws": () => withGetter(new Error("x"), "message"),
  "an error whose message is an object": () => Object.assign(new Error("x"), { message: { toString: boom } }),
  "an error whose cause throws": () => withGetter(new Error("x"), "cause"),
  "an object whose toString throws": () => ({ toString: boom }),
  "a closed proxy": closed,
  "a revoked proxy": revoked,
  "what claims to be a TesseraError": () => new Proxy({}, { has: () => true, get: boom }),
  "a TesseraError with broken findings": () => Object.assign(new TesseraError("BAD_VALUE", "x"), { findings: 7 }),
};

type Then = (resolve: (value: unknown) => void, reject: (reason: unknown) => void) => unknown;
const thenable = (then: Then): object => ({ then });

/** What an operator may give in place of its output. */
const given: Record<string, () => unknown> = {
  undefined: () => undefined,
  "a text": () => "value",
  "a getter that throws": () => withGetter({}, "value"),
  "a closed proxy": closed,
  "a revoked proxy": revoked,
  "a `then` that throws": () => withGetter({ value: "v" }, "then"),
  "a thenable that throws": () => thenable(boom),
  "a thenable that rejects twice": () =>
    thenable((_, reject) => {
      reject(new Error("one"));
      reject(new Error("two"));
    }),
  "a promise of what has a getter that throws": async () => withGetter({}, "value"),
};

interface Hostile {
  /** What `test.bad` does. */
  readonly work: (input: { value: unknown }) => unknown;
  readonly schema?: z.ZodType;
  readonly list?: () => unknown;
}

const operatorsOf = ({ work, schema = z.any(), list = () => [1, 2] }: Hostile): AnyOperator[] =>
  [
    operator({
      name: "test.bad",
      version: 1,
      about,
      config: none,
      ports: { input: { value: schema }, output: { value: z.any() } },
      setup: () => work as never,
    }),
    operator({
      name: "test.lists",
      version: 1,
      about,
      config: none,
      ports: { input: { value: text }, output: { values: z.any(), any: z.any() } },
      setup: () => () => ({ values: list(), any: "not json" }) as never,
    }),
    operator({
      name: "test.id",
      version: 1,
      about,
      config: none,
      ports: { input: { value: z.any() }, output: { value: z.any() } },
      setup:
        () =>
        ({ value }) => ({ value }),
    }),
  ] as unknown as AnyOperator[];

const flowOf = (nodes: Record<string, NodeDocument>): FlowDocument => ({
  version: 1,
  name: "f",
  input: { value: "text" },
  nodes: { lists: { run: "test.lists", in: { value: "input.value" } }, ...nodes },
  output: { value: "bad.value" },
});
const inner: FlowDocument = {
  version: 1,
  name: "inner",
  input: { value: "any" },
  nodes: { deep: { run: "test.bad", in: { value: "input.value" } } },
  output: { value: "deep.value" },
};

/** Where the bad operator can stand. */
const places: Record<string, NodeDocument> = {
  "a node": { run: "test.bad", in: { value: "lists.any" } },
  "an element": { run: "test.bad", in: { value: "lists.values" }, each: { over: "value", max: 9 } },
  "a turn": { run: "test.bad", in: { value: "lists.any" }, repeat: { carry: { value: "value" }, max: 3 } },
  "a node under a policy": {
    run: "test.bad",
    in: { value: "lists.any" },
    policy: { timeoutMs: 10_000, retry: { attempts: 2 } },
  },
  "a flow within": { run: inner, in: { value: "lists.any" } },
  "an element of a flow within": {
    run: inner,
    in: { value: "lists.values" },
    each: { over: "value", max: 9, concurrency: 1 },
  },
};

type Route = (ready: CompiledFlow, recorded: CompiledFlow) => Promise<RunResult>;
/** How a run can come about; `recorded` keeps records. */
const routes: Record<string, Route> = {
  run: (ready) => ready.run({ value: "v" }),
  "run, with records": (_, recorded) => recorded.run({ value: "v" }),
  stream: async (ready) => {
    const stream = ready.stream({ value: "v" });
    await (async () => {
      for await (const _ of stream);
    })().catch(() => {});
    return stream.result;
  },
  resume: async (_, recorded) => {
    await recorded.run({ value: "v" }, { id: "r" }).catch(() => {});
    return recorded.resume("r");
  },
  replay: async (_, recorded) => {
    await recorded.run({ value: "v" }, { id: "r" }).catch(() => {});
    return recorded.replay("r");
  },
  "what-if": async (_, recorded) => {
    await recorded.run({ value: "v" }, { id: "r" }).catch(() => {});
    return recorded.whatIf("r", { value: "w" });
  },
};

/** The error of a run by every route; each settles. */
async function* errorsOf(document: FlowDocument, operators: AnyOperator[], validate: boolean) {
  for (const [route, take] of Object.entries(routes)) {
    const ready = await compile(document, { operators, validate });
    const recorded = await compile(document, { operators, validate, records: memoryRecords() });
    const error = await take(ready, recorded).then(
      () => undefined,
      (reason: unknown) => ({ reason }),
    );
    yield { route, error: error?.reason };
  }
}

const expectAll = async (document: FlowDocument, hostile: Hostile, validate = false, where = /^f\/bad/) => {
  for await (const { route, error } of errorsOf(document, operatorsOf(hostile), validate)) {
    expect([route, error]).toEqual([route, expect.any(TesseraError)]);
    const { path, message } = error as TesseraError;
    expect(path).toMatch(where);
    expect(typeof message).toBe("string");
    expect(() => JSON.stringify(error)).not.toThrow();
  }
};

// a rejection that nobody handles fails the test in which it happens: jest sees to that
describe("foreign code never loses a run: it ends in a TesseraError with the node's path, by every route", () => {
  const names = (of: object) => Object.keys(of);
  it.each(names(thrown))("what is thrown: %s", async (name) => {
    for (const node of Object.values(places)) {
      const document = flowOf({ bad: node });
      await expectAll(document, {
        work: () => {
          throw thrown[name]!();
        },
      });
      await expectAll(document, { work: () => Promise.reject(thrown[name]!()) });
    }
  });

  it.each(names(given))("what is given: %s", async (name) => {
    for (const node of Object.values(places)) {
      await expectAll(flowOf({ bad: node }), { work: given[name]! });
      await expectAll(flowOf({ bad: node }), { work: given[name]! }, true);
    }
  });

  const refined = z.string().refine((value) => JSON.parse(value).ok === true);
  const schemas: Record<string, z.ZodType> = {
    "throws in a refinement": refined,
    "is asynchronous": z.string().refine(async () => true),
    "throws what cannot be read": z.string().refine(() => {
      throw closed();
    }),
  };
  it.each(names(schemas))("a port's schema that %s", async (name) => {
    const schema = schemas[name]!;
    const work = ({ value }: { value: unknown }) => ({ value });
    for (const place of ["a node", "a node under a policy", "an element"]) {
      const list = () => ["not json"];
      await expectAll(flowOf({ bad: places[place]! }), { work, schema, list });
      await expectAll(flowOf({ bad: places[place]! }), { work, schema, list }, true);
    }
  });

  const lists: Record<string, () => unknown> = {
    "a revoked proxy": () => Proxy.revocable([], {}).revoke,
    "a list whose length throws": () =>
      new Proxy([1], { get: (of, key) => (key === "length" ? boom() : Reflect.get(of, key)) }),
    "a list whose element throws": () => withGetter([1, 2], "0"),
    "a list that claims to be endless": () =>
      new Proxy([1], { get: (of, key) => (key === "length" ? 2 ** 53 : Reflect.get(of, key)) }),
  };
  it.each(names(lists))("a list that `each` goes over: %s", async (name) => {
    const work = ({ value }: { value: unknown }) => ({ value });
    await expectAll(flowOf({ bad: places["an element"]! }), { work, list: lists[name]! }, false, /^f\/(bad|lists)/);
  });

  it("a list that `while` reads, and a value that is carried", async () => {
    const body: FlowDocument = {
      ...inner,
      nodes: {
        deep: { run: "test.bad", in: { value: "input.value" } },
        more: { run: "test.lists", in: { value: { value: "" } } },
      },
      output: { value: "deep.value", values: "more.values" },
    };
    const repeat = { while: "values", carry: { value: "value" }, max: 3 };
    const list = () => new Proxy([1], { get: (of, key) => (key === "length" ? boom() : Reflect.get(of, key)) });
    await expectAll(
      flowOf({ bad: { run: body, in: { value: "lists.any" }, repeat } }),
      {
        work: ({ value }) => ({ value }),
        list,
      },
      false,
      /^f\/(bad|lists)/,
    );
  });

  it("a promise keeps its value, whatever was put in place of its `then`", async () => {
    const work = () => Object.assign(Promise.resolve({ value: "v" }), thenable(boom));
    const operators = operatorsOf({ work });
    for (const records of [undefined, memoryRecords()]) {
      const ready = await compile(flowOf({ bad: places["a node"]! }), { operators, records });
      expect((await ready.run({ value: "v" })).output).toEqual({ value: "v" });
    }
  });

  it("a getter of the run's input", async () => {
    const ready = await compile(flowOf({ bad: places["a node"]! }), {
      operators: operatorsOf({ work: ({ value }) => ({ value }) }),
    });
    for (const input of [withGetter({}, "value"), closed(), revoked(), null, 7, []])
      await expect(ready.run(input as never)).rejects.toMatchObject({ name: "TesseraError", code: "BAD_INPUT" });
  });
});

describe("foreign code that is called when a flow is compiled", () => {
  const sound = operatorsOf({ work: ({ value }) => ({ value }) })[0]!;
  const broken: Record<string, object> = {
    config: { config: none.refine(boom) },
    "config that is no schema": { config: { safeParse: () => ({ success: false }) } },
    ports: { ports: boom },
    "ports that are getters": {
      ports: {
        get input() {
          return boom();
        },
        output: {},
      },
    },
    "a port that is no schema": { ports: { input: { value: 7 }, output: { value: z.any() } } },
    bound: { bound: boom },
    "a bound that is no number": { bound: () => ({ calls: Number.NaN, tokens: -1 }) },
    setup: {
      setup: () => {
        throw closed();
      },
    },
    "setup that rejects": { setup: () => Promise.reject(revoked()) },
  };
  it.each(Object.keys(broken))("%s is a finding with the node's path", async (name) => {
    const bad = Object.defineProperties(
      {},
      { ...Object.getOwnPropertyDescriptors({ ...sound }), ...Object.getOwnPropertyDescriptors(broken[name]!) },
    );
    const document: FlowDocument = {
      ...inner,
      name: "f",
      nodes: { bad: { run: "test.bad", in: { value: "input.value" } } },
      output: { value: "bad.value" },
    };
    await expect(compile(document, { operators: [bad as never] })).rejects.toMatchObject({
      code: "INVALID_FLOW",
      findings: [{ path: "f/bad" }],
    });
    expect(Array.isArray(checkFlow(document, [bad as never]).findings)).toBe(true);
  });
});

describe("records, caches and observers that fail", () => {
  const document = flowOf({ bad: places["a node"]! });
  const operators = operatorsOf({ work: ({ value }) => ({ value }) });
  const methods = ["begin", "run", "commit", "journal", "texts", "charge"] as const;

  it.each(methods)(
    "records whose `%s` throws, rejects or gives nonsense: a TesseraError, and no run is lost",
    async (method) => {
      for (const fail of [boom, () => Promise.reject(closed()), async () => undefined, async () => closed()]) {
        const records = memoryRecords();
        const ready = await compile(document, { operators, records });
        await ready.run({ value: "v" }, { id: "r" });
        (records as unknown as Record<string, unknown>)[method] = fail;
        for (const take of [
          () => ready.run({ value: "v" }),
          () => ready.resume("r"),
          () => ready.replay("r"),
          () => ready.whatIf("r", { value: "w" }),
        ]) {
          const error = await take().then(
            () => undefined,
            (reason: unknown) => reason,
          );
          if (error !== undefined) expect(error).toBeInstanceOf(TesseraError);
        }
      }
    },
  );

  it("a cache that throws fails the step with a TesseraError at its path", async () => {
    const ready = await compile(document, { operators, cache: { get: boom, put: boom } as never });
    await expect(ready.run({ value: "v" })).rejects.toMatchObject({
      name: "TesseraError",
      code: "NODE_FAILED",
      path: "f/lists",
    });
  });

  const observers: Record<string, object> = {
    "run throws": { run: boom },
    "run gives nothing": { run: () => undefined },
    "run rejects": { run: () => Promise.reject(closed()) },
    "ended throws": { run: () => ({ ended: boom }) },
    "ended rejects": { run: () => ({ ended: () => Promise.reject(new Error("late")) }) },
    "within throws before the work": { run: () => ({ ended: () => {}, within: boom }) },
    "within throws after the work": {
      run: () => ({
        ended: () => {},
        within: (_: string, work: () => unknown) => {
          work();
          boom();
        },
      }),
    },
    "within never works": { run: () => ({ ended: () => {}, within: () => 7 }) },
    "within works twice": {
      run: () => ({
        ended: () => {},
        within: (_: string, work: () => unknown) => {
          work();
          return work();
        },
      }),
    },
    "within is asynchronous": {
      run: () => ({
        ended: () => {},
        within: async (_: string, work: () => unknown) => {
          work();
          boom();
        },
      }),
    },
    "within is a getter that throws": { run: () => withGetter({ ended: () => {} }, "within") },
    "resource throws": { run: () => ({ ended: () => {} }), resource: boom },
  };
  it.each(Object.keys(observers))("an observer changes nothing: %s", async (name) => {
    let worked = 0;
    const counted = operatorsOf({
      work: ({ value }) => {
        worked++;
        return { value };
      },
    });
    const ready = await compile(document, { operators: counted, observer: observers[name] as never });
    expect((await ready.run({ value: "v" })).output).toEqual({ value: "not json" });
    expect(worked).toBe(1);
  });
});

describe("listeners change no run, and nothing for each other", () => {
  it("each listener and the stream hear every event, whatever another does", async () => {
    const warned = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    const ready = await compile(flowOf({ bad: places["an element"]! }), {
      operators: operatorsOf({ work: ({ value }) => ({ value }) }),
    });
    const plain: string[] = [];
    for await (const { type, path } of ready.stream({ value: "v" })) plain.push(`${type} ${path}`);
    const events: FlowEvents = new EventEmitter();
    const heard: Record<string, string[]> = { before: [], after: [], once: [], context: [] };
    events.on("event", ({ type, path }) => heard.before!.push(`${type} ${path}`));
    events.on("event", () => boom());
    events.on("event", (async () => boom()) as never);
    events.on("node-end", () => boom());
    events.on("node-end", (() => closed()) as never);
    events.on(
      "event",
      function (this: unknown, { type, path }) {
        if (this === heard) heard.context!.push(`${type} ${path}`);
      },
      heard as never,
    );
    events.once("node-end", ({ path }) => heard.once!.push(path));
    events.on("event", ({ type, path }) => heard.after!.push(`${type} ${path}`));
    const stream = ready.stream({ value: "v" }, { events });
    const seen: string[] = [];
    for await (const { type, path } of stream) seen.push(`${type} ${path}`);
    expect((await stream.result).status).toBe("done");
    expect([seen, heard.before, heard.after, heard.context]).toEqual([plain, plain, plain, plain]);
    expect(heard.once).toHaveLength(1);
    await new Promise((resolve) => setImmediate(resolve));
    const warnings = warned.mock.calls.map(([message]) => String(message));
    warned.mockRestore();
    expect(warnings.filter((warning) => warning.includes("threw: boom")).length).toBeGreaterThan(plain.length);
    expect(warnings.filter((warning) => warning.includes("rejected: boom"))).toHaveLength(plain.length);
  });

  it("an observer has an emitter of its own: who clears that of the caller silences only the caller", async () => {
    const types: string[] = [];
    const ready = await compile(flowOf({ bad: places["a node"]! }), {
      operators: operatorsOf({ work: ({ value }) => ({ value }) }),
      observer: {
        run: ({ events }) => {
          events.on("event", ({ type }) => types.push(type));
          return { ended: () => {} };
        },
      },
    });
    const events: FlowEvents = new EventEmitter();
    events.on("flow-start", () => events.removeAllListeners());
    await ready.run({ value: "v" }, { events });
    expect(types.at(-1)).toBe("flow-end");
  });

  it("events are made only when somebody listens", async () => {
    let read = 0;
    const ready = await compile(flowOf({ bad: places["a node"]! }), {
      operators: operatorsOf({ work: ({ value }) => ({ value }) }),
    });
    const events: FlowEvents = new EventEmitter();
    const emitter = events as unknown as { _events: Record<string, unknown> };
    emitter._events = new Proxy(emitter._events, {
      get: (of, key) => {
        read++;
        return Reflect.get(of, key);
      },
    });
    await ready.run({ value: "v" }, { events });
    expect(read).toBe(0);
    const stream = ready.stream({ value: "v" }, { shows: "output" });
    await stream.result;
    let seen = 0;
    for await (const _ of stream) seen++;
    expect(seen).toBe(0);
  });
});

describe("names that every object has", () => {
  const names = Object.getOwnPropertyNames(Object.prototype).filter((name) => /^[A-Za-z]/.test(name));
  it.each(names)(
    "a port, node, output, source and input named %s holds what it is given, and nothing else",
    async (name) => {
      const seen: unknown[] = [];
      const named = operator({
        name: "test.named",
        version: 1,
        about,
        config: none,
        ports: { input: { value: text, [name]: text.optional() }, output: { value: text, [name]: text.optional() } },
        setup: () =>
          ((input: Record<string, unknown>) => {
            seen.push(input[name]);
            return { value: "v", ...(input[name] !== undefined && { [name]: input[name] }) };
          }) as never,
      });
      const sub: FlowDocument = {
        version: 1,
        name: "sub",
        input: { value: "text", [name]: { optional: "text" } },
        nodes: { [name]: { run: "test.named", in: { value: "input.value", [name]: `input.${name}` } } },
        output: { value: `${name}.value`, [name]: { first: [`${name}.${name}`, `${name}.value`] } },
      };
      const node = (more: Partial<NodeDocument> = {}): NodeDocument => ({
        run: "test.named",
        in: { value: "input.value" },
        ...more,
      });
      const document: FlowDocument = {
        version: 1,
        name: "f",
        input: { value: "text", [name]: { optional: "text" } },
        nodes: {
          unfed: node(),
          fed: node({ in: { value: "input.value", [name]: `input.${name}` } }),
          behind: node({ in: { value: "input.value", [name]: `unfed.${name}` } }),
          again: node({ repeat: { carry: { value: "value" }, max: 2 } }),
          tried: node({ policy: { retry: { attempts: 2 } } }),
          within: { run: sub, in: { value: "input.value" } },
        },
        output: {
          [name]: { first: [`fed.${name}`, { value: "none" }] },
          all: {
            named: {
              [name]: "unfed.value",
              behind: "behind.value",
              again: "again.value",
              tried: "tried.value",
              within: `within.${name}`,
            },
          },
        },
      };
      const output = { [name]: "none", all: { [name]: "v", behind: "v", again: "v", tried: "v", within: "v" } };
      for (const validate of [false, true]) {
        const records = memoryRecords();
        const ready = await compile(document, { operators: [named] as unknown as AnyOperator[], validate, records });
        expect((await ready.run({ value: "v" }, { id: `r${validate}` })).output).toEqual(output);
        expect((await ready.replay(`r${validate}`)).output).toEqual(output);
        expect((await ready.run({ value: "v", [name]: "given" })).output).toEqual({ ...output, [name]: "given" });
      }
      expect(new Set(seen)).toEqual(new Set([undefined, "given"]));
      const emitting = operator({
        ...named,
        name: "test.named",
        setup:
          () =>
          (_: unknown, { emit }: { emit(port: string, part: unknown): void }) => {
            emit(name, "part");
            emit("__proto__", "part");
            return { value: "v" };
          },
      } as never);
      const stream = (await compile(document, { operators: [emitting] as unknown as AnyOperator[] })).stream({
        value: "v",
      });
      expect((await stream.result).output).toEqual(output);
    },
  );

  it("a port named __proto__ is refused", async () => {
    const bad = operator({
      name: "test.bad",
      version: 1,
      about,
      config: none,
      ports: { input: { ["__proto__"]: text.optional() }, output: { value: text } },
      setup: () => () => ({ value: "v" }),
    });
    const document: FlowDocument = { ...inner, nodes: { deep: { run: "test.bad", in: {} } } };
    expect(checkFlow(document, [bad] as never).findings).toMatchObject([{ code: "BAD_OPERATOR", path: "inner/deep" }]);
  });
});
