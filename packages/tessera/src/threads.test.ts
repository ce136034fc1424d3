import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import { flow, operator, type Records, text } from "@tessera/core";
import { flowWait } from "@tessera/data";
import { diskRecords, memoryRecords } from "@tessera/graph";
import { threadLimits } from "@tessera/graph/internal";
import { countOf } from "@tessera/testkit";
import fc from "fast-check";
import { z } from "zod";
import { createTessera } from "./create.js";

/** What a question asks for: "fail" fails, "echo" gives the history, "sum:…" a summary; others are answered. */
const reply = operator({
  name: "test.reply",
  version: 1,
  about: { module: "data", submodule: "test", summary: "Answers." },
  config: z.strictObject({}),
  ports: { input: { query: text, history: text.optional() }, output: { text, summary: text } },
  effects: "none",
  setup:
    () =>
    ({ query, history = "" }) => {
      if (query.startsWith("fail")) throw new Error("no answer");
      const summary = query.startsWith("sum:") ? query.slice(4) : "";
      if (query === "echo") return { text: history, summary };
      const heard = history === "" ? 0 : history.split("\n").length;
      return { text: `${query}! after ${heard}`, summary };
    },
});

const talk = flow("talk", { query: "text", history: { optional: "text" } }, (f, { query, history }) => {
  const { text, summary } = f.node("reply", reply(), { query, history });
  return { text, summary };
});

const asking = flow("asking", { query: "text", history: { optional: "text" } }, (f, { query, history }) => {
  const asked = f.node("ask", flowWait({ answer: "text" }), { payload: query });
  const { text } = f.node("reply", reply(), { query: asked.answer as never, history });
  return { text };
});

/** Takes messages, and not lines. */
const counted = operator({
  name: "test.counted",
  version: 1,
  about: { module: "data", submodule: "test", summary: "Counts messages." },
  config: z.strictObject({}),
  ports: { input: { messages: z.array(z.any()).optional() }, output: { text } },
  effects: "none",
  setup:
    () =>
    ({ messages = [] }) => ({ text: `${messages.length} messages, ${messages.at(-1)?.role}` }),
});

const listing = flow("listing", { query: "text", history: { optional: { list: "any" } } }, (f, { history }) => ({
  text: f.node("n", counted(), { messages: history }).text,
}));

const mute = flow("mute", { query: "text" }, (f, { query }) => ({ text: f.node("reply", reply(), { query }).text }));

