import { describe, expect, it } from "@jest/globals";
import { flow, is } from "@tessera/core";
import { testOperator } from "@tessera/testkit";
import { metadata } from "./metadata.js";

const routes = { sql: ["table", "rows", "join"], graph: ["knowledge graph", "node", "join"], chat: ["hello"] };
const config = { routes, otherwise: "search" };

testOperator(metadata, {
  cases: [
    {
      // K_query = {join, rows, node}: sql has 2 of 3, graph 2 of 3, chat none
      name: "row 39: metadata routing equals the table by hand, the first declared on a tie",
      config,
      input: { query: "join the rows of every node" },
      output: { choice: "sql", score: 2 / 3, scores: { sql: 2 / 3, graph: 2 / 3, chat: 0 } },
    },
    {
      name: "a keyword may have several words, and is found as a whole only",
      config,
      input: { query: "What does the Knowledge-Graph hold?" },
      output: { choice: "graph", score: 1, scores: { sql: 0, graph: 1, chat: 0 } },
    },
    {
      name: "row 39: an empty keyword set goes to the default flow (erratum E8: 0, not 0/0)",
      config,
      input: { query: "graph of knowledge, notable" },
      output: { choice: "search", score: 0, scores: { sql: 0, graph: 0, chat: 0 } },
    },
    {
      name: "given keywords count whether a route knows them or not",
      config,
      input: { query: "join the rows", keywords: ["hello", "unknown", "Hello", ""] },
      output: { choice: "chat", score: 1 / 2, scores: { sql: 0, graph: 0, chat: 1 / 2 } },
    },
    {
      name: "the default may be a route",
      config: { routes, otherwise: "chat" },
      input: { query: "" },
      output: { choice: "chat", score: 0, scores: { sql: 0, graph: 0, chat: 0 } },
    },
  ],
});

describe("router.metadata", () => {
  it("needs a route", () => {
    expect(metadata.config.safeParse({ routes: {}, otherwise: "a" }).success).toBe(false);
  });

  it("its choices follow from its config, also in TypeScript", () => {
    flow("typed", { query: "text" }, (f, { query }) => {
      const { choice, score } = f.node("route", metadata({ routes: { a: ["x"], b: ["y"] }, otherwise: "c" }), {
        query,
      });
      f.node("again", metadata(config), { query }, { when: is(choice, "a", "b", "c") });
      // @ts-expect-error there is no such choice
      f.node("no", metadata(config), { query }, { when: is(choice, "d") });
      return { choice, score };
    });
  });
});
