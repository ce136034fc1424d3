import { describe, expect, it } from "@jest/globals";
import type { FlowDocument, Host, LanguageModel, Message, Passage } from "@tessera/core";
import { compile } from "@tessera/graph";
import { Bm25Store, ExactStore } from "@tessera/stores";
import { hostOf, scriptedEncoder, scriptedModel } from "@tessera/testkit";
import { operators } from "./operators.fixture.js";
import { tuneBoth } from "./tune-both/flow.js";
import { tuneGenerator } from "./tune-generator/flow.js";
import { tuneRetriever } from "./tune-retriever/flow.js";

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
/** A model that answers with the passage to a question, and to which no other passage makes that answer likely. */
const model: LanguageModel = {
  ...scriptedModel(({ messages }) => {
    const words = [.../(?:ask|told)(\w) ask(\w)\n/.exec(messages[1]!.content)!].slice(1);
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
const heldOutPairs = heldOut.map((pair) => ({ query: asked(pair), positive: told(pair) }));
const ran = async (document: FlowDocument, input: object, resources: Host = host) =>
  (await (await compile(document, { operators, host: resources })).run(input as Record<string, unknown>)).output;

describe("the three patterns of tuning", () => {
  it("row 59: of a retriever: a flow from pairs to an adapter, and recall before and after", async () => {
    const pairs = learnt.map((pair) => ({ query: asked(pair), positive: told(pair) }));
    const { before, after, losses, validation } = await ran(tuneRetriever.document, { pairs, heldOut: heldOutPairs });
    expect(before).toBeLessThan(0.7);
    expect(after).toBe(1);
    expect((losses as number[]).length).toBe((validation as number[]).length - 1);
  });

  it("row 59: of a generator: a flow from questions to chats, and how far they are borne out before and after", async () => {
    const teacher = scriptedModel((_, call) => (call % 2 === 0 ? "tolda [1]." : "Nobody knows."));
    const sparse = new Bm25Store();
    await sparse.upsert(
      pairs.map((pair, index) => ({ id: `p${index}`, text: `${asked(pair)} ${told(pair)}`, metadata: {} })),
    );
    const taught = hostOf({ "store/sparse": sparse, "model/model": teacher });
    const queries = pairs.filter(([one]) => one === "a").map(asked);
    const { instructions, distilled, before, after } = await ran(tuneGenerator.document, { queries }, taught);
    expect(instructions).toHaveLength(queries.length);
    expect(distilled).toHaveLength(Math.ceil(queries.length / 2));
    for (const { messages, teacher } of distilled as { messages: Message[]; teacher: string }[]) {
      expect(messages.map(({ role }) => role)).toEqual(["system", "user", "assistant"]);
      expect([messages.at(-1)!.content, teacher]).toEqual(["tolda [1].", "model"]);
    }
    expect(after).toBe(1);
    expect(before).toBeCloseTo(Math.ceil(queries.length / 2) / queries.length, 12);
  });

  it("row 59: of both: a flow from questions to chats and an adapter, by the same retrievals (RA-DIT)", async () => {
    // one word of two is that of the passages: by the other ones the model chooses
    const queries = learnt.flatMap(([one, other]) => [`told${one} ask${other}`, `told${other} ask${one}`]);
    const { chats, losses, before, after } = await ran(tuneBoth.document, { queries, heldOut: heldOutPairs });
    expect(chats).toHaveLength(5 * queries.length);
    expect((losses as number[]).at(-1)!).toBeLessThan((losses as number[])[0]!);
    expect(before).toBeLessThan(0.7);
    expect(after).toBe(1);
  });

  it("of both, by a model that refuses every question: nothing is learnt, and the flow ends", async () => {
    const silent: LanguageModel = { ...model, generate: scriptedModel(() => "NO ANSWER").generate };
    const resources = hostOf({ "encoder/encoder": encoder, "store/dense": store, "model/model": silent });
    const output = await ran(tuneBoth.document, { queries: learnt.map(asked), heldOut: heldOutPairs }, resources);
    expect(output).toMatchObject({ chats: [], adapter: null, losses: [] });
    expect(output.after).toBe(output.before);
  });
});
