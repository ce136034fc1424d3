import { describe, expect, it } from "@jest/globals";
import { flow, type Hit, type LanguageModel, type Passage } from "@tessera/core";
import { listFlatten } from "@tessera/data";
import { answer, dual, instruct } from "@tessera/generator";
import { compile } from "@tessera/graph";
import { adaptQuery, dense, ExactStore, supervise, superviseByModel } from "@tessera/retriever";
import { hostOf, scriptedEncoder, scriptedModel } from "@tessera/testkit";
import { operators } from "./operators.fixture.js";

// questions say in other words what passages say: only learning can bring them together
const names = ["a", "b", "c", "d", "e", "f"];
const pairs = names.flatMap((one, index) => names.slice(index + 1).map((other) => [one, other] as const));
const asked = ([one, other]: (typeof pairs)[number]) => `ask${one} ask${other}`;
const told = ([one, other]: (typeof pairs)[number]) => `told${one} told${other}`;
const passages = pairs.map((pair, index): Passage => ({ id: `p${index}`, text: told(pair), metadata: {} }));
const [learnt, heldOut] = [0, 1].map((part) => pairs.filter((_, index) => Number(index % 3 === 0) === part)) as [
  typeof pairs,
  typeof pairs,
];

const encoder = scriptedEncoder(256);
const store = new ExactStore({ space: encoder.space({}), width: 256 });
await store.upsert(
  passages,
  await encoder.encode(
    passages.map(({ text }) => text),
    { kind: "text" },
  ),
);
const settings = { encoder: "encoder", rank: 12, learningRate: 0.003, epochs: 60 };

/** A model that answers with the passage to a question, and to which no other passage makes that answer likely. */
const model: LanguageModel = {
  ...scriptedModel(({ messages }) => {
    const words = [.../ask(\w) ask(\w)/.exec(messages[1]!.content)!].slice(1);
    return `told${words[0]} told${words[1]} [1].`;
  }),
  capabilities: new Set(["score"]),
  async score({ messages, text }) {
    const logprob = messages[1]!.content.includes(text.replace(/\W+$/, "")) ? -0.1 : -3;
    const tokens = text.split(" ").map((word) => ({ text: word, logprob }));
    return { tokens, usage: { prompt: 10, completion: tokens.length } };
  },
};
const host = hostOf({ "encoder/encoder": encoder, "store/dense": store, "model/model": model });
const search = dense({ store: "dense", encoder: "encoder", top: 15 });

/** The share of the held-out questions whose passage is found first, with an adapter. */
async function recall(adapter: unknown): Promise<number> {
  const adapted = flow("adapted", { query: "text", adapter: "any" }, (f, { query, adapter }) => {
    const { vector } = f.node("adapt", adaptQuery({ encoder: "encoder" }), { query, adapter });
    return { hits: f.node("retrieve", search, { query, vector }).hits };
  });
  const ready = await compile(adapted.document, { operators, host });
  let found = 0;
  for (const pair of heldOut) {
    const { output } = await ready.run({ query: asked(pair), adapter });
    found += Number((output.hits as Hit[])[0]!.passage.text === told(pair));
  }
  return found / heldOut.length;
}
const untouched = { space: encoder.space({}), width: 256, rank: 1, up: Array(256).fill(0), down: Array(256).fill(1) };

describe("the three patterns of tuning", () => {
  it("row 59: of a retriever: a flow from pairs to an adapter, and recall before and after", async () => {
    const tuneRetriever = flow("tune-retriever", { pairs: { list: "any" } }, (f, { pairs }) => {
      const { adapter, losses } = f.node("learn", supervise({ ...settings, others: 9 }), { pairs });
      return { adapter, losses };
    });
    const ready = await compile(tuneRetriever.document, { operators, host });
    const examples = learnt.map((pair) => ({ query: asked(pair), positive: told(pair) }));
    const { output } = await ready.run({ pairs: examples });
    expect(await recall(untouched)).toBeLessThan(0.5);
    expect(await recall(output.adapter)).toBe(1);
  });

  it("row 59: of a generator: a flow from questions to chats, and the share of grounded answers before and after", async () => {
    const example = flow("example", { query: "text" }, (f, { query }) => {
      const { hits } = f.node("retrieve", search, { query });
      const written = f.node("answer", answer({ model: "model" }), { query, hits });
      const { records } = f.node("export", instruct({ teacher: "model" }), { query, hits, answer: written.answer });
      return { records, answer: written.answer };
    });
    const tuneGenerator = flow("tune-generator", { queries: { list: "text" } }, (f, { queries }) => {
      const made = f.each("example", example, { over: "query", max: 20 }, { query: queries });
      const { list } = f.node("records", listFlatten(), { lists: made.records });
      return { records: list, answers: made.answer };
    });
    const teacher = scriptedModel((_, call) => (call % 2 === 0 ? "A thing [1]." : "A thing."));
    const taught = hostOf({ "encoder/encoder": encoder, "store/dense": store, "model/model": teacher });
    const ready = await compile(tuneGenerator.document, { operators, host: taught });
    const { output } = await ready.run({ queries: learnt.map(asked) });
    const records = output.records as { split: string; query: string; messages: { role: string; content: string }[] }[];
    const grounded = (texts: string[]) => texts.filter((text) => text.includes("[1]")).length / texts.length;
    expect(grounded((output.answers as { text: string }[]).map(({ text }) => text))).toBe(0.5);
    expect(grounded(records.map(({ messages }) => messages.at(-1)!.content))).toBe(1);
    expect(records).toHaveLength(learnt.length / 2);
    for (const { messages } of records)
      expect(messages.map(({ role }) => role)).toEqual(["system", "user", "assistant"]);
  });

  it("row 59: of both: a flow from questions to chats and an adapter, by the same retrievals (RA-DIT)", async () => {
    const example = flow("example", { query: "text" }, (f, { query }) => {
      const { hits } = f.node("retrieve", search, { query });
      const written = f.node("answer", answer({ model: "model" }), { query, hits });
      const made = f.node("export", dual({ model: "model", passages: 15, temperature: 0.5 }), {
        query,
        hits,
        answer: written.answer,
      });
      return { generator: made.generator, retriever: made.retriever };
    });
    const tuneBoth = flow("tune-both", { queries: { list: "text" } }, (f, { queries }) => {
      const made = f.each("example", example, { over: "query", max: 20 }, { query: queries });
      const chats = f.node("chats", listFlatten(), { lists: made.generator });
      const { list: records } = f.node("preferences", listFlatten(), { lists: made.retriever });
      const { adapter, losses } = f.node("learn", superviseByModel(settings), { records });
      return { chats: chats.list, adapter, losses };
    });
    const ready = await compile(tuneBoth.document, { operators, host });
    const { output } = await ready.run({ queries: learnt.map(asked) });
    expect(output.chats).toHaveLength(learnt.length * passages.length);
    const losses = output.losses as number[];
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2);
    expect(await recall(untouched)).toBeLessThan(0.5);
    expect(await recall(output.adapter)).toBeGreaterThan(0.7);
  });
});
