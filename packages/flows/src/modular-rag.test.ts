import { describe, expect, it } from "@jest/globals";
import { first, flow, hashDocument, is, value } from "@tessera/core";
import { hitsUnion, listAppend, numberCompare } from "@tessera/data";
import { extract } from "@tessera/generator";
import { dense, sparse } from "@tessera/retriever";
import { threshold } from "@tessera/router";
import { scriptedModel } from "@tessera/testkit";
import { corpus } from "./corpus.fixture.js";
import { linear } from "./linear/flow.js";
import { trace } from "./trace.fixture.js";

const model = scriptedModel([]);

describe("the claims of Modular RAG", () => {
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
});
