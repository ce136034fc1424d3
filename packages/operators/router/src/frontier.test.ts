import { describe, expect, it } from "@jest/globals";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { frontier } from "./frontier.js";

const config = { depth: 3, nodes: 5 };

testOperator(frontier, {
  cases: [
    {
      name: "begins with the query itself",
      config,
      input: { query: "Why?" },
      output: (output) => expect(output).toMatchObject({ next: ["Why?"], level: 1, done: false, stop: "none" }),
    },
  ],
});

/** Drives the search over a graph of queries, and returns its levels and why it ended. */
async function search(config: object, children: (query: string) => string[], query = "a") {
  const levels: string[][] = [];
  let state: unknown;
  let derived: string[] | undefined;
  for (;;) {
    const output = await runOperator(frontier, config, { query, state, derived });
    if (output.done) return { levels, stop: output.stop };
    state = JSON.parse(JSON.stringify(output.state)); // it must survive a wire
    levels.push(output.next as string[]);
    derived = (output.next as string[]).flatMap(children);
  }
}

describe("router.frontier", () => {
  it("ends when nothing new is derived, and visits nothing twice over any number of levels (erratum E3)", async () => {
    const graph: Record<string, string[]> = { a: ["b", "c"], b: ["A ", "d"], c: ["b", "d?"], d: ["a", "b.", "c"] };
    expect(await search({ depth: 9, nodes: 99 }, (query) => graph[query] ?? [])).toEqual({
      levels: [["a"], ["b", "c"], ["d"]],
      stop: "empty",
    });
  });

  it("ends at its depth", async () => {
    expect(await search(config, (query) => [`${query}x`])).toEqual({ levels: [["a"], ["ax"], ["axx"]], stop: "depth" });
  });

  it("ends at its number of nodes", async () => {
    const wide = (query: string) => [1, 2, 3].map((i) => `${query}${i}`);
    expect(await search({ depth: 9, nodes: 6 }, wide)).toEqual({
      levels: [["a"], ["a1", "a2", "a3"], ["a11", "a12"]],
      stop: "nodes",
    });
    expect((await search({ depth: 2, nodes: 9, width: 2 }, wide)).levels).toEqual([["a"], ["a1", "a2"]]);
  });

  it("row 53: no query is visited twice, and no limit passed, on any graph", async () => {
    const name = fc.constantFrom(..."abcdefgh");
    const graph = fc.dictionary(name, fc.array(name, { maxLength: 4 }));
    await fc.assert(
      fc.asyncProperty(
        graph,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 9 }),
        async (graph, depth, nodes) => {
          const { levels } = await search({ depth, nodes }, (query) => graph[query] ?? []);
          expect(new Set(levels.flat()).size).toBe(levels.flat().length);
          expect(levels.length).toBeLessThanOrEqual(depth);
          expect(levels.flat().length).toBeLessThanOrEqual(nodes);
        },
      ),
    );
  });

  it("takes no state but its own", async () => {
    await expect(runOperator(frontier, config, { query: "a", state: { depth: "x" } })).rejects.toMatchObject({
      code: "BAD_VALUE",
    });
  });
});
