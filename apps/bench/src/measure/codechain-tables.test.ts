import { describe, expect, it } from "@jest/globals";
import { type ScoredSample, task } from "@tessera/coder/internal";
import { tablesOf } from "./codechain-tables.js";
import { Report } from "./report.js";

const taskOf = (id: string, split: string, vague: boolean) =>
  task.parse({ id, text: "", language: "javascript", tests: [], hidden: "assert(true)", split, vague });
const tasks = [taskOf("d", "development", false), taskOf("p", "none", false), taskOf("q", "length", true)];

/** Four samples a round, of which the first `right` are right. */
const round = (problem: string, arm: string, number: number, right: number): ScoredSample[] =>
  Array.from({ length: 4 }, (_, n) => ({
    ...{ problem, arm, round: number, seed: 1, code: "x", tokens: arm === "modular" ? 10 : 20, extractable: true },
    ...{ passesPublic: n < right, passesHidden: n < right, behaviour: String(n < right) },
  }));

describe("the tables of CodeChain's page", () => {
  it("choose rounds on development problems, compare by problem, and count what an arm ran on", () => {
    const scored = tasks.flatMap(({ id }) => [
      ...round(id, "modular", 0, 1),
      ...round(id, "modular", 1, 1),
      ...round(id, "codechain", 0, 1),
      // best in round 1 on the development problem, whatever the test problems say
      ...round(id, "codechain", 1, id === "q" ? 0 : 3),
      ...(id === "q" ? [] : [...round(id, "oracle", 0, 1), ...round(id, "oracle", 1, 4)]),
    ]);
    const text = tablesOf(tasks, scored, new Report("codechain"));
    const line = (start: string) => text.split("\n").find((one) => one.startsWith(`| ${start}`));
    expect(text).toContain("2 test problems and 1 development problems, 1 sampling seed");
    expect(text).toContain(", 8 samples an arm and problem");
    expect(text).toContain("on the development problems: 25.0 %");
    expect(line("modular")).toMatch(/^\| modular \| 2 \| 25\.0 \| 25\.0 \|/);
    expect(line("codechain |")).toMatch(/^\| codechain \| 2 \| 25\.0 \| 37\.5 \| 1 \|/);
    expect(line("oracle")).toMatch(/^\| oracle \| 1 \| 25\.0 \| 100\.0 \| 1 \|/);
    // 0.375 against 0.25: +12.5 points, half as much again
    expect(line("codechain, pass@1 of round 1 |")).toMatch(/\| 2 \| \+12\.5 \[.*\] \| \+50\.0 \[/);
    expect(line("length")).toMatch(/^\| length \| 1 \| 25\.0 \| 0\.0 \|/);
    expect(line("text leaves a step out")).toMatch(/\| 1 \| 25\.0 \|/);
  });
});
