import { describe, expect, it } from "@jest/globals";
import type { Hit, Passage } from "@tessera/core";
import { compile } from "@tessera/graph";
import { Bm25Store } from "@tessera/stores";
import { hostOf, scriptedModel } from "@tessera/testkit";
import { active } from "./active/flow.js";
import { adaptiveRag } from "./adaptive-rag/flow.js";
import { branching } from "./branching/flow.js";
import { conditional } from "./conditional/flow.js";
import { corpus, hostOver, modelOf } from "./corpus.fixture.js";
import { crag } from "./crag/flow.js";
import { flare } from "./flare/flow.js";
import { ircot } from "./ircot/flow.js";
import { iterRetgen } from "./iter-retgen/flow.js";
import { iterative } from "./iterative/flow.js";
import { operators } from "./operators.fixture.js";
import { postBranching } from "./post-branching/flow.js";
import { recursive } from "./recursive/flow.js";
import { rrr } from "./rrr/flow.js";
import { selfAsk } from "./self-ask/flow.js";
import { ids, slowly, trace } from "./trace.fixture.js";

const query = "harbour builder";

describe("rrr", () => {
  it("row 16, row 48: gives the rewritten queries to the retriever, and the question as it was asked to the reader", async () => {
    const model = modelOf([
      { asked: "search queries", says: "harbour built; Brandt born**" },
      { asked: "You answer questions", says: "Ada Brandt [1]." },
    ]);
    const { inputsOf } = await trace(rrr, { query }, model);
    expect(inputsOf("]").map((input) => input.query)).toEqual(["harbour built", "Brandt born"]);
    expect(inputsOf("rrr/read").map((input) => input.query)).toEqual([query]);
  });

  it("searches with the question itself where the model writes no query", async () => {
    const model = modelOf([
      { asked: "search queries", says: "**" },
      { asked: "You answer questions", says: "Ada Brandt [1]." },
    ]);
    const { output } = await trace(rrr, { query }, model);
    expect(output.queries).toEqual([query]);
  });
});

describe("iter-retgen", () => {
  it("row 52: retrieves at turn t with y_{t-1} before q, and reads the passages of that turn only", async () => {
    const model = scriptedModel(["Rye bread [1].", "A bakery [1]."]);
    const { inputsOf, output } = await trace(iterRetgen, { query }, model);
    expect(inputsOf("/retrieve").map((input) => input.query)).toEqual([` ${query}`, `Rye bread [1]. ${query}`]);
    const [first, second] = inputsOf("/answer").map(({ hits }) => ids(hits as Hit[]));
    expect(first).toEqual(["harbour"]);
    expect(second).toContain("bakery");
    expect(output).toMatchObject({ text: "A bakery [1].", turns: 2 });
    expect(model.requests).toHaveLength(2); // T is two
  });
});

describe("iterative", () => {
  it("row 52: makes the query of turn t of what was said and asked before, and ends after T turns", async () => {
    let turn = 0;
    const model = scriptedModel(({ messages }) => {
      const [system] = messages.map(({ content }) => content) as [string];
      if (system.includes("one search query")) return `harbour ${++turn} **`;
      return system.includes("You examine an answer") ? `B Remark ${turn}.` : `Answer ${turn} [1].`;
    });
    const { output, inputsOf } = await trace(iterative, { query }, model);
    expect(output).toMatchObject({ turns: 4, stopReason: "max", confirmed: false, text: "Answer 4 [1]." });
    // q_t of y_{t-1} and q_{t-1}
    expect(inputsOf("/rewrite").map(({ query, history, draft }) => [query, history, draft])).toEqual([
      [query, "", ""],
      [query, "harbour 1", "Answer 1 [1]."],
      [query, "harbour 2", "Answer 2 [1]."],
      [query, "harbour 3", "Answer 3 [1]."],
    ]);
    // y_{t-1} ‖ q_t is what is searched
    expect(inputsOf("/retrieve").map((input) => input.query)).toEqual([
      " harbour 1",
      "Answer 1 [1]. harbour 2",
      "Answer 2 [1]. harbour 3",
      "Answer 3 [1]. harbour 4",
    ]);
  });
});

describe("active", () => {
  it("row 54: searches where the judge says so, by a query that knows the one before", async () => {
    const verdicts = ["search", "write", "search"];
    let [judged, asked, said] = [0, 0, 0];
    const model = scriptedModel(({ messages }) => {
      const [system] = messages.map(({ content }) => content) as [string];
      if (system.includes("written sentence by sentence")) return verdicts[judged++]!;
      if (system.includes("one search query")) return `harbour ${++asked} **`;
      return ["The harbour is old.", "It is deep.", "END"][said++]!;
    });
    const { output, inputsOf } = await trace(active, { query }, model);
    expect(output).toMatchObject({ text: "The harbour is old. It is deep.", turns: 3 });
    expect(inputsOf("/rewrite").map(({ history, draft }) => [history, draft])).toEqual([
      ["", ""],
      ["harbour 1", "The harbour is old. It is deep."],
    ]);
    // without a search the passages of the turn before stay (erratum E5)
    const [first, second] = inputsOf("/write").map(({ hits }) => ids(hits as Hit[]));
    expect(second).toEqual(first);
  });
});

