import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "@jest/globals";
import { type AnyOperator, flow, type Host, operator, type Records, text, value } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { fourAtOnce, killed, kills, linesOf, testRecords } from "@tessera/testkit";
import { everyKindInput } from "@tessera/testkit/every-kind";
import fc from "fast-check";
import { z } from "zod";
import { compile, compileReplay } from "../compile.js";
import { testKit } from "../kit.fixture.js";
import { crashFlow } from "./crash.fixture.js";
import { diskRecords } from "./disk.js";
import { memoryRecords } from "./memory.js";
import { fromJson, toJson } from "./serialize.js";

const folders: string[] = [];
const fresh = () => {
  const folder = mkdtempSync(join(tmpdir(), "tessera-records-"));
  folders.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

describe("values of records", () => {
  it("come back as they were: JSON, typed arrays, and keys that look like ours", () => {
    const typed = fc.oneof(
      fc.float32Array({ noNaN: true }),
      fc.int32Array(),
      fc.uint8Array(),
      fc.double({ noDefaultInfinity: false, noNaN: false }),
    );
    const values = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.jsonValue({ maxDepth: 1 }),
        typed,
        fc.array(tie("value")),
        fc.dictionary(fc.constantFrom("a", "$array", "$object", "$number", "base64"), tie("value")),
      ),
    })).value;
    fc.assert(
      fc.property(values, (given) => {
        expect(fromJson(JSON.parse(JSON.stringify(toJson(given))))).toEqual(
          JSON.parse(JSON.stringify(given)) === undefined ? given : withoutNegativeZero(given),
        );
      }),
    );
  });

  it("refuse what cannot be kept, and say where it stands", () => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    for (const [given, path] of [
      [{ a: [() => 1] }, "value.a.0"],
      [circle, "value.self"],
      [{ date: new Date() }, "value.date"],
      [1n, "value"],
    ] as const)
      expect(() => toJson(given)).toThrow(expect.objectContaining({ code: "BAD_OUTPUT", path }));
  });
});

/** JSON has no −0. */
function withoutNegativeZero(given: unknown): unknown {
  if (typeof given === "number") return Object.is(given, -0) ? 0 : given;
  if (Array.isArray(given)) return given.map(withoutNegativeZero);
  if (ArrayBuffer.isView(given) || typeof given !== "object" || given === null) return given;
  return Object.fromEntries(Object.entries(given).map(([key, member]) => [key, withoutNegativeZero(member)]));
}

const stores: [string, () => Records][] = [
  ["memory", memoryRecords],
  ["disk", () => diskRecords(fresh())],
];

testRecords("memoryRecords", { fresh: async () => memoryRecords() });
let folder = "";
let current: Records | undefined;
testRecords("diskRecords", {
  fresh: async () => {
    folder = fresh();
    current = diskRecords(folder);
    return current;
  },
  again: async () => {
    await current?.close?.();
    current = diskRecords(folder);
    return current;
  },
});

