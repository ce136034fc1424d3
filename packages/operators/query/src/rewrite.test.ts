import { describe, expect, it } from "@jest/globals";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { readRewrites, rewrite } from "./rewrite.js";

const hostWith = (answer: string) => () => hostOf({ "model/main": scriptedModel(() => answer) });
const config = { model: "main" };

testOperator(rewrite, {
  host: hostWith('who is the wife of Obama; "Obama wife birthplace" ** because she'),
  cases: [
    {
      name: "row 16: rewrite replaces one query by another (equation 8)",
      config,
      input: { query: "where was she born", history: "We spoke of Obama's wife." },
      output: { query: "who is the wife of Obama", queries: ["who is the wife of Obama"] },
    },
    {
      name: "row 48: RRR splits on ; and cuts at **",
      config: { ...config, count: 4 },
      input: { query: "where was Obama's wife born" },
      output: {
        query: "who is the wife of Obama",
        queries: ["who is the wife of Obama", "Obama wife birthplace"],
      },
    },
  ],
});

describe("query.rewrite", () => {
  it.each(["", "**", ";;**", "  \n ", '""'])("the answer %j gives the original back", async (answer) => {
    const output = await runOperator(rewrite, config, { query: "Why?" }, { host: hostWith(answer)() });
    expect(output).toEqual({ query: "Why?", queries: ["Why?"] });
  });

  it("quotes the history and the draft apart from the question", async () => {
    const model = scriptedModel(() => "x");
    await runOperator(
      rewrite,
      config,
      { query: "q?", history: "h", draft: "d" },
      { host: hostOf({ "model/main": model }) },
    );
    expect(model.requests[0]!.messages[1]!.content).toMatch(
      /^<question-\w{8} number="1">\nq\?\n<[\s\S]+<history-\w{8} number="1">\nh\n<[\s\S]+<draft-\w{8} number="1">\nd\n</,
    );
  });

  it("any answer gives queries that differ, no more than asked for", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(";", "*", "\n", "a", "B", "b", " ", '"') }), (answer) => {
        const queries = readRewrites(answer, 3);
        expect(queries.length).toBeLessThanOrEqual(3);
        expect(new Set(queries.map((query) => query.toLowerCase())).size).toBe(queries.length);
        for (const query of queries) expect(query).toMatch(/^[^;]+$/);
      }),
    );
  });
});
