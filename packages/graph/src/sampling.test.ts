import { describe, expect, it } from "@jest/globals";
import {
  type AnyOperator,
  ask,
  type FlowEvent,
  flow,
  type LanguageModel,
  operator,
  type Sampling,
  text,
} from "@tessera/core";
import { scriptedModel } from "@tessera/testkit";
import { z } from "zod";
import { compile } from "./compile.js";
import { memoryRecords } from "./records/memory.js";

const say = operator({
  name: "test.say",
  version: 1,
  about: { module: "generation", submodule: "test", summary: "Asks a model." },
  config: z.strictObject({ model: z.string() }),
  ports: { input: { query: text }, output: { text } },
  bound: () => ({ calls: 1, tokens: 1000 }),
  async setup({ model }, host) {
    const asked = await host.resource<LanguageModel>("model", model);
    return async ({ query }, context) => ({
      text: (await ask(asked, { messages: [{ role: "user", content: query }], maxTokens: 10, temperature: 0 }, context))
        .text,
    });
  },
});

const inner = flow("inner", { query: "text" }, (f, { query }) => ({
  text: f.node("last", say({ model: "m" }), { query }).text,
}));
const document = flow("two", { query: "text" }, (f, { query }) => {
  const first = f.node("first", say({ model: "m" }), { query });
  return { text: f.node("deep", inner, { query: first.text }).text };
}).document;

async function opened(more: object = {}) {
  const model = scriptedModel(() => "a b c", { capabilities: ["seed"] });
  const host = { resource: async () => model as never };
  const ready = await compile(document, { operators: [say] as AnyOperator[], host, ...more });
  const ran = async (sampling?: Sampling) => {
    model.requests.length = 0;
    await ready.run({ query: "q" }, { sampling });
    return model.requests.map(({ temperature, topP, seed, maxTokens }) => [temperature, topP, seed, maxTokens]);
  };
  return { model, ready, ran };
}

describe("what whoever starts a run asks of its language models", () => {
  it("stands over what operators ask, at the paths that it names and all that is inside them; a limit never rises", async () => {
    const { ran } = await opened();
    const own = [0, undefined, undefined, 10];
    expect(await ran()).toEqual([own, own]);
    const asked = { temperature: 0.5, topP: 0.9, seed: 3, maxTokens: 2 };
    const changed = [0.5, 0.9, 3, 2];
    expect(await ran(asked)).toEqual([changed, changed]);
    expect(await ran({ ...asked, paths: ["two/deep"] })).toEqual([own, changed]);
    expect(await ran({ ...asked, paths: ["two/deep/last"] })).toEqual([own, changed]);
    expect(await ran({ ...asked, paths: ["two/dee", "two/first"] })).toEqual([changed, own]);
    expect(await ran({ maxTokens: 100 })).toEqual([own, own]);
  });

  it("is part of what a cached answer depends on, where it holds", async () => {
    const { ran } = await opened({ cache: memoryRecords() });
    expect(await ran()).toHaveLength(2);
    expect(await ran()).toHaveLength(0);
    expect(await ran({ temperature: 1, paths: ["two/deep"] })).toHaveLength(1);
    expect(await ran({ temperature: 1, paths: ["two/deep"] })).toHaveLength(0);
    expect(await ran({ temperature: 0.9, paths: ["two/deep"] })).toHaveLength(1);
  });

  it("and each answer of a model is told to those who watch, with its place and tokens", async () => {
    const { ready } = await opened();
    const told: FlowEvent[] = [];
    const stream = ready.stream({ query: "q" }, { sampling: { maxTokens: 2, paths: ["two/deep"] } });
    for await (const event of stream) if (event.type === "model-end") told.push(event);
    expect(told).toEqual([
      { type: "model-end", path: "two/first", prompt: 1, completion: 3, finish: "stop" },
      { type: "model-end", path: "two/deep/last", prompt: 3, completion: 2, finish: "length" },
    ]);
  });
});
