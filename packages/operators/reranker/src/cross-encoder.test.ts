import { expect, it } from "@jest/globals";
import type { Hit, Reranker } from "@tessera/core";
import { hostOf, runOperator, testOperator } from "@tessera/testkit";
import { crossEncoder } from "./cross-encoder.js";

const hit = (id: string, text: string): Hit => ({ passage: { id, text, metadata: {} }, score: 1, provenance: [] });

/** Counts the words of the query that a text has. */
const overlap = () => {
  const asked: { query: string; texts: readonly string[] }[] = [];
  const reranker: Reranker = {
    revision: "overlap",
    async rank(query, texts) {
      asked.push({ query, texts });
      return texts.map((text) => query.split(" ").filter((word) => text.includes(word)).length);
    },
  };
  return { asked, host: hostOf({ "reranker/judge": reranker }) };
};

testOperator(crossEncoder, {
  host: () => overlap().host,
  cases: [
    {
      name: "nothing stays nothing",
      config: { reranker: "judge" },
      input: { query: "q", hits: [] },
      output: { hits: [] },
    },
  ],
});

it("orders by the reranker's scores, asks once, and leaves those behind the depth in their order", async () => {
  const found = [hit("a", "parse a header"), hit("b", "open a socket"), hit("c", "open the file"), hit("d", "file")];
  const { asked, host } = overlap();
  const run = async (depth: number) =>
    (await runOperator(crossEncoder, { reranker: "judge", depth }, { query: "open file", hits: found }, { host }))
      .hits as readonly Hit[];
  const hits = await run(3);
  expect(hits.map(({ passage, score }) => [passage.id, score])).toEqual([
    ["c", 2],
    ["b", 1],
    ["a", 0],
    ["d", -1],
  ]);
  expect(asked).toEqual([{ query: "open file", texts: ["parse a header", "open a socket", "open the file"] }]);
  expect((await run(1)).map(({ passage }) => passage.id)).toEqual(["a", "b", "c", "d"]);
});