const flows = { talk, asking, mute, listing };
const open: { close(): Promise<unknown> }[] = [];
const folders: string[] = [];
afterAll(async () => {
  for (const one of open) await one.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
const started = async (records: Records | undefined = memoryRecords()) => {
  const tessera = createTessera({ flows, ...(records && { records }) });
  open.push(tessera);
  return tessera.start();
};
const ann = { id: "ann" };

describe("a run on a thread", () => {
  it("is given what was said before, and leaves its turn when it ends", async () => {
    const tessera = await started();
    const first = await tessera.run("talk", { query: "one" }, { thread: "t", id: "a", principal: ann });
    const second = await tessera.run("talk", { query: "two" }, { thread: "t", id: "b", principal: ann });
    expect([first.output.text, second.output.text]).toEqual(["one! after 0", "two! after 2"]);
    const thread = await tessera.threads.read("t", { principal: "ann" });
    expect(thread?.turns.map(({ run, user, assistant }) => [run, user, assistant])).toEqual([
      ["a", "one", "one! after 0"],
      ["b", "two", "two! after 2"],
    ]);
    expect(await tessera.threads.list({ principal: "ann" })).toMatchObject([{ id: "t", turns: 2, flows: ["talk"] }]);
    // another principal has another thread of that id
    expect((await tessera.run("talk", { query: "x" }, { thread: "t" })).output.text).toBe("x! after 0");
    expect(await tessera.threads.delete("t", { principal: "ann" })).toBe(true);
    expect(await tessera.threads.read("t", { principal: "ann" })).toBeUndefined();
    expect((await tessera.threads.read("t"))?.turns).toHaveLength(1);
    expect(await tessera.replay("b")).toMatchObject({ output: { text: "two! after 2" } });
  });

  it("is the only one there; one that waits keeps the thread, and its turn comes when it ends", async () => {
    const tessera = await started();
    const waiting = await tessera.run("asking", { query: "really?" }, { thread: "t", id: "w" });
    expect(waiting.status).toBe("waiting");
    const conflict = { code: "CONFLICT", message: expect.stringContaining('"w"') };
    await expect(tessera.run("talk", { query: "x" }, { thread: "t", id: "x" })).rejects.toMatchObject(conflict);
    expect((await tessera.threads.read("t"))?.turns).toEqual([]);
    await tessera.answer("w", "asking/ask", "yes");
    expect((await tessera.threads.read("t"))?.turns).toMatchObject([{ user: "really?", assistant: "yes! after 0" }]);
    // a run whose beginning was refused left nothing: its id is free
    expect((await tessera.run("talk", { query: "x" }, { thread: "t", id: "x" })).output.text).toBe("x! after 2");
  });

  it("that fails leaves the thread as it was; one that is given up can be released", async () => {
    const tessera = await started();
    await tessera.run("talk", { query: "one" }, { thread: "t" });
    await expect(tessera.run("talk", { query: "fail" }, { thread: "t" })).rejects.toMatchObject({
      code: "NODE_FAILED",
    });
    await tessera.run("asking", { query: "never answered" }, { thread: "t", id: "w" });
    await tessera.threads.release("t");
    const { output } = await tessera.run("talk", { query: "two" }, { thread: "t" });
    expect(output.text).toBe("two! after 2");
    // what was released comes back only where nobody works
    await tessera.answer("w", "asking/ask", "late");
    expect((await tessera.threads.read("t"))?.turns.map(({ user }) => user)).toEqual(["one", "two", "never answered"]);
  });

  it("is given a summary in place of the turns that it stands for, the last of them besides", async () => {
    const tessera = await started();
    for (const query of ["one", "two", "sum:they counted", "four"])
      await tessera.run("talk", { query }, { thread: "t" });
    const thread = await tessera.threads.read("t");
    expect(thread?.summary).toEqual({ text: "they counted", turns: 2 });
    const lines = (await tessera.run("talk", { query: "echo" }, { thread: "t" })).output.text as string;
    // the summary of the first two turns, and the turns from the second one on
    expect(lines.split("\n").filter((line) => !line.startsWith("assistant"))).toEqual([
      "user: [summary of the conversation so far]",
      "they counted",
      "user: two",
      "user: sum:they counted",
      "user: four",
    ]);
  });

  it("is given no more tokens than it takes, whole turns from the end", async () => {
    const tessera = await started();
    for (let turn = 0; turn < 12; turn++)
      await tessera.run("talk", { query: `${"word ".repeat(20)}${turn}` }, { thread: "t" });
    const heard = async (tokens: number) => {
      const { output } = await tessera.run("talk", { query: "echo" }, { thread: { id: "t", tokens } });
      return output.text as string;
    };
    const some = await heard(200);
    expect(some.length).toBeLessThan(1500);
    expect(some.startsWith("user: word")).toBe(true);
    // a last turn that is too long by itself gives the end of its answer
    expect(await heard(5)).toMatch(/^assistant: \S+$/);
  });

  it("is refused where it cannot be", async () => {
    const tessera = await started();
    const refused = (name: "talk" | "mute", input: object, options: object) =>
      tessera.run(name, input as never, { thread: "t", ...options }).then(
        () => "ran",
        ({ code }) => code,
      );
    expect(await refused("mute", { query: "x" }, {})).toBe("BAD_ARGUMENT");
    expect(await refused("talk", { query: "x", history: "mine" }, {})).toBe("BAD_INPUT");
    expect(await refused("talk", {}, {})).toBe("BAD_INPUT");
    expect(await refused("talk", { query: "x" }, { thread: "../t" })).toBe("BAD_ARGUMENT");
    expect(await refused("talk", { query: "x".repeat(threadLimits.characters + 1) }, {})).toBe("BAD_INPUT");
    // none of them keeps the thread
    expect(await tessera.threads.list()).toEqual([]);
    const without = createTessera({ flows });
    open.push(without);
    await expect(without.run("talk", { query: "x" }, { thread: "t" })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(await without.threads.list()).toEqual([]);
  });

  it("takes messages as a list where its flow does", async () => {
    const tessera = await started();
    const said = async () => (await tessera.run("listing", { query: "x" }, { thread: "t" })).output.text;
    expect([await said(), await said()]).toEqual(["0 messages, undefined", "2 messages, assistant"]);
  });

  it("whatever runs come in whatever order, the thread equals that of one who does them one after another", async () => {
    const wish = fc.record({
      thread: fc.constantFrom("t", "u"),
      kind: fc.constantFrom("say", "say", "fail", "ask"),
      later: fc.boolean(),
    });
    const run = async (records: Records, wishes: readonly { thread: string; kind: string; later: boolean }[]) => {
      const tessera = await started(records);
      const twin = new Map<string, { turns: string[]; holder?: string }>();
      const of = (thread: string) => twin.get(thread) ?? twin.set(thread, { turns: [] }).get(thread)!;
      const waiting: { id: string; thread: string }[] = [];
      for (const [at, { thread, kind, later }] of wishes.entries()) {
        const id = `r${at}`;
        const plain = of(thread);
        const name = kind === "ask" ? "asking" : "talk";
        const query = kind === "fail" ? "fail" : `q${at}`;
        // two at the same moment: one of them is refused, or all are where somebody waits
        const ids = later ? [id, `${id}b`] : [id];
        const ends = await Promise.all(
          ids.map((id) =>
            tessera.run(name, { query }, { thread, id }).then(
              ({ status, output }) => (status === "waiting" ? "waiting" : output.text),
              ({ code }) => code as string,
            ),
          ),
        );
        if (plain.holder !== undefined) expect(ends).toEqual(ids.map(() => "CONFLICT"));
        else {
          const heard = 2 * plain.turns.length;
          const fine = { say: `${query}! after ${heard}`, fail: "NODE_FAILED", ask: "waiting" }[kind];
          expect(ends).toContain(fine);
          for (const end of ends)
            expect([fine, "CONFLICT", `${query}! after ${heard + 2}`, "NODE_FAILED"]).toContain(end);
          if (kind === "ask") {
            plain.holder = ids[ends.indexOf("waiting")]!;
            waiting.push({ id: plain.holder, thread });
          } else if (kind === "say") plain.turns.push(...ends.filter((end) => end !== "CONFLICT").sort());
        }
        const next = later && kind !== "ask" ? waiting.shift() : undefined;
        if (!next) continue;
        await tessera.answer(next.id, "asking/ask", next.id);
        const { turns } = of(next.thread);
        turns.push(`${next.id}! after ${2 * turns.length}`);
        of(next.thread).holder = undefined as never;
        delete of(next.thread).holder;
      }
      for (const [thread, { turns, holder }] of twin) {
        const kept = await tessera.threads.read(thread);
        expect(kept?.turns.map(({ assistant }) => assistant) ?? []).toEqual(turns);
        expect(kept?.open?.run).toBe(holder);
      }
      await tessera.close();
    };
    const stores: [() => Records, number][] = [
      [memoryRecords, countOf({ usual: 60, long: 2000 })],
      [
        () => {
          folders.push(mkdtempSync(join(tmpdir(), "tessera-talk-")));
          return diskRecords(folders.at(-1)!);
        },
        countOf({ usual: 15, long: 300 }),
      ],
    ];
    for (const [records, numRuns] of stores)
      await fc.assert(
        fc.asyncProperty(fc.array(wish, { maxLength: 12 }), (wishes) => run(records(), wishes)),
        { numRuns },
      );
  });
});
