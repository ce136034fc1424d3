import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, type FlowDocument, operator, type Resource, text } from "@tessera/core";
import { z } from "zod";
import { createTessera } from "./create.js";

/** Operators that note which flows they were set up for, and say what their resource says now. */
function kit() {
  const setUp: string[] = [];
  const closed: string[] = [];
  const say = operator({
    name: "test.say",
    version: 1,
    about: { module: "data", submodule: "test", summary: "For tests." },
    config: z.strictObject({ flow: z.string(), word: z.string().optional() }),
    ports: { input: { value: text }, output: { value: text } },
    setup: ({ flow, word }, host) => {
      setUp.push(flow);
      // it asks while it runs, and not when it is set up
      return async ({ value }) => ({
        value: word === undefined ? value : (await host.resource<Resource & { word: string }>("words", word)).word,
      });
    },
  });
  const eager = operator({
    ...say,
    name: "test.eager",
    setup: async ({ flow, word }, host) => {
      setUp.push(flow);
      const resource = await host.resource<Resource & { word: string }>("words", word!);
      return () => ({ value: resource.word });
    },
  });
  const flow = (name: string, run = "test.say", word?: string): FlowDocument => ({
    version: 1,
    name,
    input: { value: "text" },
    nodes: { say: { run, with: { flow: name, ...(word && { word }) }, in: { value: "input.value" } } },
    output: { value: "say.value" },
  });
  const words = (word: string) => () => ({ revision: word, word, close: async () => void closed.push(word) });
  return { setUp, closed, flow, words, operators: [say, eager] as unknown as AnyOperator[] };
}

describe("a reload", () => {
  // E-33 of the fault book: one more upload compiled all 500 again
  it("compiles the flows that are new, and no other, however many there are", async () => {
    const { setUp, flow, operators } = kit();
    let flows: Record<string, FlowDocument> = {};
    for (let i = 0; i < 200; i++) flows[`f${i}`] = flow(`f${i}`);
    const tessera = createTessera<Record<string, FlowDocument>>({ flows, operators });
    await tessera.start();
    expect(setUp).toHaveLength(200);
    for (let i = 200; i < 300; i++) {
      flows = { ...flows, [`f${i}`]: flow(`f${i}`) };
      await tessera.reload({ flows });
      expect(setUp).toHaveLength(i + 1);
    }
    await tessera.reload({ flows: { ...flows, f7: flow("f7") } });
    expect(setUp.slice(300)).toEqual(["f7"]);
    expect((await tessera.run("f3", { value: "x" })).output).toEqual({ value: "x" });
    await tessera.close();
  });

  it("compiles again what uses a replaced resource; what it kept asks for resources as before", async () => {
    const { setUp, closed, flow, words, operators } = kit();
    const flows: Record<string, FlowDocument> = {
      plain: flow("plain"),
      late: flow("late", "test.say", "a"),
      early: flow("early", "test.eager", "a"),
      other: flow("other", "test.eager", "b"),
    };
    const tessera = createTessera<Record<string, FlowDocument>>({
      flows,
      operators,
      resources: { words: { a: words("a1"), b: words("b1") } },
    });
    const said = async (name: string) => (await tessera.run(name, { value: "x" })).output.value;
    expect([await said("plain"), await said("early"), await said("other")]).toEqual(["x", "a1", "b1"]);
    setUp.length = 0;
    await tessera.reload({ resources: { words: { a: words("a2"), c: words("c1") } } });
    expect(setUp).toEqual(["early"]);
    expect([await said("late"), await said("early"), await said("other")]).toEqual(["a2", "a2", "b1"]);
    expect(closed).toEqual(["a1"]);
    await tessera.close();
    expect([...closed].sort()).toEqual(["a1", "a2", "b1"]);
  });

  it("that fails leaves what there was, with its resources", async () => {
    const { flow, words, operators } = kit();
    const flows: Record<string, FlowDocument> = { late: flow("late", "test.say", "a") };
    const tessera = createTessera<Record<string, FlowDocument>>({
      flows,
      operators,
      resources: { words: { a: words("a1") } },
    });
    await tessera.start();
    await expect(tessera.reload({ flows: { ...flows, bad: flow("bad", "test.none") } })).rejects.toMatchObject({
      code: "INVALID_FLOW",
    });
    expect((await tessera.run("late", { value: "x" })).output).toEqual({ value: "a1" });
    await tessera.close();
  });
});
