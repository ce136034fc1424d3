import { describe, expect, it } from "@jest/globals";
import { runOperator, testOperator } from "@tessera/testkit";
import { beam } from "./beam.js";

const segment = (text: string, score: number, finished = false) => ({ text, score, finished });

testOperator(beam, {
  cases: [
    {
      name: "begins with the empty text",
      input: {},
      output: (output) => expect(output).toMatchObject({ next: [""], best: "", done: false }),
    },
  ],
});

describe("router.beam", () => {
  async function drive(config: object, turns: ReturnType<typeof segment>[][][]) {
    let output = await runOperator(beam, config, {});
    const nexts = [output.next];
    for (const candidates of turns) {
      output = await runOperator(beam, config, { state: JSON.parse(JSON.stringify(output.state)), candidates });
      nexts.push(output.next);
    }
    return { ...(output as { best: string; score: number; done: boolean }), nexts };
  }

  it("row 55: Self-RAG's beam of 2 keeps the best sums of scores", async () => {
    const { nexts, best, score, done } = await drive({}, [
      [[segment("a", 1), segment("b", 3), segment("c", 2)]],
      [[segment("x", 0)], [segment("y", 2), segment("z", 0.5)]],
      [[segment("end", 0, true)], [segment("end", 5, true)]],
    ]);
    expect(nexts).toEqual([[""], ["b", "c"], ["c y", "b x"], []]);
    expect({ best, score, done }).toEqual({ best: "b x end", score: 8, done: true });
  });

  it("a finished path stays in the race without being continued", async () => {
    const { nexts, best } = await drive({}, [[[segment("short", 5, true), segment("a", 1)]], [[segment("b", 9)]]]);
    expect(nexts).toEqual([[""], ["a"], ["a b"]]);
    expect(best).toBe("a b");
  });

  it("a path without a continuation is finished, and depth ends all", async () => {
    expect((await drive({}, [[[segment("a", 1)]], [[]]])).done).toBe(true);
    const { nexts, best } = await drive({ depth: 1 }, [[[segment("a", 1)]]]);
    expect(nexts).toEqual([[""], []]);
    expect(best).toBe("a");
  });

  it("scores a path by its leaf where it is told to, and an end leaves the leaf's score", async () => {
    const { best, score } = await drive({ score: "last", width: 9 }, [
      [[segment("a", 9), segment("b", 1)]],
      [[segment("x", 2)], [segment("y", 3)]],
      [[segment("z", 1)], [segment("", 0, true)]],
    ]);
    // "b y" leads with 3 and falls to 1 with z; "a x" ends with 2, although its sum is 11
    expect({ best, score }).toEqual({ best: "a x", score: 2 });
  });

  it("a segment without text ends a path and adds nothing to its text", async () => {
    const { best, done } = await drive({}, [[[segment("a", 1)]], [[segment("", 0, true)]]]);
    expect({ best, done }).toEqual({ best: "a", done: true });
  });

  it("candidates are for every open path", async () => {
    const { state } = await runOperator(beam, {}, {});
    await expect(runOperator(beam, {}, { state, candidates: [] })).rejects.toMatchObject({ code: "BAD_VALUE" });
  });
});
