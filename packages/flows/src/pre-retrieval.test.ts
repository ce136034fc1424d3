import { describe, expect, it } from "@jest/globals";
import type { Hit, Store } from "@tessera/core";
import { Bm25Store } from "@tessera/stores";
import { chainOfVerification } from "./chain-of-verification/flow.js";
import { corpus, hostOver, modelOf } from "./corpus.fixture.js";
import { multiQuery } from "./multi-query/flow.js";
import { stepBack } from "./step-back/flow.js";
import { ids, slowly, trace } from "./trace.fixture.js";

const query = "harbour builder";

async function slowStore(): Promise<{ store: Store; most: () => number }> {
  const store = new Bm25Store();
  await store.upsert(corpus);
  return slowly(store);
}

describe("multi-query", () => {
  const model = () =>
    modelOf([
      { asked: "You write search queries", says: "Harbour builder?\nrye bread\nold clocks\nred lantern\nKolm town" },
      { asked: "You answer questions", says: "This and that [1]." },
    ]);

  it("row 13: retrieves n variants, none equal to q, and q itself, all at the same time", async () => {
    const { store, most } = await slowStore();
    const scripted = model();
    const { inputsOf, output } = await trace(
      multiQuery,
      { query },
      scripted,
      hostOver(scripted, { "store/sparse": store }),
    );
    expect(output.queries).toEqual(["rye bread", "old clocks", "red lantern"]);
    expect(inputsOf("]").map((input) => input.query)).toEqual([query, ...output.queries]);
    expect(most()).toBe(4);
  });

  it("row 13: fuses with twice the weight on the ranking of the question itself", async () => {
    const { inputsOf, output } = await trace(multiQuery, { query }, model());
    const [{ lists }] = inputsOf("multi-query/fuse") as [{ lists: Hit[][] }];
    const scores = new Map<string, number>();
    for (const [index, list] of lists.entries())
      for (const [place, id] of ids(list).entries())
        scores.set(id, (scores.get(id) ?? 0) + (index === 0 ? 2 : 1) / (60 + place + 1));
    expect(output.hits).toHaveLength(scores.size);
    for (const { passage, score } of output.hits) expect(score).toBeCloseTo(scores.get(passage.id)!, 12);
  });
});

describe("chain-of-verification", () => {
  const draft = "Ada Brandt built it in 1900 [1].";
  const model = (plan: string) =>
    modelOf([
      { asked: "You plan the checking", says: plan },
      { asked: ["You answer questions", "answered by themselves"], says: "Ada Brandt, in 1871 [1]." },
      { asked: ["You answer questions", "When was the harbour"], says: "In 1871 [1]." },
      { asked: ["You answer questions", "Where was Ada Brandt"], says: "In Kolm [1]." },
      { asked: "You answer questions", says: draft },
    ]);

  it("row 15: answers the questions that check a draft by prompts that do not hold the draft", async () => {
    const scripted = model("1. When was the harbour built?\n2. Where was Ada Brandt born?");
    const { inputsOf, output } = await trace(chainOfVerification, { query }, scripted);
    const prompts = scripted.requests.map(({ messages }) => messages.map(({ content }) => content).join("\n"));
    const holding = prompts.filter((prompt) => prompt.includes("in 1900"));
    // the planner and the reviser read the draft, and nobody else does
    expect(holding.map((prompt) => prompt.slice(0, 12))).toEqual(["You plan the", "You answer q"]);
    expect(holding[1]).toContain("When was the harbour built? In 1871");
    const checks = inputsOf("/answer");
    expect(checks.map((input) => input.query)).toEqual(["When was the harbour built?", "Where was Ada Brandt born?"]);
    for (const input of checks) expect(Object.keys(input).sort()).toEqual(["hits", "query"]);
    expect(output.draft).toBe(draft);
    expect(output.text).toBe("Ada Brandt, in 1871 [1].");
  });

  it("keeps a draft of which nothing is to be checked", async () => {
    const { output, ran } = await trace(chainOfVerification, { query }, model(""));
    expect(output.text).toBe(draft);
    expect(ran["generator.answer"]).toBe(1);
  });
});

describe("step-back", () => {
  it("row 18: retrieves for both questions at once, each passage once, tagged with the questions that found it", async () => {
    const { store, most } = await slowStore();
    const model = modelOf([
      { asked: "You step back", says: "Who was born in Kolm, an engineer?" },
      { asked: "You answer questions", says: "Ada Brandt [1]." },
    ]);
    const asked = { query: "Was the harbour of Velden built by Ada Brandt?" };
    const host = hostOver(model, { "store/sparse": store });
    const { inputsOf, output } = await trace(stepBack, asked, model, host);
    expect(most()).toBe(2);
    const [{ lists }] = inputsOf("step-back/unite") as [{ lists: [Hit[], Hit[]] }];
    const [general, question] = lists.map((list) => new Set(ids(list))) as [Set<string>, Set<string>];
    expect([...general].some((id) => question.has(id))).toBe(true);
    expect([...general].some((id) => !question.has(id))).toBe(true);
    expect(ids(output.hits).sort()).toEqual([...new Set([...general, ...question])].sort());
    for (const { passage, provenance } of output.hits) {
      const tags = provenance.flatMap(({ operator }) => (operator.includes(".") ? [] : [operator])).sort();
      const wanted = [
        ...(general.has(passage.id) ? ["general"] : []),
        ...(question.has(passage.id) ? ["question"] : []),
      ];
      expect([passage.id, tags]).toEqual([passage.id, wanted]);
    }
  });
});
