import { describe, expect, it } from "@jest/globals";
import { measureRecorded } from "./recorded.js";

const hit = (id: string) => ({ passage: { id, text: id, metadata: {} }, score: 1, provenance: [] });
const spent = { calls: 0, tokens: 0 };

describe("measureRecorded", () => {
  const questions = [
    { id: "1", question: "first", gold: ["a"] },
    { id: "2", question: "second", gold: ["b"] },
  ];
  const run = (id: string, found: string[]) => ({
    ...{ id, spent, retrievals: 1, milliseconds: 5 },
    output: { hits: found.map(hit) },
  });

  it("measures rankings and compares flows question by question, by hand", () => {
    const { summaries, comparisons, results } = measureRecorded(questions, [
      { flow: "left", runs: [run("1", ["a", "x"]), run("2", ["x", "y"])] },
      { flow: "right", runs: [run("1", ["x", "a"]), run("2", ["b"])] },
    ]);
    const meanOf = (flow: number, metric: string) =>
      summaries[flow]!.figures.find((figure) => figure.metric === metric)!.mean;
    // reciprocal ranks: left 1 and 0, right 1/2 and 1
    expect([meanOf(0, "MRR"), meanOf(1, "MRR")]).toEqual([0.5, 0.75]);
    const difference = comparisons[0]!.differences.find(({ metric }) => metric === "MRR")!;
    expect(difference).toMatchObject({ left: 0.5, right: 0.75, larger: 1, smaller: 1, equal: 0 });
    expect(difference.questions.map(({ id, difference: by }) => [id, by])).toEqual([
      ["2", 1],
      ["1", -0.5],
    ]);
    expect(results[0]![0]!.found).toEqual(["a", "x"]);
  });

  it("counts a run that failed, or gave something else, in no mean", () => {
    const { summaries, comparisons } = measureRecorded(questions, [
      {
        flow: "broken",
        runs: [
          { id: "1", spent, retrievals: 0, milliseconds: 1, error: { code: "MODEL_FAILED", message: "away" } },
          { id: "2", spent, retrievals: 0, milliseconds: 1, output: { hits: "none" } },
          run("3", ["a"]),
        ],
      },
    ]);
    expect(summaries).toEqual([{ flow: "broken", questions: 2, failed: 2, figures: [] }]);
    expect(comparisons).toEqual([]);
  });
});