describe("ircot", () => {
  it("row 52: stops once 15 passages are gathered", async () => {
    // the question finds 6, and each thought 6 others
    const words = ["alpha", "beta", "gamma", "delta"];
    const passages = words.flatMap((word) =>
      Array.from({ length: 6 }, (_, n): Passage => ({ id: `${word}${n}`, text: word, metadata: {} })),
    );
    const store = new Bm25Store();
    await store.upsert(passages);
    const model = scriptedModel(["Beta.", "Gamma.", "Delta.", "NO ANSWER"]);
    const host = hostOf({ "store/sparse": store, "model/model": model });
    const { output } = await trace(ircot, { query: "alpha" }, model, Promise.resolve(host));
    expect(output.stopReason).toBe("until");
    expect(output.turns).toBe(2);
    expect(output.hits).toHaveLength(15);
  });

  it("row 52: stops at the sentence that says what the answer is, and retrieves nothing more", async () => {
    const model = scriptedModel(({ messages }, call) => {
      if (messages[0]!.content.includes("You answer questions")) return "Kolm [1].";
      return ["Ada Brandt built it.", "So the ANSWER IS Kolm."][call] ?? "It goes on.";
    });
    const { output, inputsOf } = await trace(ircot, { query: "Where was the builder of the harbour born?" }, model);
    expect(output).toMatchObject({ turns: 2, stopReason: "until", text: "Kolm [1]." });
    expect(output.thoughts).toBe("Ada Brandt built it. So the ANSWER IS Kolm.");
    expect(inputsOf("/retrieve").map((input) => input.query)).toEqual([
      "Where was the builder of the harbour born?",
      "Ada Brandt built it.",
    ]);
  });
});

describe("self-ask", () => {
  it("ends after five turns, and then shows what was said", async () => {
    const model = scriptedModel(({ messages }, call) =>
      messages[0]!.content.includes("Follow up:") ? `Follow up: What of lantern ${call}?` : "It is red.",
    );
    const { output, ran } = await trace(selfAsk, { query }, model);
    expect(output).toMatchObject({ turns: 5, stopReason: "max" });
    expect(output.text).toBe(output.thoughts);
    expect(ran["retriever.sparse"]).toBe(5);
  });
});

describe("flare", () => {
  const answers = ["The keeper lives in Velden.", "Every keeper lives in Kolm.", "END"];
  const withProbability = (least: number) =>
    scriptedModel(answers, {
      capabilities: ["logprobs"],
      logprob: (token) => Math.log(token === " Velden." ? least : 0.99),
    });

  it("row 54: retrieves if and only if a token is less probable than θ = 0.8", async () => {
    expect((await trace(flare, { query }, withProbability(0.79))).ran["retriever.sparse"]).toBe(2);
    expect((await trace(flare, { query }, withProbability(0.81))).ran["retriever.sparse"]).toBe(1);
  });

  it("row 54: leaves tokens of at most β = 0.4 out of the query", async () => {
    const queryAt = async (probability: number) =>
      (await trace(flare, { query }, withProbability(probability))).inputsOf("#1/retrieve")[0]!.query;
    expect(await queryAt(0.39)).toBe("The keeper lives in");
    expect(await queryAt(0.41)).toBe("The keeper lives in Velden.");
  });

  it("is refused at compile with a model that has no log-probabilities", async () => {
    const compiling = compile(flare.document, { operators, host: await hostOver(scriptedModel([])) });
    await expect(compiling).rejects.toMatchObject({
      findings: expect.arrayContaining([expect.objectContaining({ code: "MISSING_CAPABILITY" })]),
    });
  });
});

describe("adaptive-rag", () => {
  it.each([
    ["none", ["none"]],
    ["single", ["single"]],
    ["multiple", ["multiple"]],
    ["gibberish", ["single"]],
  ])("row 49: for the verdict %j exactly the target %j runs, and the others are skipped", async (verdict, targets) => {
    const model = modelOf([
      { asked: "How is the question to be answered?", says: verdict },
      { asked: "You write an answer", says: "So the answer is Kolm." },
      { asked: "You answer questions", says: "Kolm [1]." },
    ]);
    const { events, status } = await trace(adaptiveRag, { query: "Ada Brandt" }, model);
    const skipped = events.flatMap(({ type, path }) =>
      type === "node-skip" ? [path.replace("adaptive-rag/", "")] : [],
    );
    expect(["none", "single", "multiple"].filter((target) => !skipped.includes(target))).toEqual(targets);
    expect(status).toBe("done");
  });
});

