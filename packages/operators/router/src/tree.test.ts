import { describe, expect, it } from "@jest/globals";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { tree } from "./tree.js";

testOperator(tree, {
  cases: [
    {
      name: "begins with the root",
      input: { query: "Which country?" },
      output: (output) =>
        expect(output).toMatchObject({ next: "Which country?", depth: 0, prune: true, questions: [], done: false }),
    },
  ],
});

async function grow(config: object, children: (question: string, turn: number) => string[]) {
  const expanded: string[] = [];
  const prunes: boolean[] = [];
  let [state, given]: [unknown, string[] | undefined] = [undefined, undefined];
  for (;;) {
    const output = await runOperator(tree, config, { query: "r", state, children: given });
    if (output.done) return { expanded, prunes, stop: output.stop, questions: output.questions, state: output.state };
    state = JSON.parse(JSON.stringify(output.state));
    expanded.push(output.next as string);
    prunes.push(output.prune as boolean);
    given = children(output.next as string, expanded.length);
  }
}

describe("router.tree", () => {
  it("row 53: Tree of Clarifications ends at 10 nodes", async () => {
    const { questions, stop, expanded } = await grow({}, (question) => [`${question}1`, `${question}2`]);
    expect(stop).toBe("nodes");
    expect(questions).toHaveLength(10);
    expect(expanded).toEqual(["r", "r1", "r2", "r11", "r12"]); // first in, first out
  });

  it("row 53: Tree of Clarifications ends after 3 restarts, each from the root and all valid questions", async () => {
    const { stop, expanded, questions } = await grow({}, (question) => (question === "r" ? ["a"] : []));
    expect(stop).toBe("restarts");
    expect(questions).toEqual(["a"]);
    expect(expanded).toEqual(["r", "a", "r", "a", "r", "a", "r", "a"]);
  });

  it("row 53: Tree of Clarifications ends after 15 expansions", async () => {
    const { stop, expanded } = await grow({ restarts: 99 }, () => []);
    expect(stop).toBe("expansions");
    expect(expanded).toHaveLength(15);
  });

  it("row 53: Tree of Clarifications expands nothing deeper than depth 3", async () => {
    const { expanded, stop } = await grow({ restarts: 0 }, (question) => [`${question}x`]);
    expect(expanded).toEqual(["r", "rx", "rxx", "rxxx"]);
    expect(stop).toBe("restarts");
  });

  it("a fruitless search stops pruning after 10 expansions", async () => {
    const { prunes } = await grow({ restarts: 99 }, (_, turn) => (turn === 12 ? ["late"] : []));
    expect(prunes).toEqual([...Array(10).fill(true), false, false, ...Array(3).fill(true)]);
  });

  it("row 53: no question enters the tree twice, on any answers", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.constantFrom("a", "A?", "b", "r", "R", "c", ""), { maxLength: 4 }), { maxLength: 15 }),
        async (turns) => {
          const { questions, expanded } = await grow({}, (_, turn) => turns[turn - 1] ?? []);
          const plain = (questions as string[]).map((question) => question.toLowerCase().replace("?", ""));
          expect(new Set(["r", ...plain]).size).toBe(plain.length + 1);
          expect(expanded.length).toBeLessThanOrEqual(15);
        },
      ),
    );
  });
});