describe.each(stores)("records in %s", (_, open) => {
  const line = (kit: ReturnType<typeof testKit>, add = "b") =>
    flow("line", { value: "text" }, (f, input) => {
      const a = f.node("a", kit.wait({ add: "a" }), { value: input.value });
      const b = f.node("b", kit.wait({ add }), { value: a.value });
      const other = f.node("other", kit.wait({ add: "o" }), { value: input.value });
      return { value: f.node("c", kit.join(), { values: [b.value, other.value] }).value };
    });

  it("row 3: replay a run without calling any operator", async () => {
    const kit = testKit();
    const records = open();
    const ready = await compile(line(kit).document, { operators: kit.all, records });
    const first = await ready.run({ value: "v" }, { id: "r" });
    const calls = kit.log.started.length;
    expect(await ready.replay("r")).toEqual(first);
    expect(await compileReplay(line(kit).document, { operators: kit.all, records }).replay("r")).toEqual(first);
    expect(kit.log.started).toHaveLength(calls);
    await expect(ready.replay("nobody")).rejects.toMatchObject({ code: "RECORD_MISSING", path: "nobody" });
    const longer = await compile(line(kit, "B").document, { operators: kit.all, records });
    await expect(longer.resume("r")).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  it("answer what-if: one operator changed, only what follows is computed", async () => {
    const kit = testKit();
    const records = open();
    const ready = await compile(line(kit).document, { operators: kit.all, records });
    await ready.run({ value: "v" }, { id: "r" });
    kit.log.started.length = 0;
    const changed = await compile(line(kit, "B").document, { operators: kit.all, records });
    expect((await changed.whatIf("r")).output).toEqual({ value: "vaB,vo" });
    expect(kit.log.started).toEqual(["line/b", "line/c"]);
  });

  it("row 62: serve a cache across runs, but never to another principal, another revision, or for a write", async () => {
    const kit = testKit();
    const cache = open();
    let revision = "1";
    const host: Host = {
      resource: async () =>
        ({
          get revision() {
            return revision;
          },
        }) as never,
    };
    const reader = operator({
      name: "test.reader",
      version: 1,
      about: { module: "retrieval", submodule: "test", summary: "Reads a store." },
      config: z.strictObject({}),
      ports: { input: { value: text }, output: { value: text } },
      async setup(_, host) {
        await host.resource("store", "s");
        return async ({ value }, { path, principal }) => {
          kit.log.started.push(path);
          return { value: `${value}:${principal?.id}:${revision}` };
        };
      },
    });
    const graph = flow("cached", { value: "text" }, (f, input) => {
      const read = f.node("read", reader(), input);
      const drawn = f.node("drawn", kit.random(), input);
      const written = f.node("write", kit.write(), input);
      return { read: read.value, drawn: drawn.value, written: written.value };
    });
    const ready = await compile(graph.document, { operators: [...kit.all, reader] as AnyOperator[], host, cache });
    const ran = async (options: object) => {
      kit.log.started.length = 0;
      const { output } = await ready.run({ value: "v" }, options);
      return [output.read, [...kit.log.started].sort()];
    };
    expect(await ran({ principal: { id: "ann" } })).toEqual(["v:ann:1", ["cached/read", "cached/write"]]);
    expect(await ran({ principal: { id: "ann" } })).toEqual(["v:ann:1", ["cached/write"]]);
    expect(await ran({ principal: { id: "bob" } })).toEqual(["v:bob:1", ["cached/read", "cached/write"]]);
    revision = "2";
    expect(await ran({ principal: { id: "ann" } })).toEqual(["v:ann:2", ["cached/read", "cached/write"]]);
    const drawn = async (seed: number) => (await ready.run({ value: "v" }, { seed })).output.drawn;
    expect(await drawn(1)).not.toBe(await drawn(2));
  });

  it("do not let a step count as finished before its record is committed", async () => {
    const kit = testKit();
    const records = open();
    const order: string[] = [];
    const slow: Records = {
      ...records,
      async commit(...given) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        const noted = await records.commit(...given);
        order.push("committed");
        return noted;
      },
    };
    const graph = flow("order", { value: "text" }, (f, input) => {
      const a = f.node("a", kit.wait(), { value: input.value });
      return { value: f.node("b", kit.wait(), { value: a.value }).value };
    });
    const ready = await compile(graph.document, { operators: kit.all, records: slow });
    const stream = ready.stream({ value: "v" });
    for await (const { type, path } of stream)
      if (type === "node-start" || type === "node-end") order.push(`${type} ${path}`);
    const [firstEnd, secondStart] = [order.indexOf("node-end order/a"), order.indexOf("node-start order/b")];
    expect(order.indexOf("committed")).toBeLessThan(firstEnd);
    expect(firstEnd).toBeLessThan(secondStart);
  });

  it("a record that cannot be written fails the step, not the process", async () => {
    const kit = testKit();
    const full = async () => Promise.reject(new Error("disk full"));
    const records: Records = { ...open(), commit: full };
    const graph = flow("full", { value: "text" }, (f, input) => ({
      value: f.node("a", kit.wait(), { value: input.value }).value,
    }));
    const ready = await compile(graph.document, { operators: kit.all, records });
    await expect(ready.run({ value: "v" })).rejects.toMatchObject({
      code: "NODE_FAILED",
      path: "full/a",
      message: "disk full",
    });
  });
});

describe("records on disk", () => {
  it("a torn end does not count, and what follows is whole", async () => {
    const folder = fresh();
    const records = diskRecords(folder);
    const run = { id: "r", flow: "f", hash: "h", seed: 0, input: {}, document: {}, claim: "c" };
    const entry = (path: string) => ({ path, operator: "test.one", version: 1, input: "i", output: {} });
    await records.begin(run, new Map());
    await records.commit("r", entry("f/a"), new Map());
    await records.close!();
    appendFileSync(join(folder, "log/00000001.log"), "f/b\tk");
    const later = diskRecords(folder);
    expect([...(await later.journal("r")).entries.keys()]).toEqual(["f/a"]);
    await later.commit("r", entry("f/c"), new Map());
    await later.close!();
    expect([...(await diskRecords(folder).journal("r")).entries.keys()]).toEqual(["f/a", "f/c"]);
  });

  it("are refused with the file's name after a flip of any bit, and after any cut", async () => {
    const folder = fresh();
    const records = diskRecords(folder);
    const text = JSON.stringify("the dose is 10 mg ".repeat(8));
    const hash = sha256(text);
    const run = { id: "r", flow: "f", hash: "h", seed: 0, input: { q: `#${hash}` }, document: {}, claim: "c" };
    await records.begin(run, new Map([[hash, text]]));
    await records.close!();
    const path = join(folder, "log/00000001.log");
    const whole = readFileSync(path);
    const corrupt = expect.objectContaining({ code: "RECORD_CORRUPT", path: expect.stringContaining("00000001.log") });
    const seen = async (bytes: Buffer) => {
      writeFileSync(path, bytes);
      await expect(diskRecords(folder).run("r")).rejects.toEqual(corrupt);
    };
    for (let bit = 0; bit < whole.length * 8; bit += 29) {
      const changed = Buffer.from(whole);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      await seen(changed);
    }
    for (let length = 0; length < whole.length; length += 23) await seen(whole.subarray(0, length));
  });

  it(`a process is killed ${kills} times: no finished step runs again, and the result is the undisturbed one`, async () => {
    const expected = (await (await crashFlow(fresh(), 0)).run(everyKindInput, { seed: 7 })).output;
    const program = fileURLToPath(new URL("crash.fixture.ts", import.meta.url));
    await fourAtOnce(kills, async (index) => {
      const folder = fresh();
      const ran = join(folder, "ran");
      await killed({ program, words: ["crash", folder], ran, after: 1 + (index % 9), later: (index * 7) % 20 });
      const { entries } = await diskRecords(`${folder}/records`).journal("run");
      rmSync(ran);
      expect((await (await crashFlow(folder, 0)).resume("run")).output).toEqual(expected);
      expect(linesOf(ran).filter((path) => entries.has(path))).toEqual([]);
      const quiet = [...entries.keys()].filter((path) => path.endsWith("elements") || path.endsWith("end"));
      expect(linesOf(ran).length + entries.size - quiet.length).toBe(10);
    });
  });

  it("constants need no record", async () => {
    const kit = testKit();
    const graph = flow("constant", {}, () => ({ value: value("v") }));
    const ready = await compile(graph.document, { operators: kit.all, records: diskRecords(fresh()) });
    expect((await ready.run({})).output).toEqual({ value: "v" });
  });
});
