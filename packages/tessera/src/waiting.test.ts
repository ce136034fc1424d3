import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "@jest/globals";
import { flow, is, operator, text, value } from "@tessera/core";
import { flowReceive, flowSleep, flowWait, textTemplate } from "@tessera/data";
import { diskRecords, memoryRecords } from "@tessera/graph";
import { z } from "zod";
import { createTessera } from "./create.js";

const sent: string[] = [];
const send = operator({
  name: "test.send",
  version: 1,
  about: { module: "data", submodule: "test", summary: "Sends." },
  config: z.strictObject({}),
  ports: { input: { text }, output: { text } },
  effects: "write",
  setup:
    () =>
    ({ text }) => {
      sent.push(text);
      return { text };
    },
});

/** A draft is sent when somebody approves it, in the words that they give it. */
const approval = flow("approval", { topic: "text" }, (f, { topic }) => {
  const draft = f.node("draft", textTemplate({ template: "About {topic}." }), { topic });
  const asked = f.node(
    "approve",
    flowWait({ form: { decision: { choice: ["send", "drop"] }, words: { optional: "text" } } }),
    { payload: draft.text },
  );
  const out = f.node(
    "send",
    send(),
    { text: { first: [asked.words as never, draft.text] } },
    {
      when: is(asked.decision as never, "send" as never),
    },
  );
  return { sent: { first: [out.text, value("nothing")] } };
});

const nap = flow("nap", { ms: "number" }, (f, { ms }) => {
  const slept = f.node("sleep", flowSleep<string>(), { ms, value: value("rested") as never });
  return { text: f.node("end", textTemplate({ template: "{state}" }), { state: slept.value }).text };
});

const heard = flow("heard", {}, (f) => {
  const got = f.node("hear", flowReceive({ signal: "go", value: "text", queue: 2 }), {});
  return { text: got.value };
});

const flows = { approval, nap, heard };
const open: { close(): Promise<unknown> }[] = [];
const started = async (records: Parameters<typeof createTessera>[0]["records"], more: object = {}) => {
  const tessera = createTessera({ flows, records, ...more });
  open.push(tessera);
  return tessera.start();
};
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  sent.length = 0;
});
const until = async (holds: () => Promise<boolean>) => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
};

