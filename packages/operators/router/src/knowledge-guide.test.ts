import { describe, expect, it } from "@jest/globals";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { knowledgeGuide } from "./knowledge-guide.js";

const triples = [
  { subject: "Ada Lovelace", relation: "child of", object: "Lord Byron" },
  { subject: "Lord Byron", relation: "wrote", object: "Don Juan" },
  { subject: "Lord Byron", relation: "born in", object: "London" },
  { subject: "London", relation: "capital of", object: "England" },
  { subject: "Ada", relation: "is a", object: "programming language" },
  { subject: "Ada Lovelace", relation: "knows", object: "Ada Lovelace" },
];

testOperator(knowledgeGuide, {
  cases: [
    {
      name: "row 44: the chain follows the relations that the question says, one query a node, in order",
      input: {
        query: "Of which country is the place the capital, where the man was born whose child Ada Lovelace was?",
        triples,
      },
      output: {
        chain: ["ada lovelace", "lord byron", "london", "england"],
        queries: [
          "Ada Lovelace".toLowerCase(),
          "Ada Lovelace child of Lord Byron",
          "Lord Byron born in London",
          "London capital of England",
        ],
        guided: true,
      },
    },
    {
      name: "row 44: two entities are joined by the shortest path",
      input: { query: "How is Ada Lovelace tied to Don Juan?", triples },
      output: {
        chain: ["ada lovelace", "lord byron", "don juan"],
        queries: ["ada lovelace", "Ada Lovelace child of Lord Byron", "Lord Byron wrote Don Juan"],
        guided: true,
      },
    },
    {
      name: "a question that names no entity is asked as it is",
      input: { query: "Why is the sky blue?", triples },
      output: { chain: [], queries: ["Why is the sky blue?"], guided: false },
    },
    {
      name: "so it is without a graph",
      input: { query: "Who is Ada?", triples: [] },
      output: { chain: [], queries: ["Who is Ada?"], guided: false },
    },
  ],
});

describe("router.knowledge-guide", () => {
  it("has no more nodes than it may, and no longer paths", async () => {
    const query = "How is Ada Lovelace tied to England?";
    expect(await runOperator(knowledgeGuide, { nodes: 2 }, { query, triples })).toMatchObject({
      chain: ["ada lovelace", "lord byron"],
    });
    expect(await runOperator(knowledgeGuide, { depth: 2 }, { query, triples })).toMatchObject({
      chain: ["ada lovelace", "england"],
    });
  });

  it("ends on any graph, with one query a node and no node twice", async () => {
    const name = fc.constantFrom("a", "b", "c", "d", "");
    const triple = fc.record({ subject: name, relation: fc.constantFrom("likes", "knows a", ""), object: name });
    await fc.assert(
      fc.asyncProperty(
        fc.array(triple, { maxLength: 12 }),
        fc.constantFrom("a likes b", "who knows c", "d"),
        async (triples, query) => {
          const { chain, queries, guided } = (await runOperator(knowledgeGuide, {}, { query, triples })) as {
            chain: string[];
            queries: string[];
            guided: boolean;
          };
          expect(new Set(chain).size).toBe(chain.length);
          expect(queries).toHaveLength(guided ? chain.length : 1);
          expect(chain.length).toBeLessThanOrEqual(8);
        },
      ),
    );
  });
});
