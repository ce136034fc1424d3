import { describe, expect, it } from "@jest/globals";
import type { QuestionResult } from "../runs/results.js";
import { summarise } from "./figures.js";
import { type GridCell, htmlReport } from "./report.js";

const cellOf = (flow: string, values: readonly number[]): GridCell => {
  const results: QuestionResult[] = values.map((value, index) => ({
    ...{ flow, hash: flow, revision: "1", id: `${index}`, question: `<b>Question ${index}</b>` },
    measures: { "recall@5": value, calls: 0 },
  }));
  return { data: "towns & rivers", flow, model: "none", summary: summarise(results), results };
};
const page = htmlReport([cellOf("plain", [0, 0, 1, 1]), cellOf("better", [1, 0, 1, 1])], {
  ...{ title: "Grid", note: "No model was asked.", against: "plain" },
});

describe("the report of a grid", () => {
  it("row 61: has every figure with its interval, and the questions on which flows differ", () => {
    expect(page).toMatch(/plain<\/th><td>4<\/td><td>0\.500 <small>\[/);
    expect(page).toMatch(/better<\/th><td>4<\/td><td>0\.750 <small>\[/);
    expect(page).toContain("better − plain</th><td>recall@5</td><td>0.250");
    expect(page).toContain("1 / 0 / 3");
    expect(page).toContain("&lt;b&gt;Question 0&lt;/b&gt; <small>0.000 → 1.000</small>");
  });

  it("compares a flow of which every question failed with nothing, and says how many failed", () => {
    const failed = cellOf("broken", [0, 0]);
    const results = failed.results.map((result) => ({
      ...result,
      measures: {},
      error: { code: "MODEL_FAILED", message: "no" },
    }));
    const cells = [cellOf("plain", [0, 1]), { ...failed, results, summary: summarise(results) }];
    for (const against of ["plain", "broken"]) {
      const page = htmlReport(cells, { title: "Grid", note: "", against });
      expect(page).toContain("(2 failed)");
      expect(page).not.toContain("Question by question");
    }
  });

  it("holds what was asked as text, and loads nothing", () => {
    expect(page).not.toContain("<b>Question");
    expect(page).toContain("towns &amp; rivers");
    expect(page).not.toMatch(/<script|<link|\bsrc=|https?:/);
    expect(page.match(/<circle/g)).toHaveLength(2);
  });
});
