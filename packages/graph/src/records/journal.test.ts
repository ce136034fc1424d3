import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import { type AnyOperator, flow, type Host, operator, type Records, text } from "@tessera/core";
import { oldFlow } from "@tessera/testkit";
import { z } from "zod";
import { compile } from "../compile.js";
import { diskRecords } from "./disk.js";
import { memoryRecords } from "./memory.js";

const folders: string[] = [];
const fresh = () => {
  const folder = mkdtempSync(join(tmpdir(), "tessera-journal-"));
  folders.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const about = { module: "data", submodule: "test", summary: "For tests of the journal." } as const;
const config = z.strictObject({});
const one = { input: { value: text }, output: { value: text } };

/** An operator of one text, and the paths where it started. */
function witness(
  name: string,
  work: (value: string, key: string) => string | Promise<string>,
  more: { version?: number; effects?: "write"; bound?: () => { calls: number; tokens: number } } = {},
) {
  const started: string[] = [];
  const made = operator({
    name,
    version: 1,
    about,
    config,
    ports: one,
    ...more,
    async setup(_, host) {
      await host.resource("store", "s");
      return async ({ value }, { path, idempotencyKey = "" }) => {
        started.push(path);
        return { value: await work(value, idempotencyKey) };
      };
    },
  });
  return { operator: made, started };
}

/** A store whose revision rises with each write. */
function shelf() {
  const written: string[] = [];
  const keys: string[] = [];
  let revision = 0;
  const host: Host = {
    resource: async () =>
      ({
        get revision() {
          return `${revision}`;
        },
      }) as never,
  };
  const write = (value: string, key: string) => {
    revision++;
    written.push(value);
    keys.push(key);
    return `${value}+`;
  };
  return { host, write, written, keys, touch: () => void revision++ };
}

const stores: [string, () => () => Records][] = [
  [
    "memory",
    () => {
      const records = memoryRecords();
      return () => records;
    },
  ],
  [
    "disk",
    () => {
      const folder = fresh();
      return () => diskRecords(folder);
    },
  ],
];

describe.each(stores)("a run that goes on, in %s", (_, place) => {
  it("writes nothing twice: two writes into one store, then a step that fails (E-3)", async () => {
    const open = place();
    const { host, write, written, touch } = shelf();
    let broken = true;
    const lives = (version: number) => {
      const writer = witness("test.write", write, { effects: "write", version });
      const reader = witness("test.read", (value) => `${value}:${written.length}`);
      const fails = witness("test.fails", (value) => {
        if (broken) throw new Error("not now");
        return `${value}!`;
      });
      const graph = flow("two", { value: "text" }, (f, input) => {
        const first = f.node("first", writer.operator(), { value: input.value });
        const read = f.node("read", reader.operator(), { value: first.value });
        const second = f.node("second", writer.operator(), { value: read.value });
        return { value: f.node("last", fails.operator(), { value: second.value }).value };
      });
      const operators = [writer, reader, fails].map(({ operator }) => operator) as unknown as AnyOperator[];
      return compile(graph.document, { operators, host, records: open() });
    };
    await expect((await lives(1)).run({ value: "v" }, { id: "r" })).rejects.toMatchObject({ path: "two/last" });
    expect(written).toEqual(["v", "v+:1"]);
    touch(); // somebody else writes
    broken = false;
    const raised = await lives(2);
    await expect(raised.resume("r")).rejects.toMatchObject({
      code: "CONFLICT",
      path: "r",
      hint: /acceptChanges/ as never,
    });
    expect((await raised.resume("r", { acceptChanges: true })).output).toEqual({ value: "v+:1+!" });
    expect((await (await lives(1)).resume("r")).output).toEqual({ value: "v+:1+!" });
    expect(written).toEqual(["v", "v+:1"]);
  });

  it("is refused for an id that is taken, and of two at once one wins (E-19)", async () => {
    const open = place();
    const { host } = shelf();
    const step = witness("test.step", (value) => {
      if (value === "bad") throw new Error("bad");
      return `${value}!`;
    });
    const graph = flow("one", { value: "text" }, (f, input) => ({
      value: f.node("a", step.operator(), { value: input.value }).value,
    }));
    const operators = [step.operator] as unknown as AnyOperator[];
    const records = open();
    const ready = await compile(graph.document, { operators, host, records });
    await ready.run({ value: "good" }, { id: "r" });
    for (const value of ["bad", "good"])
      await expect(ready.run({ value }, { id: "r" })).rejects.toMatchObject({ code: "CONFLICT" });
    expect((await ready.replay("r")).output).toEqual({ value: "good!" });
    const both = await Promise.allSettled(["one", "two"].map((value) => ready.run({ value }, { id: "s" })));
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const engines = [ready, await compile(graph.document, { operators, host, records: open() })];
    const raced = await Promise.allSettled(engines.map((engine, i) => engine.run({ value: `${i}` }, { id: "t" })));
    expect(raced.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(raced.find(({ status }) => status === "rejected")).toMatchObject({ reason: { code: "CONFLICT" } });
    const winner = raced.findIndex(({ status }) => status === "fulfilled");
    expect((await ready.replay("t")).output).toEqual({ value: `${winner}!` });
    const twice = await Promise.allSettled([ready.resume("r"), ready.resume("r")]);
    expect(twice.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  it("leaves out what its policy left out, and keeps what failed attempts were charged", async () => {
    const open = place();
    const { host } = shelf();
    let healthy = false;
    const costly = operator({
      name: "test.costly",
      version: 1,
      about,
      config,
      ports: one,
      bound: () => ({ calls: 1, tokens: 7 }),
      setup:
        () =>
        async ({ value }, { spend }) => {
          spend({ calls: 1, tokens: 3 });
          if (!healthy) throw new Error("sick");
          return { value };
        },
    });
    const last = witness("test.last", (value) => {
      if (!healthy) throw new Error("not now");
      return value;
    });
    const graph = flow("left", { value: "text" }, (f, input) => {
      const policy = { retry: { attempts: 3, backoffMs: 0 }, onError: "skip" } as const;
      const sick = f.node("sick", costly(), { value: input.value }, { policy });
      const end = f.node("last", last.operator(), { value: { first: [sick.value, { value: "v" }] } as never });
      return { sick: { first: [sick.value, { value: "left out" }] }, value: end.value };
    });
    const ready = async () =>
      compile(graph.document, {
        operators: [costly, last.operator] as unknown as AnyOperator[],
        host,
        records: open(),
      });
    await expect((await ready()).run({ value: "v" }, { id: "r" })).rejects.toMatchObject({ path: "left/last" });
    healthy = true;
    const { output, spent } = await (await ready()).resume("r");
    expect(output).toEqual({ sick: "left out", value: "v" });
    expect(spent).toMatchObject({ calls: 3, tokens: 9 });
    expect((await (await ready()).replay("r")).spent).toMatchObject({ calls: spent.calls, tokens: spent.tokens });
  });
});

describe("keys of the cache", () => {
  const cached = async (made: AnyOperator[], document: never, host: Host, validate = false) =>
    compile(document, { operators: made, host, cache: memoryRecords(), validate });
  const lists = (work: (list: string[]) => string | Promise<string>) =>
    operator({
      name: "test.list",
      version: 1,
      about,
      config,
      ports: { input: { list: z.array(text) }, output: { value: text } },
      setup:
        () =>
        async ({ list }) => ({ value: await work(list) }),
    });
  const listFlow = (made: ReturnType<typeof lists>) =>
    flow("list", { list: { list: "text" } }, (f, input) => ({
      value: f.node("a", made(), { list: input.list }).value,
    })).document as never;

  it("are made before the work: an operator that changes its input gets no wrong answer (E-8)", async () => {
    const takes = lists((list) => `first was ${list.shift()}`);
    const ready = await cached([takes] as never, listFlow(takes), shelf().host);
    const ask = async (list: string[]) => (await ready.run({ list })).output.value;
    expect(await ask(["x", "y"])).toBe("first was x");
    expect(await ask(["y"])).toBe("first was y");
    expect(await ask(["x", "y"])).toBe("first was x");
  });

  it("and under `validate` such an operator is named", async () => {
    const nested = (change: (list: string[]) => void) =>
      lists((list) => {
        change(list);
        return "done";
      });
    for (const change of [
      (list: string[]) => list.sort(),
      (list: string[]) => list.push("z"),
      (list: string[]) => (list[0] = "q"),
    ]) {
      const takes = nested(change);
      const ready = await compile(listFlow(takes), { operators: [takes] as never, validate: true });
      await expect(ready.run({ list: ["y", "x"] })).rejects.toMatchObject({
        code: "NODE_FAILED",
        path: "list/a",
        message: expect.stringContaining("test.list"),
      });
    }
  });

  it("an input that somebody else changes during the work gives the result no key", async () => {
    const shared: string[] = ["x"];
    const slow = lists(async (list) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return list.join("");
    });
    const ready = await cached([slow] as never, listFlow(slow), shelf().host);
    const first = ready.run({ list: shared });
    await null;
    setTimeout(() => shared.push("late"), 1);
    await first;
    expect((await ready.run({ list: ["x"] })).output.value).toBe("x");
  });

  it("a result belongs to the revision that was there before it began, and to none where that changed (E-9)", async () => {
    const { host, touch } = shelf();
    let content = "old";
    let during: () => void = () => {};
    const reads = witness("test.read", async () => {
      const seen = content;
      await null;
      during();
      return seen;
    });
    const graph = flow("reads", { value: "text" }, (f, input) => ({
      value: f.node("a", reads.operator(), { value: input.value }).value,
    }));
    const ready = await cached([reads.operator] as never, graph.document as never, host);
    const ask = async () => (await ready.run({ value: "v" })).output.value;
    during = () => {
      content = "new";
      touch();
    };
    expect(await ask()).toBe("old");
    during = () => {};
    expect(await ask()).toBe("new");
    expect(await ask()).toBe("new");
    expect(reads.started).toHaveLength(2);
  });
});

describe("what-if", () => {
  it("an element put in front of an `each` of 20 computes one element (E-42)", async () => {
    const { host } = shelf();
    const step = witness("test.step", (value) => `${value}!`);
    const graph = flow("many", { values: { list: "text" } }, (f, { values }) => ({
      values: f.each("each", step.operator(), { over: "value", max: 30 }, { value: values }).value,
    }));
    const records = memoryRecords();
    const ready = await compile(graph.document, { operators: [step.operator] as never, host, records });
    const values = Array.from({ length: 20 }, (_, i) => `${i}`);
    await ready.run({ values }, { id: "r" });
    step.started.length = 0;
    const { output, spent } = await ready.whatIf("r", { values: ["new", ...values] });
    expect(output.values).toEqual(["new", ...values].map((value) => `${value}!`));
    expect(step.started).toEqual(["many/each[0]"]);
    expect(spent.calls).toBe(0);
  });

  it("does no write again that is as it was, and charges nothing for what another run paid", async () => {
    const { host, write, written } = shelf();
    const writer = witness("test.write", write, { effects: "write", bound: () => ({ calls: 1, tokens: 0 }) });
    const graph = flow("writes", { value: "text" }, (f, input) => {
      const first = f.node("first", writer.operator(), { value: input.value });
      return { value: f.node("second", writer.operator(), { value: first.value }).value };
    });
    const records = memoryRecords();
    const ready = await compile(graph.document, { operators: [writer.operator] as never, host, records });
    expect((await ready.run({ value: "v" }, { id: "r" })).spent.calls).toBe(2);
    expect(await ready.whatIf("r")).toMatchObject({ output: { value: "v++" }, spent: { calls: 0 } });
    expect(written).toEqual(["v", "v+"]);
    expect(await ready.whatIf("r", { value: "w" })).toMatchObject({ output: { value: "w++" }, spent: { calls: 2 } });
  });
});

describe("idempotency keys", () => {
  it("are the same when a step is tried again and when its run is resumed, and no other step has them", async () => {
    const { host, write, keys } = shelf();
    let failures = 2;
    const writer = witness(
      "test.write",
      (value, key) => {
        const written = write(value, key);
        if (value === "v" && failures-- > 0) throw new Error("after the write");
        return written;
      },
      { effects: "write" },
    );
    const inner = flow("inner", { value: "text" }, (f, input) => {
      const policy = { retry: { attempts: 2, backoffMs: 0 } } as const;
      const a = f.node("a", writer.operator(), { value: input.value }, { policy });
      return { value: f.node("b", writer.operator(), { value: a.value }).value };
    });
    const graph = flow("outer", { value: "text" }, (f, input) => {
      const policy = { retry: { attempts: 2, backoffMs: 0 } } as const;
      return { value: f.node("in", inner, { value: input.value }, { policy }).value };
    });
    const kept = memoryRecords();
    const life = (records: Records) =>
      compile(graph.document, { operators: [writer.operator] as never, host, records });
    // the write is done, and its entry is not: the process ends in between
    const mortal: Records = {
      ...kept,
      commit: async (run, entry, texts) => {
        if (entry.path.endsWith("/b")) throw new Error("dead");
        return kept.commit(run, entry, texts);
      },
    };
    await expect((await life(mortal)).run({ value: "v" }, { id: "r" })).rejects.toThrow("dead");
    const before = keys.length;
    await (await life(kept)).resume("r");
    const places = keys.map((key) => key.slice(key.indexOf(":") + 1));
    // twice within one attempt of the node; then another attempt of the flow around it, which is another write
    expect(places.slice(0, 4)).toEqual(["outer/in/a", "outer/in/a", "outer/in!2/a", "outer/in!2/b"]);
    expect(new Set(keys.map((key) => key.slice(0, key.indexOf(":")))).size).toBe(1);
    expect(keys[0]).toMatch(/^r\./);
    expect(places.slice(before)).toContain("outer/in!2/b");
    await (await life(kept)).run({ value: "x" }, { id: "other" });
    expect(keys.at(-1)).not.toContain(keys[0]!.slice(0, keys[0]!.indexOf(":")));
  });
});

describe("a run that ended by its budget", () => {
  it("goes on with more, and does not stay with what was made without the refused step", async () => {
    const { host } = shelf();
    const paid = witness("test.paid", (value) => `${value}$`, { bound: () => ({ calls: 1, tokens: 0 }) });
    const plain = witness("test.plain", (value) => `${value}.`);
    const graph = flow("budget", { value: "text" }, (f, input) => {
      const dear = f.node("dear", paid.operator(), { value: input.value });
      const dearer = f.node("dearer", paid.operator(), { value: dear.value });
      const value = { first: [dearer.value, { value: "poor" }] } as never;
      return { value: f.node("plain", plain.operator(), { value }).value };
    });
    const records = memoryRecords();
    const operators = [paid.operator, plain.operator] as never;
    const ready = await compile(graph.document, { operators, host, records });
    const first = await ready.run({ value: "v" }, { id: "r", budget: { calls: 1 } });
    expect(first).toMatchObject({ status: "budget", output: { value: "poor." } });
    const more = await ready.resume("r", { budget: { calls: 2 } });
    expect(more).toMatchObject({ status: "done", output: { value: "v$$." }, spent: { calls: 2 } });
    expect(paid.started).toEqual(["budget/dear", "budget/dearer"]);
    expect((await ready.replay("r")).output).toEqual({ value: "v$$." });
  });
});

describe("a folder of the first layout", () => {
  it("opens: a run that has ended is replayed, one that was cut goes on behind its last step", async () => {
    const folder = fresh();
    cpSync(new URL("fixtures/cf1deb2", import.meta.url), folder, { recursive: true });
    const started: string[] = [];
    const { document, operators, input } = oldFlow((path) => started.push(path));
    const ready = () => compile(document, { operators, records: diskRecords(folder) });
    const spent = { steps: 4, calls: 4, tokens: 8, layers: 0, cost: 0 };
    const output = { each: ["1e1", "2e6"], value: "vä\n\t5l6" };
    expect(await (await ready()).replay("whole")).toEqual({ status: "done", output, spent });
    expect(await (await ready()).resume("whole")).toEqual({ status: "done", output, spent });
    expect(started).toEqual([]);
    const calm = await compile(document, { operators: oldFlow(() => {}).operators });
    const expected = await calm.run({ ...input, value: "w" }, { seed: 3 });
    const resumed = await (await ready()).resume("cut");
    expect([resumed.output, resumed.spent.calls]).toEqual([expected.output, 4]);
    expect(started).toEqual(["old/last"]);
    await expect((await ready()).run(input, { id: "whole" })).rejects.toMatchObject({ code: "CONFLICT" });
    const records = diskRecords(folder);
    await records.forget(["whole"]);
    expect(await records.run("whole")).toBeUndefined();
    expect((await (await ready()).replay("cut")).output).toEqual(expected.output);
  });
});
