import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "@jest/globals";
import { flow, operator, type Resource, text } from "@tessera/core";
import { memoryRecords } from "@tessera/graph";
import { z } from "zod";
import { createTessera } from "./create.js";

/** A flow "say" of two steps; the second waits until it is let go, and then reads its resource. */
function setting() {
  const ran: string[] = [];
  const closed: string[] = [];
  const waiting: (() => void)[] = [];
  let held = true;
  const step = operator({
    name: "test.step",
    version: 1,
    about: { module: "data", submodule: "test", summary: "For tests." },
    config: z.strictObject({ word: z.string(), waits: z.boolean().default(false) }),
    ports: { input: { value: text }, output: { value: text } },
    async setup({ word, waits }, host) {
      const mark = await host.resource<Resource & { mark: string }>("mark", "mark");
      return async ({ value }, { path, signal }) => {
        ran.push(path);
        if (waits && held)
          await new Promise<void>((resolve, reject) => {
            waiting.push(resolve);
            signal.addEventListener("abort", () => reject(new Error("aborted")));
          });
        if (closed.includes(mark.mark)) throw new Error("the resource is closed");
        return { value: `${value}${word}${mark.mark}` };
      };
    },
  });
  const say = (word: string) =>
    flow("say", { value: "text" }, (f, input) => {
      const a = f.node("a", step({ word: "1" }), { value: input.value });
      return { value: f.node("b", step({ word, waits: true }), { value: a.value }).value };
    });
  const other = flow("other", { value: "text" }, (f, input) => ({
    value: f.node("a", step({ word: "o" }), { value: input.value }).value,
  }));
  const mark = (mark: string) => () => ({ revision: mark, mark, close: async () => void closed.push(mark) });
  const tessera = createTessera<Record<string, ReturnType<typeof say>>>({
    flows: { say: say("old"), other },
    operators: [step],
    resources: { mark: { mark: mark("!") } },
    records: memoryRecords(),
  });
  const letGo = () => {
    held = false;
    for (const resolve of waiting.splice(0)) resolve();
  };
  const underway = async () => {
    while (waiting.length === 0) await sleep(1);
  };
  return { ran, closed, say, other, mark, tessera, letGo, underway };
}

