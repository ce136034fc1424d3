import { AsyncLocalStorage } from "node:async_hooks";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, it } from "@jest/globals";
import { type FlowEvent, flow, type Hit, operator, type Resource, type Store, text } from "@tessera/core";
import { diskRecords, type FlowEvents, memoryRecords } from "@tessera/graph";
import { sparse } from "@tessera/retriever";
import { Bm25Store } from "@tessera/stores";
import { EventEmitter } from "eventemitter3";
import fc from "fast-check";
import { z } from "zod";
import { createTessera } from "./create.js";

const about = { module: "data", submodule: "test", summary: "For tests." } as const;
const texts = { input: { value: text }, output: { value: text } };
const request = new AsyncLocalStorage<string>();

/** Notes the caller's store before and after it has waited. */
function witness(seen: string[]) {
  return operator({
    name: "test.witness",
    version: 1,
    about,
    config: z.strictObject({ ms: z.number().default(1) }),
    ports: texts,
    setup:
      ({ ms }) =>
      async ({ value }, { emit, path }) => {
        seen.push(`${value} ${path} ${request.getStore()}`);
        await sleep(ms);
        emit("value", value);
        seen.push(`${value} ${path} ${request.getStore()}`);
        return { value };
      },
  });
}

describe("asynchronous contexts", () => {
  const setting = () => {
    const seen: string[] = [];
    const piece = witness(seen);
    const line = flow("line", { value: "text" }, (f, input) => {
      const a = f.node("a", piece({ ms: 2 }), input);
      return { value: f.node("b", piece({ ms: 1 }), { value: a.value }, { policy: { timeoutMs: 5000 } }).value };
    });
    return { seen, tessera: createTessera({ flows: { line }, operators: [piece] }) };
  };

  it("the caller's store is seen in every operator, and those of concurrent runs do not mix", async () => {
    const { seen, tessera } = setting();
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => request.run(`r${i}`, () => tessera.run("line", { value: `r${i}` }))),
    );
    expect(seen).toHaveLength(200);
    for (const line of seen) expect(line).toMatch(/^(r\d+) line\/[ab] \1$/);
    await tessera.close();
  });

  it("and in listeners of its events and readers of its stream", async () => {
    const { tessera } = setting();
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        request.run(`r${i}`, async () => {
          const heard: unknown[] = [];
          const events: FlowEvents = new EventEmitter();
          events.on("event", () => heard.push(request.getStore()));
          const stream = await tessera.stream("line", { value: "v" }, { events });
          for await (const _ of stream) heard.push(request.getStore());
          expect(heard).toEqual(new Array(heard.length).fill(`r${i}`));
          expect(heard.length).toBe(2 * 8);
        }),
      ),
    );
    await tessera.close();
  });

  it("resources are opened outside the request that first needs them, also by a reload", async () => {
    const opened: unknown[] = [];
    const open = () => {
      opened.push(request.getStore());
      return new Bm25Store();
    };
    const find = flow("find", { query: "text" }, (f, input) => ({
      hits: f.node("find", sparse({ store: "docs" }), input).hits,
    }));
    const tessera = createTessera({ flows: { find }, resources: { store: { docs: open } } });
    await request.run("first", () => tessera.run("find", { query: "q" }));
    await request.run("second", () => tessera.reload({ resources: { store: { docs: open } } }));
    expect(opened).toEqual([undefined, undefined]);
    await tessera.close();
  });
});