describe("conditional", () => {
  it.each([
    ["red lantern", 1],
    ["Which spring tides rise four metres above the granite quay and flood the lower market streets?", 0],
  ])("row 49: %s: what stands behind the route runs once, whichever way was taken", async (query, dense) => {
    const { ran, output } = await trace(conditional, { query }, scriptedModel([]));
    expect(output.choice).toBe(dense === 1 ? "weak" : "strong");
    expect([ran["retriever.dense"] ?? 0, ran["fuser.rrf"] ?? 0]).toEqual([dense, dense]);
    expect(ran["generator.extract"]).toBe(1);
  });
});

describe("crag", () => {
  it.each([
    ["correct", 0],
    ["ambiguous", 1],
    ["incorrect", 1],
  ])("row 49: %s passages: the context is made once, with another search or without", async (verdict, searches) => {
    const model = modelOf([
      { asked: "How well does the passage serve", says: verdict },
      { asked: "search quer", says: "red lantern **" },
      { asked: "You answer questions", says: "Red [1]." },
    ]);
    const { inputsOf, ran } = await trace(crag, { query: "Ada Brandt" }, model);
    expect(inputsOf("crag/context")).toHaveLength(1);
    expect(ran["retriever.dense"] ?? 0).toBe(searches);
    expect(ran["generator.answer"]).toBe(1);
  });
});

describe("branching", () => {
  it("row 50: merges once over all branches, which are retrieved at the same time", async () => {
    const model = modelOf([
      { asked: "You write search queries", says: "rye bread\nold clocks\nred lantern" },
      { asked: "You answer questions", says: "This and that [1]." },
    ]);
    const store = new Bm25Store();
    await store.upsert(corpus);
    const { store: slow, most } = slowly(store);
    const { inputsOf, output } = await trace(branching, { query }, model, hostOver(model, { "store/sparse": slow }));
    const [merged, ...more] = inputsOf("branching/fuse");
    expect(more).toEqual([]);
    expect((merged!.lists as Hit[][]).map((list) => ids(list)[0])).toEqual([
      ...["bakery", "clocks", "lighthouse", "harbour"],
    ]);
    expect(ids(output.hits)).toEqual(expect.arrayContaining(["bakery", "clocks", "lighthouse", "harbour"]));
    expect(most()).toBe(4);
  });
});

describe("post-branching", () => {
  it("row 51: reports a branch that fails, and fuses the others", async () => {
    const model = scriptedModel(({ messages }) => {
      if (messages[1]!.content.includes("in 1871")) throw new Error("out of order");
      return "An engineer [1].";
    });
    const { output, events, ran } = await trace(postBranching, { query: "Ada Brandt" }, model);
    expect(ran["retriever.sparse"]).toBe(1);
    expect(ran["generator.answer"]).toBe(output.hits.length); // k generations for one retrieval
    expect(ids(output.hits)).toEqual(["brandt", "harbour"]);
    expect(output.answer.text).toBe("An engineer [1].");
    expect(output.answers).toHaveLength(1);
    expect(events).toContainEqual(
      expect.objectContaining({ type: "node-skip", path: "post-branching/read[1]", reason: "error", index: 1 }),
    );
  });
});

describe("recursive", () => {
  it("row 53: asks no more than ten questions on three levels, and none twice", async () => {
    let asked = 0;
    const model = scriptedModel(({ messages }) => {
      const system = messages[0]!.content;
      if (system.includes("search queries")) return [1, 2, 3].map(() => `harbour ${++asked}`).join(";");
      return system.includes("Write one answer") ? "All [1]." : "Some [1].";
    });
    const { output, inputsOf } = await trace(recursive, { query }, model);
    const questions = inputsOf("/retrieve").map((input) => input.query);
    // 1 + 3 leave room for 6 of the 9 of the third level
    expect(questions).toHaveLength(10);
    expect(new Set(questions).size).toBe(10);
    expect(output.stop).toBe("depth");
    // erratum E2: the answers of all levels are fused, not those of the last
    expect((inputsOf("recursive/fuse")[0]!.answers as unknown[]).length).toBe(10);
  });

  it("ends when nothing new is derived", async () => {
    const model = modelOf([
      { asked: "search queries", says: "Harbour builder?**" },
      { asked: "You answer questions", says: "Ada Brandt [1]." },
    ]);
    const { output } = await trace(recursive, { query }, model);
    expect(output).toMatchObject({ stop: "empty", answer: { text: "Ada Brandt [1]." } });
    expect(model.requests).toHaveLength(2);
  });
});