describe("a handle of a flow", () => {
  it("says what the flow is, with the types of the flow", async () => {
    const { tessera, letGo, say } = setting();
    letGo();
    const handle = await tessera.flow("say");
    expect(handle.document).toEqual(say("old").document);
    expect([handle.name, handle.writes, handle.bound.steps]).toEqual(["say", [], 2]);
    const { output } = await handle.run({ value: "v" });
    const value: string = output.value;
    expect(value).toBe("v1!old!");
    // @ts-expect-error the flow takes a value
    await expect(handle.run({ valu: "v" })).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(tessera.flow("sey")).rejects.toMatchObject({ code: "BAD_ARGUMENT", hint: 'did you mean "say"?' });
    await tessera.close();
  });

  it.each(["run", "stream"] as const)("close waits for a %s of it, and closes what it uses afterwards", async (how) => {
    const { tessera, letGo, underway, closed } = setting();
    const handle = await tessera.flow("say");
    const run = how === "run" ? handle.run({ value: "v" }) : (await handle.stream({ value: "v" })).result;
    await underway();
    let over = false;
    const closing = tessera.close().then(() => {
      over = true;
    });
    await sleep(5);
    expect([over, closed]).toEqual([false, []]);
    await expect(handle.run({ value: "v" })).rejects.toMatchObject({ code: "CLOSED" });
    letGo();
    expect((await run).output).toEqual({ value: "v1!old!" });
    await closing;
    expect(closed).toEqual(["!"]);
  });

  it("close within a time aborts a run of it and names it", async () => {
    const { tessera, underway } = setting();
    const handle = await tessera.flow("say");
    const ended = expect(handle.run({ value: "v" }, { id: "long" })).rejects.toMatchObject({ code: "ABORTED" });
    await underway();
    expect(await tessera.close({ within: 1 })).toEqual([{ id: "long", flow: "say" }]);
    await ended;
  });

  it("a run of it ends on what it began with after a reload; new runs are runs of the flow as it is now", async () => {
    const { tessera, letGo, underway, closed, say, other, mark } = setting();
    const handle = await tessera.flow("say");
    const before = handle.run({ value: "v" });
    await underway();
    await tessera.reload({ flows: { say: say("new"), other }, resources: { mark: { mark: mark("?") } } });
    await sleep(5);
    expect(closed).toEqual([]);
    letGo();
    expect((await before).output).toEqual({ value: "v1!old!" });
    expect((await handle.run({ value: "v" })).output).toEqual({ value: "v1?new?" });
    expect(handle.document).toEqual(say("new").document);
    await sleep(5);
    expect(closed).toEqual(["!"]);
    await tessera.reload({ flows: { other } });
    expect(handle.document).toEqual(say("new").document);
    await expect(handle.run({ value: "v" })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await tessera.close();
  });

  it("takes up, replays and asks what if of its own runs, and refuses those of another flow", async () => {
    const { tessera, letGo, ran } = setting();
    letGo();
    const handle = await tessera.flow("say");
    await tessera.run("other", { value: "v" }, { id: "foreign" });
    await handle.run({ value: "v" }, { id: "own" });
    ran.length = 0;
    expect((await handle.replay("own")).output).toEqual({ value: "v1!old!" });
    expect((await handle.resume("own")).output).toEqual({ value: "v1!old!" });
    expect((await (await handle.resumeStream("own")).result).output).toEqual({ value: "v1!old!" });
    expect((await handle.whatIf("own")).output).toEqual({ value: "v1!old!" });
    expect(ran).toEqual([]);
    expect((await handle.whatIf("own", { value: "w" })).output).toEqual({ value: "w1!old!" });
    expect(ran).toEqual(["say/a", "say/b"]);
    for (const use of ["replay", "resume", "resumeStream", "whatIf"] as const)
      await expect(handle[use]("foreign")).rejects.toMatchObject({
        code: "BAD_ARGUMENT",
        path: "foreign",
        hint: 'take the handle of that flow: flow("other")',
      });
    await tessera.close();
  });
});

describe("replay and whatIf", () => {
  it("replay runs on the document that the run began with, whatever there is now; whatIf on the flow as it is now", async () => {
    const { tessera, letGo, say, other, ran } = setting();
    letGo();
    await tessera.run("say", { value: "v" }, { id: "first" });
    const later: Record<string, ReturnType<typeof say>>[] = [{ say: say("new"), other }, { other }];
    for (const flows of later) {
      await tessera.reload({ flows });
      ran.length = 0;
      expect((await tessera.replay("first")).output).toEqual({ value: "v1!old!" });
      expect(ran).toEqual([]);
      const removed = !("say" in flows);
      const { output } = await tessera.whatIf("first", undefined, { id: removed ? "third" : "second" });
      expect(output).toEqual({ value: removed ? "v1!old!" : "v1!new!" });
      // of the changed flow only the step that changed is computed
      expect(ran).toEqual(removed ? [] : ["say/b"]);
    }
    // what an assumption gave is a run of its own
    expect((await tessera.replay("second")).output).toEqual({ value: "v1!new!" });
    expect((await tessera.replay("first")).output).toEqual({ value: "v1!old!" });
    await expect(tessera.replay("nobody")).rejects.toMatchObject({ code: "RECORD_MISSING", path: "nobody" });
    await expect(tessera.whatIf("nobody")).rejects.toMatchObject({ code: "RECORD_MISSING", path: "nobody" });
    await tessera.close();
    await expect(tessera.replay("first")).rejects.toMatchObject({ code: "CLOSED" });
    await expect(tessera.whatIf("first")).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("close waits for a whatIf, and its resources stay open", async () => {
    const { tessera, letGo, underway, closed } = setting();
    const first = tessera.run("say", { value: "v" }, { id: "first" });
    await underway();
    const assumed = tessera.whatIf("first", { value: "w" });
    while ((await Promise.race([assumed, sleep(1, "waits")])) !== "waits");
    const closing = tessera.close();
    await sleep(5);
    expect(closed).toEqual([]);
    letGo();
    expect((await first).output).toEqual({ value: "v1!old!" });
    expect((await assumed).output).toEqual({ value: "w1!old!" });
    await closing;
    expect(closed).toEqual(["!"]);
  });

  it("an unknown record is said where none are kept", async () => {
    const { other } = setting();
    const tessera = createTessera({ flows: { other } });
    await expect(tessera.replay("any")).rejects.toMatchObject({ code: "RECORD_MISSING" });
    await tessera.close();
  });
});
