import { describe, expect, it } from "@jest/globals";
import { type Answer, type FlowDocument, first, flow, type Hit, is, type Passage, value } from "@tessera/core";
import { hashDocument } from "@tessera/core/internal";
import { hitsUnion, listAppend, listFlatten, numberCompare } from "@tessera/data";
import { modelFusion } from "@tessera/fuser";
import { answer, extract } from "@tessera/generator";
import { compile } from "@tessera/graph";
import { expand, metadata, reverseHyde, smallToBig, window, write } from "@tessera/indexer";
import { multiQuery, rewrite } from "@tessera/query";
import { extractive } from "@tessera/reranker";
import { dense, sparse } from "@tessera/retriever";
import { knowledgeGuide, threshold } from "@tessera/router";
import { Bm25Store, ExactStore } from "@tessera/stores";
import { hostOf, runOperator, scriptedEncoder, scriptedModel } from "@tessera/testkit";
import { branching } from "./branching/flow.js";
import { corpus, hostOver, modelOf } from "./corpus.fixture.js";
import { linear } from "./linear/flow.js";
import { operators } from "./operators.fixture.js";
import { ids, trace } from "./trace.fixture.js";

const model = scriptedModel([]);

describe("the claims of Modular RAG", () => {
  it("row 2: the passages of a retriever do not fit the query of another, and the finding names node and port", async () => {
    const wrong: FlowDocument = {
      ...linear.document,
      nodes: {
        ...linear.document.nodes,
        again: { run: "retriever.sparse", with: { store: "sparse" }, in: { query: "retrieve.hits" } },
      },
      output: { ...linear.document.output, more: "again.hits" },
    };
    await expect(compile(wrong, { operators, host: await hostOver(model) })).rejects.toMatchObject({
      findings: [
        { code: "TYPE_MISMATCH", path: "linear/again.query", message: expect.stringContaining("retrieve.hits") },
      ],
    });
  });

  it("row 3: a flow that went through JSON leaves the same trace, byte for byte", async () => {
    const again = { ...branching, document: JSON.parse(JSON.stringify(branching.document)) } as typeof branching;
    expect(JSON.stringify(again.document)).toBe(JSON.stringify(branching.document));
    const traceOf = async (flow: typeof branching) => {
      const said = modelOf([
        { asked: "You write search queries", says: "rye bread\nold clocks" },
        { asked: "You answer questions", says: "Bread [1]." },
      ]);
      const { events } = await trace(flow, { query: "bakery" }, said);
      // of all that is seen only the time differs
      return JSON.stringify(events.map((event) => ("ms" in event ? { ...event, ms: 0 } : event)));
    };
    expect(await traceOf(again)).toBe(await traceOf(branching));
  });

  it.each([
    ["words", sparse({ store: "words", top: 4, filter: { field: "year", least: 2020 } })],
    ["vectors", dense({ store: "vectors", encoder: "encoder", top: 4, filter: { field: "year", least: 2020 } })],
  ])("row 7: by %s a filter on attached metadata is met before the best are taken", async (_, retrieve) => {
    const index = flow("index", { old: "passages", late: "passages" }, (f, { old, late }) => {
      const first = f.node("first", metadata({ constants: { year: 2010 } }), { passages: old });
      const second = f.node("second", metadata({ constants: { year: 2020 } }), { passages: late });
      const nodes = [first.passages, second.passages].flatMap((passages, at) => [
        f.node(`words-${at}`, write({ store: "words" }), { passages }).written,
        f.node(`vectors-${at}`, write({ store: "vectors", encoder: "encoder" }), { passages }).written,
      ]);
      return { a: nodes[0]!, b: nodes[1]!, c: nodes[2]!, d: nodes[3]! };
    });
    const encoder = scriptedEncoder(256);
    const host = hostOf({
      "store/words": new Bm25Store(),
      "store/vectors": new ExactStore({ space: encoder.space({}), width: 256 }),
      "encoder/encoder": encoder,
    });
    // the old ones say more of it, so that the best of all are none of the late ones
    const passage = (id: string, text: string): Passage => ({ id, text, metadata: {} });
    const old = Array.from({ length: 8 }, (_, i) => passage(`old${i}`, "lantern lantern"));
    const late = Array.from({ length: 6 }, (_, i) => passage(`late${i}`, `lantern of number ${i}`));
    await (await compile(index.document, { operators, host })).run({ old, late });
    const found = flow("found", { query: "text" }, (f, { query }) => ({
      hits: f.node("retrieve", retrieve, { query }).hits,
    }));
    const { output } = await (await compile(found.document, { operators, host })).run({ query: "lantern" });
    const hits = output.hits as Hit[];
    expect(hits).toHaveLength(4);
    for (const { passage } of hits) expect(passage.metadata.year).toBe(2020);
  });

  it("row 4: another retriever is one node of the document", async () => {
    const swapped = flow("linear", { query: "text" }, (f, { query }) => {
      const found = f.node("retrieve", dense({ store: "dense", encoder: "encoder", top: 20 }), { query });
      const written = f.node("answer", extract(), { query, hits: found.hits });
      return { answer: written.answer, text: written.text, hits: found.hits };
    });
    const { retrieve: before, ...rest } = linear.document.nodes;
    const { retrieve: after, ...others } = swapped.document.nodes;
    expect([others, swapped.document.output, after!.in]).toEqual([rest, linear.document.output, before!.in]);
    expect(hashDocument(swapped.document)).not.toBe(hashDocument(linear.document));
    expect((await trace(swapped, { query: "red lantern" }, model)).output.hits[0]!.passage.id).toBe("lighthouse");
  });

  it("row 5: naive RAG is advanced RAG with an identity before and after retrieval", async () => {
    const advanced = flow("advanced", { query: "text" }, (f, { query }) => {
      const before = f.node("before", listAppend({ of: "text" }), { list: value([]), item: query });
      const found = f.each(
        "retrieve",
        sparse({ store: "sparse", top: 20 }),
        { over: "query", max: 1 },
        { query: before.list },
      );
      const after = f.node("after", hitsUnion(), { lists: found.hits });
      const written = f.node("answer", extract(), { query, hits: after.hits });
      return { answer: written.answer, text: written.text, hits: after.hits };
    });
    for (const { text } of corpus) {
      const query = text.split(" ").slice(1, 5).join(" ");
      const naive = await trace(linear, { query }, model);
      expect((await trace(advanced, { query }, model)).output).toEqual(naive.output);
    }
  });

  it("row 58: a loop inside a branch inside a route compiles, and returns one typed output", async () => {
    const turn = flow("turn", { list: { list: "text" }, turn: "number" }, (f, { list, turn }) => {
      const { list: next } = f.node("add", listAppend({ of: "text" }), { list, item: value("x") });
      const { holds } = f.node("enough", numberCompare({ is: "at-least" }), { left: turn, right: value(3) });
      return { list: next, enough: holds };
    });
    const branch = flow("branch", { query: "text" }, (f) => ({
      list: f.repeat("loop", turn, { until: "enough", carry: { list: "list" }, max: 5 }, { list: value([]) }).list,
    }));
    const nested = flow("nested", { query: "text", queries: { list: "text" }, size: "number" }, (f, input) => {
      const { choice } = f.node("route", threshold({ choices: ["small", "large"], cuts: [1], of: "value" }), {
        value: input.size,
      });
      const all = f.each(
        "branch",
        branch,
        { over: "query", max: 3 },
        { query: input.queries },
        { when: is(choice, "large") },
      );
      return { lists: first(all.list, value([])) };
    });
    const { output } = await trace(nested, { query: "q", queries: ["a", "b"], size: 2 }, model);
    expect(output.lists).toEqual([
      ["x", "x", "x"],
      ["x", "x", "x"],
    ]);
  });

  it("row 8: children are searched, and the generator reads their parent, once", async () => {
    const chapter: Passage = {
      id: "chapter",
      text: "The harbour of Velden was built by Ada Brandt. She was born in Kolm. The harbour has a red lighthouse.",
      metadata: {},
    };
    const { children } = await runOperator(smallToBig, { by: "window", size: 6 }, { passages: [chapter] });
    const [small, big] = [new Bm25Store(), new Bm25Store()];
    await small.upsert(children as Passage[]);
    await big.upsert([chapter]);
    const reading = flow("reading", { query: "text" }, (f, { query }) => {
      const found = f.node("retrieve", sparse({ store: "small", top: 5 }), { query });
      const { hits } = f.node("expand", expand({ store: "big" }), { hits: found.hits });
      return { found: found.hits, text: f.node("answer", answer({ model: "model" }), { query, hits }).text };
    });
    const model = modelOf([{ asked: "You answer questions", says: "Ada Brandt [1]." }]);
    const host = hostOver(model, { "store/small": small, "store/big": big });
    const { output, inputsOf } = await trace(reading, { query: "Who built the harbour?" }, model, host);
    expect(output.found.length).toBeGreaterThan(1);
    expect(output.found.map(({ passage }) => passage.parent)).toEqual(output.found.map(() => "chapter"));
    expect(ids(inputsOf("/answer")[0]!.hits as Hit[])).toEqual(["chapter"]);
    expect(model.requests[0]!.messages[1]!.content.split(chapter.text)).toHaveLength(2);
  });

  it("row 12: a question is searched among the questions of passages, and finds each passage once", async () => {
    const index = flow("index", { passages: "passages" }, (f, { passages }) => {
      const asked = f.each(
        "ask",
        reverseHyde({ model: "model", count: 2 }),
        { over: "passage", max: 9 },
        { passage: passages },
      );
      const { list } = f.node("all", listFlatten({ of: "passage" }), { lists: asked.questions });
      return {
        questions: f.node("questions", write({ store: "questions" }), { passages: list }).written,
        whole: f.node("whole", write({ store: "whole" }), { passages }).written,
      };
    });
    const found = flow("found", { query: "text" }, (f, { query }) => {
      const near = f.node("retrieve", sparse({ store: "questions", top: 9 }), { query });
      return { near: near.hits, hits: f.node("expand", expand({ store: "whole" }), { hits: near.hits }).hits };
    });
    const model = modelOf([
      { asked: "in 1871", says: "1. Who constructed the port?\n2. When was the port finished?" },
      { asked: "red lantern", says: "1. What shines at the port?\n2. Which colour has the beacon?" },
      { asked: "Write 2 questions", says: "1. What is this about?\n2. Why?" },
    ]);
    const host = hostOver(model, { "store/questions": new Bm25Store(), "store/whole": new Bm25Store() });
    await trace(index, { passages: [...corpus] }, model, host);
    const { output } = await trace(found, { query: "Who finished the port?" }, model, host);
    // the passage of the harbour never says "port": only its questions do, and both are found
    expect(output.near.map(({ passage }) => passage.parent)).toEqual(expect.arrayContaining(["harbour", "lighthouse"]));
    expect(output.near.filter(({ passage }) => passage.parent === "harbour")).toHaveLength(2);
    expect(ids(output.hits).filter((id) => id === "harbour")).toHaveLength(1);
    expect(output.hits[0]!.passage).toEqual(corpus.find(({ id }) => id === "harbour"));
  });

  it("row 44: the chain over a knowledge graph drives one retrieval a node, in its order", async () => {
    const triples = [
      { subject: "the harbour of Velden", relation: "built by", object: "Ada Brandt" },
      { subject: "Ada Brandt", relation: "born in", object: "Kolm" },
      { subject: "Kolm", relation: "on the river", object: "Isna" },
    ];
    const guided = flow("guided", { query: "text" }, (f, { query }) => {
      const guide = f.node("guide", knowledgeGuide(), { query, triples: value(triples) });
      const found = f.each(
        "retrieve",
        sparse({ store: "sparse", top: 1 }),
        { over: "query", max: 8 },
        { query: guide.queries },
      );
      return { chain: guide.chain, hits: f.node("unite", hitsUnion(), { lists: found.hits }).hits };
    });
    const query = "On what river lies the town where the one was born by whom the harbour of Velden was built?";
    const { output, inputsOf } = await trace(guided, { query }, model);
    expect(output.chain).toEqual(["the harbour of velden", "ada brandt", "kolm", "isna"]);
    const asked = inputsOf("]").map((input) => input.query);
    expect(asked).toHaveLength(output.chain.length);
    expect(asked.slice(1)).toEqual(triples.map(({ subject, relation, object }) => `${subject} ${relation} ${object}`));
    expect(ids(output.hits)).toEqual(["harbour", "brandt", "kolm"]);
  });

  it("row 48: a linear flow indexes, transforms, retrieves, shortens and generates, in this order (equation 25)", async () => {
    const whole = flow("whole", { query: "text", documents: "passages" }, (f, { query, documents }) => {
      const { passages } = f.node("cut", window({ size: 40, overlap: 0 }), { documents });
      const { written } = f.node("index", write({ store: "empty" }), { passages });
      const { holds } = f.node("indexed", numberCompare({ is: "at-least" }), { left: written, right: value(0) });
      const asked = f.node("transform", rewrite({ model: "model" }), { query }, { when: is(holds, true) });
      const found = f.node("retrieve", sparse({ store: "empty", top: 3 }), { query: asked.query });
      const { hits } = f.node("shorten", extractive({ ratio: 0.9 }), { query, hits: found.hits });
      const generated = f.node("generate", answer({ model: "model" }), { query, hits });
      return { text: first(generated.text, value("Nothing was indexed.")) };
    });
    const said = modelOf([
      { asked: "search quer", says: "harbour Brandt **" },
      { asked: "You answer questions", says: "Ada Brandt [1]." },
    ]);
    const host = hostOver(said, { "store/empty": new Bm25Store() });
    const input = { query: "Who was it?", documents: [...corpus] };
    const { events, inputsOf, output } = await trace(whole, input, said, host);
    const moduleOf = (name: string) => operators.find((operator) => operator.name === name)!.about.module;
    const modules = events.flatMap((event) =>
      event.type === "node-start" && moduleOf(event.operator) !== "data" ? moduleOf(event.operator) : [],
    );
    expect(modules).toEqual(["indexing", "indexing", "pre-retrieval", "retrieval", "post-retrieval", "generation"]);
    // algorithm 1: the retriever reads the transformed query, the generator the one that was asked
    expect(inputsOf("/retrieve")[0]!.query).toBe("harbour Brandt");
    expect(inputsOf("/generate")[0]!.query).toBe("Who was it?");
    expect(output.text).toBe("Ada Brandt [1].");
  });

  it.each(["document", "query"] as const)(
    "row 50: with an answer a %s the merge reads all of them, once (equation 28, erratum E1)",
    async (each) => {
      const one = flow("one", { query: "text", hits: "hits" }, (f, { query, hits }) => ({
        answer: f.node("read", answer({ model: "model" }), { query, hits }).answer,
      }));
      const byDocument = flow("by-document", { query: "text", hit: "hit" }, (f, { query, hit }) => ({
        answer: f.node("one", one, { query, hits: [hit] }).answer,
      }));
      const branch = flow("branch", { query: "text" }, (f, { query }) => {
        const { hits } = f.node("retrieve", sparse({ store: "sparse", top: 2 }), { query });
        if (each === "document")
          return { answers: f.each("read", byDocument, { over: "hit", max: 2 }, { query, hit: hits }).answer };
        const alone = f.node("one", one, { query, hits });
        const { list } = f.node("alone", listAppend({ of: "answer" }), { list: value([]), item: alone.answer });
        return { answers: list };
      });
      const branches = flow("branches", { query: "text" }, (f, { query }) => {
        const { queries } = f.node("expand", multiQuery({ model: "model", count: 3 }), { query });
        const read = f.each("branch", branch, { over: "query", max: 3 }, { query: queries });
        const { list } = f.node("all", listFlatten({ of: "answer" }), { lists: read.answers });
        const merged = f.node("merge", modelFusion({ model: "model", answers: 6 }), { query, answers: list });
        return { answer: merged.answer };
      });
      const said = modelOf([
        { asked: "You write search queries", says: "Ada Brandt\nthe river Isna\nred lantern of Velden" },
        { asked: "Write one answer", says: "All of it [1]." },
        { asked: "You answer questions", says: "Some of it [1]." },
      ]);
      const { inputsOf } = await trace(branches, { query: "Tell me all" }, said);
      const merges = inputsOf("branches/merge");
      expect(merges).toHaveLength(1);
      const answers = merges[0]!.answers as Answer[];
      expect(answers).toHaveLength(each === "document" ? 6 : 3);
      const retrieved = new Set(answers.flatMap(({ citations }) => citations.map(({ passage }) => passage)));
      expect(retrieved.size).toBeGreaterThanOrEqual(3);
    },
  );
});