const folder = mkdtempSync(join(tmpdir(), "tessera-service-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("close within a time", () => {
  const setting = (slow: number, name: string) => {
    const ran: string[] = [];
    const step = operator({
      name: "test.step",
      version: 1,
      about,
      config: z.strictObject({ slow: z.boolean().default(false) }),
      ports: texts,
      setup:
        (config) =>
        async ({ value }, { path }) => {
          ran.push(path);
          await sleep(config.slow ? slow : 1, undefined, { ref: !config.slow || slow < 1000 });
          return { value: `${value}+` };
        },
    });
    const line = flow("line", { value: "text" }, (f, input) => {
      const a = f.node("a", step(), input);
      const b = f.node("b", step({ slow: true }), { value: a.value });
      return { value: f.node("c", step(), { value: b.value }).value };
    });
    const records = diskRecords(join(folder, name));
    return { ran, tessera: createTessera({ flows: { line }, operators: [step], records }) };
  };

  it("finishes what ends in time", async () => {
    const { tessera } = setting(30, "finished");
    const run = tessera.run("line", { value: "v" });
    expect(await tessera.close({ within: 10_000 })).toEqual([]);
    expect((await run).output).toEqual({ value: "v+++" });
  });

  it("checkpoints what does not: the run is resumed by the next process, and no finished step runs again", async () => {
    const before = setting(60_000, "interrupted");
    const run = before.tessera.run("line", { value: "v" }, { id: "long" });
    const ended = expect(run).rejects.toMatchObject({ code: "ABORTED", cause: { code: "CLOSED", path: "long" } });
    while (!before.ran.includes("line/b")) await sleep(2);
    expect(await before.tessera.close({ within: 5 })).toEqual([{ id: "long", flow: "line" }]);
    await ended;
    const after = setting(1, "interrupted");
    expect((await after.tessera.resume("long")).output).toEqual({ value: "v+++" });
    expect(after.ran).toEqual(["line/b", "line/c"]);
    await expect(after.tessera.resume("nobody")).rejects.toMatchObject({ code: "RECORD_MISSING" });
    await after.tessera.close();
    await expect(after.tessera.resume("long")).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("records are closed only when what is being written is written", async () => {
    const order: string[] = [];
    const { commit, ...disk } = diskRecords(join(folder, "closing"));
    const step = witness([]);
    const tessera = createTessera({
      flows: { one: flow("one", { value: "text" }, (f, input) => ({ value: f.node("a", step(), input).value })) },
      operators: [step],
      records: {
        ...disk,
        async commit(...given) {
          order.push("begun");
          await sleep(40);
          const noted = await commit(...given);
          order.push("written");
          return noted;
        },
        close: async () => void order.push("closed"),
      },
    });
    const run = tessera.run("one", { value: "v" }, { id: "one" }).catch(({ code }) => code);
    while (!order.includes("begun")) await sleep(1);
    await tessera.close({ within: 0 });
    expect(await run).toBe("ABORTED");
    expect(order).toEqual(["begun", "written", "closed"]);
    expect([...(await disk.journal("one")).entries.keys()]).toEqual(["one/a"]);
  });
});

describe("a run whose flow is replaced", () => {
  it("ends on the document that it began with; on the new one where that is asked for (E-25)", async () => {
    const records = memoryRecords();
    const ran: string[] = [];
    let broken = true;
    const step = operator({
      name: "test.step",
      version: 1,
      about: { module: "data", submodule: "test", summary: "Adds." },
      config: z.strictObject({ add: z.string() }),
      ports: { input: { value: text }, output: { value: text } },
      setup:
        ({ add }) =>
        async ({ value }, { path }) => {
          ran.push(path);
          if (broken && add !== "1") throw new Error("not now");
          return { value: value + add };
        },
    });
    const two = (add: string) =>
      flow("two", { value: "text" }, (f, input) => {
        const a = f.node("a", step({ add: "1" }), { value: input.value });
        return { value: f.node("b", step({ add }), { value: a.value }).value };
      });
    const tessera = createTessera({
      flows: { two: two("old") } as Record<string, ReturnType<typeof two>>,
      operators: [step],
      records,
    });
    for (const id of ["kept", "changed", "removed"])
      await expect(tessera.run("two", { value: "v" }, { id })).rejects.toMatchObject({ path: "two/b" });
    broken = false;
    ran.length = 0;
    await tessera.reload({ flows: { two: two("new") } });
    expect((await tessera.resume("kept")).output).toEqual({ value: "v1old" });
    expect((await tessera.resume("changed", { acceptChanges: true })).output).toEqual({ value: "v1new" });
    await tessera.reload({ flows: {} });
    expect((await tessera.resume("removed")).output).toEqual({ value: "v1old" });
    expect(ran).toEqual(["two/b", "two/b", "two/b"]);
    await tessera.close();
  });
});

describe("reload", () => {
  const say = operator({
    name: "test.say",
    version: 1,
    about,
    config: z.strictObject({ word: z.string(), ms: z.number().default(0) }),
    ports: texts,
    async setup({ word, ms }, host) {
      const mark = await host.resource<Resource & { mark: string }>("mark", "mark");
      return async ({ value }) => {
        await sleep(ms);
        return { value: `${word} ${value}${mark.mark}` };
      };
    },
  });
  const saying = (word: string, ms = 0) =>
    flow("say", { value: "text" }, (f, input) => ({ value: f.node("say", say({ word, ms }), input).value }));
  const marks = (closed: string[]) => (mark: string) => () => ({
    revision: mark,
    mark,
    close: async () => void closed.push(mark),
  });

  it("runs under way end on the old flow and its resources; new runs see the new; the old is closed after", async () => {
    const closed: string[] = [];
    const mark = marks(closed);
    const tessera = createTessera({
      flows: { say: saying("old", 40) },
      operators: [say],
      resources: { mark: { mark: mark("!") } },
    });
    const under = tessera.run("say", { value: "v" });
    await tessera.start();
    await tessera.reload({ flows: { say: saying("new") }, resources: { mark: { mark: mark("?") } } });
    expect((await tessera.run("say", { value: "v" })).output).toEqual({ value: "new v?" });
    expect(closed).toEqual([]);
    expect((await under).output).toEqual({ value: "old v!" });
    await sleep(1);
    expect(closed).toEqual(["!"]);
    await tessera.close();
    expect(closed).toEqual(["!", "?"]);
  });

  it("one that does not compile, or whose resource does not open, changes nothing and leaves nothing open", async () => {
    const closed: string[] = [];
    const mark = marks(closed);
    const tessera = createTessera({
      flows: { say: saying("old") },
      operators: [say],
      resources: { mark: { mark: mark("!") } },
    });
    const broken = { ...saying("new").document, output: { value: "nowhere.value" } };
    await expect(
      tessera.reload({ flows: { say: broken }, resources: { mark: { mark: mark("?") } } }),
    ).rejects.toMatchObject({ code: "INVALID_FLOW", findings: [{ code: "UNKNOWN_NODE" }] });
    await expect(
      tessera.reload({
        resources: {
          mark: {
            mark: () => {
              throw new Error("no such file");
            },
          },
        },
      }),
    ).rejects.toMatchObject({ code: "INVALID_FLOW", findings: [{ code: "SETUP_FAILED" }] });
    expect((await tessera.run("say", { value: "v" })).output).toEqual({ value: "old v!" });
    expect(closed).not.toContain("!");
    await tessera.close();
    expect(closed.at(-1)).toBe("!");
    await expect(tessera.reload({})).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("what is not replaced stays open, is opened once, and is closed once", async () => {
    const closed: string[] = [];
    let opened = 0;
    const tessera = createTessera({
      flows: { say: saying("a", 20) },
      operators: [say],
      resources: { mark: { mark: () => ({ ...marks(closed)("!")(), number: ++opened }) } },
    });
    const runs: Promise<unknown>[] = [];
    for (const word of ["b", "c", "d"]) {
      runs.push(tessera.run("say", { value: "v" }));
      await tessera.reload({ flows: { say: saying(word, 20) } });
    }
    expect(closed).toEqual([]);
    await Promise.all(runs);
    await tessera.close();
    expect([opened, closed]).toEqual([1, ["!"]]);
  });

  it("takes in an index that was swapped on disk; readers see the whole old or the whole new one, never half", async () => {
    const place = join(folder, "index");
    const write = async (generation: string) => {
      const store = new Bm25Store();
      await store.upsert(
        Array.from({ length: 20 }, (_, i) => ({ id: `p${i}`, text: `word ${generation}`, metadata: {} })),
      );
      await store.save(place);
    };
    await write("g0");
    const resources = { store: { docs: () => Bm25Store.load(place) as Promise<Store> } };
    const find = flow("find", { query: "text" }, (f, input) => {
      const { hits } = f.node("first", sparse({ store: "docs", top: 20 }), input);
      const again = f.node("second", sparse({ store: "docs", top: 20 }), input);
      return { hits, again: again.hits };
    });
    const tessera = createTessera({ flows: { find }, resources });
    await tessera.start();
    let stop = false;
    const seen: string[] = [];
    const reader = (async () => {
      while (!stop) {
        const { output } = await tessera.run("find", { query: "word" });
        const generations = new Set(
          [...(output.hits as Hit[]), ...(output.again as Hit[])].map(({ passage }) => passage.text),
        );
        seen.push([...generations].join("|"));
        await sleep(1);
      }
    })();
    for (const generation of ["g1", "g2", "g3"]) {
      await write(generation);
      await tessera.reload({ resources });
      expect((await tessera.run("find", { query: "word" })).output.hits).toHaveLength(20);
      await sleep(10);
    }
    stop = true;
    await reader;
    expect(seen.every((texts) => /^word g\d$/.test(texts))).toBe(true);
    expect([...new Set(seen)].at(-1)).toBe("word g3");
    expect([...seen]).toEqual([...seen].sort());
    await tessera.close();
  });
});

describe("an observer", () => {
  it("is told of every run and how it ended; one that throws changes nothing", async () => {
    const heard: string[] = [];
    const step = witness([]);
    const line = flow("line", { value: "text" }, (f, input) => ({ value: f.node("a", step(), input).value }));
    const observer = (throwing: boolean) => ({
      run: ({ document, events }: { document: { name: string }; events: FlowEvents }) => {
        if (throwing) throw new Error("broken");
        events.on("event", ({ type }: FlowEvent) => heard.push(type));
        heard.push(document.name);
        return { ended: (failure?: { code: string }) => void heard.push(failure?.code ?? "done") };
      },
    });
    const good = createTessera({ flows: { line }, operators: [step], observer: observer(false) });
    await good.run("line", { value: "v" });
    await expect(good.run("line", { value: "v" }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "ABORTED",
    });
    expect(heard).toEqual(
      ["line", "flow-start", "node-start", "node-delta", "node-end", "flow-end", "done"].concat("line", "ABORTED"),
    );
    const bad = createTessera({ flows: { line }, operators: [step], observer: observer(true) });
    expect((await bad.run("line", { value: "v" })).output).toEqual({ value: "v" });
  });
});

describe("whatever happens at the same time", () => {
  const act = fc.oneof(
    fc.record({ run: fc.integer({ min: 0, max: 4 }) }),
    fc.record({ stream: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ reload: fc.constantFrom("flows", "resources", "both", "broken") }),
    fc.record({ wait: fc.integer({ min: 0, max: 3 }) }),
  );

  it("no run uses what is closed, every run settles, and everything that was opened is closed once", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(act, { maxLength: 14 }),
        fc.option(fc.integer({ min: 0, max: 5 })),
        async (acts, within) => {
          const made: { closed: number }[] = [];
          const used: boolean[] = [];
          const open = () => {
            const resource = { revision: "1", closed: 0, close: async () => void resource.closed++ };
            made.push(resource);
            return resource;
          };
          const use = operator({
            name: "test.use",
            version: 1,
            about,
            config: z.strictObject({ kind: z.string() }),
            ports: texts,
            async setup({ kind }, host) {
              const resource = await host.resource<Resource & { closed: number }>(kind, "r");
              return async ({ value }, { signal }) => {
                used.push(resource.closed === 0);
                await sleep(Number(value), undefined, { signal });
                used.push(resource.closed === 0);
                return { value };
              };
            },
          });
          const two = (salt: string) =>
            flow("two", { value: "text" }, (f, input) => {
              const a = f.node(`a${salt}`, use({ kind: "kept" }), input);
              return { value: f.node("b", use({ kind: "swapped" }), { value: a.value }).value };
            });
          const broken = { ...two("").document, output: { value: "nowhere.value" } };
          const tessera = createTessera({
            flows: { two: two("0") },
            operators: [use],
            resources: { kept: { r: open }, swapped: { r: open } },
          });
          const all: Promise<unknown>[] = [];
          for (const [index, given] of acts.entries()) {
            if ("run" in given) all.push(tessera.run("two", { value: `${given.run}` }));
            else if ("stream" in given)
              all.push(
                tessera.stream("two", { value: `${given.stream}` }).then(async (stream) => {
                  void stream.result.catch(() => {});
                  let left = given.stream;
                  for await (const _ of stream) if (left-- === 0) break;
                }),
              );
            else if ("wait" in given) await sleep(given.wait);
            else
              all.push(
                tessera.reload({
                  ...(given.reload === "broken" && { flows: { two: broken } }),
                  ...((given.reload === "flows" || given.reload === "both") && { flows: { two: two(`${index}`) } }),
                  ...(given.reload !== "flows" && { resources: { swapped: { r: open } } }),
                }),
              );
          }
          await tessera.close(within === null ? {} : { within });
          const settled = await Promise.allSettled(all);
          await sleep(2);
          for (const end of settled)
            if (end.status === "rejected") expect(["INVALID_FLOW", "ABORTED", "CLOSED"]).toContain(end.reason.code);
          if (within === null) expect(used).not.toContain(false);
          expect(made.map(({ closed }) => closed)).toEqual(made.map(() => 1));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("a start that hangs hangs no run that is aborted, and no end", async () => {
    const find = flow("find", { query: "text" }, (f, input) => ({
      hits: f.node("find", sparse({ store: "docs" }), input).hits,
    }));
    const tessera = createTessera({
      flows: { find },
      resources: { store: { docs: () => new Promise<Store>(() => {}) } },
    });
    const signal = AbortSignal.timeout(5);
    await expect(tessera.run("find", { query: "q" }, { signal })).rejects.toMatchObject({ code: "ABORTED" });
    const waiting = expect(tessera.run("find", { query: "q" })).rejects.toMatchObject({ code: "ABORTED" });
    expect(await tessera.close({ within: 5 })).toMatchObject([{ flow: "find" }]);
    await waiting;
  });
});

describe("a signal that many runs share", () => {
  it("ends all of them, without a warning of Node's, and is let go of by those that have ended", async () => {
    const warnings: string[] = [];
    const hear = (warning: Error) => warnings.push(warning.name);
    process.on("warning", hear);
    const step = witness([]);
    const line = flow("line", { value: "text" }, (f, input) => ({ value: f.node("a", step({ ms: 20 }), input).value }));
    const tessera = createTessera({ flows: { line }, operators: [step] });
    const controller = new AbortController();
    const { signal } = controller;
    let listening = 0;
    const [add, remove] = [signal.addEventListener, signal.removeEventListener];
    signal.addEventListener = (...given: unknown[]) => {
      listening++;
      add.apply(signal, given as never);
    };
    signal.removeEventListener = (...given: unknown[]) => {
      listening--;
      remove.apply(signal, given as never);
    };
    const run = () => tessera.run("line", { value: "v" }, { signal });
    await Promise.all(Array.from({ length: 50 }, run));
    expect(listening).toBe(0);
    const runs = Array.from({ length: 50 }, run);
    await sleep(2);
    controller.abort("enough");
    for (const run of runs) await expect(run).rejects.toMatchObject({ code: "ABORTED", cause: "enough" });
    await expect(run()).rejects.toMatchObject({ code: "ABORTED" });
    process.off("warning", hear);
    expect(warnings).toEqual([]);
  });
});