/** The output of a run that somebody else runs, once it is done. */
async function outputOf(tessera: { replay(id: string): Promise<{ status: string; output: unknown }> }, id: string) {
  for (;;) {
    const result = await tessera.replay(id).catch(() => undefined);
    if (result?.status === "done") return result.output;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("a framework object", () => {
  it("lists what runs wait for, takes answers, and goes on", async () => {
    const tessera = await started(memoryRecords());
    for (const [id, who] of [
      ["a", "ann"],
      ["b", "bob"],
    ] as const) {
      const result = await tessera.run("approval", { topic: id }, { id, principal: { id: who } });
      expect(result).toMatchObject({
        status: "waiting",
        waits: [{ path: "approval/approve", payload: `About ${id}.` }],
      });
    }
    const waits = await tessera.waiting();
    expect(waits.map(({ run }) => run)).toEqual(["a", "b"]);
    expect(waits[0]!.schema).toEqual({
      type: "object",
      properties: { decision: { type: "string", enum: ["send", "drop"] }, words: { type: "string" } },
      required: ["decision"],
    });
    expect(await tessera.waiting({ principal: "bob" })).toEqual([waits[1]]);
    expect(await tessera.waiting({ run: "a" })).toEqual([waits[0]]);
    expect(await tessera.waiting({ flow: "nap" })).toEqual([]);
    const at = "approval/approve";
    await expect(tessera.answer("a", at, { decision: "maybe" })).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(tessera.answer("a", at, { decision: "send", more: 1 })).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(tessera.answer("x", at, {})).rejects.toMatchObject({ code: "RECORD_MISSING" });
    expect(await tessera.answer("a", at, { decision: "send", words: "Mine." })).toMatchObject({
      status: "done",
      output: { sent: "Mine." },
    });
    expect((await tessera.answer("b", at, { decision: "drop" })).output).toEqual({ sent: "nothing" });
    expect(sent).toEqual(["Mine."]);
    expect(await tessera.waiting()).toEqual([]);
  });

  it("two answers at the same time are two answers, and one life", async () => {
    const twice = flow("twice", {}, (f) => {
      const [a, b] = ["a", "b"].map((id) => f.node(id, flowWait({ answer: "text" }), {}));
      return { a: a!.answer, b: b!.answer };
    });
    const tessera = createTessera({ flows: { twice }, records: memoryRecords() });
    open.push(tessera);
    for (let i = 0; i < 20; i++) {
      await tessera.run("twice", {}, { id: `r${i}` });
      const ends = await Promise.all(["a", "b"].map((id) => tessera.answer(`r${i}`, `twice/${id}`, id.toUpperCase())));
      expect(ends.map(({ status }) => status)).toContain("done");
      expect((await tessera.replay(`r${i}`)).output).toEqual({ a: "A", b: "B" });
    }
  });

  it("wakes a run that sleeps, also in a process that begins later; on disk nothing is lost", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tessera-waits-"));
    const first = await started(diskRecords(folder));
    await first.run("nap", { ms: 200 }, { id: "short" });
    expect(await outputOf(first, "short")).toEqual({ text: "rested" });
    await first.run("nap", { ms: 800 }, { id: "long" });
    await first.run("approval", { topic: "t" }, { id: "asked" });
    await first.close();
    await new Promise((resolve) => setTimeout(resolve, 900));
    const second = await started(diskRecords(folder));
    expect(await outputOf(second, "long")).toEqual({ text: "rested" });
    expect(await second.answer("asked", "approval/approve", { decision: "send" })).toMatchObject({ status: "done" });
    expect(sent).toEqual(["About t."]);
  });

  it("sends signals, which are kept until somebody receives them", async () => {
    const tessera = await started(memoryRecords());
    await tessera.run("heard", {}, { id: "r" });
    expect(await tessera.waiting()).toMatchObject([{ kind: "signal", signal: "go", schema: { type: "string" } }]);
    await expect(tessera.signal("r", "go", 7)).rejects.toMatchObject({ code: "BAD_INPUT" });
    expect(await tessera.signal("r", "go", "now", { by: { id: "ann" }, anyone: true })).toMatchObject({
      status: "done",
      output: { text: "now" },
    });
  });

  it("a run that its service interrupted while it worked after a wait is taken up by the next", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tessera-waits-"));
    let block = true;
    let isWorking = false;
    const slow = operator({
      name: "test.slow",
      version: 1,
      about: { module: "data", submodule: "test", summary: "Takes its time." },
      config: z.strictObject({}),
      ports: { input: { text }, output: { text } },
      setup:
        () =>
        ({ text }, { signal }) => {
          isWorking = true;
          return block ? new Promise((_, reject) => signal.addEventListener("abort", reject)) : { text: `${text}!` };
        },
    });
    const asks = flow("asks", {}, (f) => {
      const { answer } = f.node("ask", flowWait({ answer: "text" }), {});
      return { text: f.node("slow", slow(), { text: answer }).text };
    });
    const first = createTessera({ flows: { asks }, records: diskRecords(folder) });
    await first.run("asks", {}, { id: "r" });
    const answered = first.answer("r", "asks/ask", "yes").catch(({ code }) => code);
    await until(async () => isWorking);
    await first.close({ within: 10 });
    expect(await answered).toBe("ABORTED");
    block = false;
    const second = createTessera({ flows: { asks }, records: diskRecords(folder) });
    open.push(second);
    await second.start();
    expect(await outputOf(second, "r")).toEqual({ text: "yes!" });
  });
});
