import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import type { GenerateRequest } from "@tessera/core";
import { scriptedModel } from "@tessera/testkit";
import { type DataSet, type Question, readDataSet } from "../../data-sets/data-set.js";
import { KeptOutput } from "../../reports/output.fixture.js";
import { evaluateLanguageModel, measureLanguageModel } from "./study.js";
import { decide, questionsOf, type TwinFigure, tasks, twinFigures } from "./tasks.js";

const heldOut = fileURLToPath(new URL("../../../data/language-model", import.meta.url));

/** Twenty functions, half of them shown among others and half withheld; their names do not stand in their code. */
const passages = Array.from({ length: 20 }, (_, i) => ({
  id: `p${i}`,
  text: `function f${i}(a) { return a + ${i}; }`,
  source: { path: `f${i}.js`, lines: [1, 1] as [number, number], symbol: `f${i}` },
  metadata: {},
}));
const asked = (task: string, i: number, shown: boolean, answers?: string[]): Question => ({
  id: `${task}-${i}`,
  question: `How is ${i} gained by the sum?`,
  ...(shown && { gold: [`p${i}`] }),
  ...(answers && { answers }),
  metadata: { task, shown: shown ? [`p${(i + 1) % 20}`, `p${i}`] : [`p${(i + 1) % 20}`, `p${(i + 2) % 20}`] },
});
const dataSet: DataSet = {
  passages,
  questions: passages.flatMap((_, i) => [
    asked("answer", i, i % 2 === 0, i % 2 === 0 ? [`It adds number ${i}.`] : undefined),
    asked("judge", i, i % 2 === 0, [i % 2 === 0 ? "yes" : "no"]),
    asked("verify", i, i % 2 === 0, [i % 2 === 0 ? "refuted" : "insufficient"]),
  ]),
};

/** A model that knows every answer. */
const knowing = () =>
  scriptedModel(({ messages: [system, user] }: GenerateRequest) => {
    const number = Number(/How is (\d+) gained/.exec(user!.content)![1]);
    const place = new RegExp(`number="(\\d)" path="f${number}.js`).exec(user!.content)?.[1];
    if (system!.content.includes("Do the passages answer")) return place ? "yes" : "no";
    if (system!.content.includes("check a claim")) return place ? `REFUTED [${place}]` : "INSUFFICIENT";
    if (system!.content.includes("search query")) return `f${number}**`;
    if (system!.content.includes("source code")) return passages[number]!.text;
    return place ? `It adds number ${number} [${place}].` : "NO ANSWER";
  });

describe("tessera eval language-model", () => {
  it("makes the model the default where it knows every answer, and says by how much it is better", async () => {
    const output = new KeptOutput(true);
    expect(await measureLanguageModel(output, knowing(), dataSet, tasks, {})).toBe(0);
    const { lines } = output;
    const [answer, judge, verify] = ["answer", "judge", "verify"].map((task) =>
      lines.find((line) => line.task === task && line.default),
    );
    expect(answer).toMatchObject({ default: "generator.answer", questions: 20, failed: 0 });
    expect(judge).toMatchObject({ default: "router.model-judge" });
    expect(verify).toMatchObject({ default: "generator.verify", because: ["accuracy"] });
    for (const measure of ["right citation", "right refusal", "ROUGE-L"]) {
      const { model, rule, difference } = lines.find(
        (line) => line.task === "answer" && line.measure === measure,
      ) as unknown as TwinFigure;
      expect(model.mean).toBe(1);
      expect(difference.mean).toBeCloseTo(model.mean - rule.mean, 12);
    }
    expect(lines.find((line) => line.task === "rewrite" && line.measure === "recall@1")).toMatchObject({
      operators: { model: "query.rewrite", rule: "the question itself" },
      model: { mean: 1, count: 10 },
    });
  });

  it("keeps the rule where the model babbles, and for people says so in one line a task", async () => {
    const output = new KeptOutput(false);
    await measureLanguageModel(
      output,
      scriptedModel(() => "]]]] the the the"),
      dataSet,
      tasks,
      {},
    );
    expect(output.out.match(/^default: .*$/gm)).toEqual([
      expect.stringMatching(/^default: generator\.extract because generator\.answer is not better .*right citation/),
      expect.stringMatching(/^default: generator\.support because generator\.verify is not better .*accuracy/),
      expect.stringMatching(/^default: generator\.extract because router\.model-judge/),
      expect.stringMatching(/^default: the question itself because query\.rewrite/),
      expect.stringMatching(/^default: the question itself because query\.hyde/),
    ]);
  });

  it("counts a question that fails as wrong, says so, and ends with 1 where all fail", async () => {
    let calls = 0;
    const output = new KeptOutput(false);
    const [answer] = tasks;
    const sometimes = scriptedModel(() => {
      if (calls++ % 2 === 0) throw new Error("the line is dead");
      return "NO ANSWER";
    });
    expect(await measureLanguageModel(output, sometimes, dataSet, [answer!], {})).toBe(0);
    expect(output.out).toMatch(/10 of 20 questions failed and count as wrong: .*the line is dead/);
    const never = scriptedModel([]);
    expect(await measureLanguageModel(output, never, dataSet, [answer!], { limit: 2 })).toBe(1);
  });

  it("takes up from the files of an earlier run, asking a model only what is missing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tessera-model-operators-"));
    try {
      const [answer, , judge] = tasks;
      const first = knowing();
      await measureLanguageModel(new KeptOutput(false), first, dataSet, [answer!], { out: folder, limit: 5 });
      expect(first.requests.length).toBe(5);
      const second = knowing();
      await measureLanguageModel(new KeptOutput(false), second, dataSet, [answer!, judge!], { out: folder });
      expect(second.requests.length).toBe(15 + 20);
      expect((await readdir(folder)).sort()).toEqual(["answer.jsonl", "extract.jsonl", "model-judge.jsonl"]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("refuses a task that it does not know, with the nearest, and a data set that asks nothing of one", async () => {
    const output = new KeptOutput(false);
    await expect(
      evaluateLanguageModel(output, { tasks: "anwser", openModel: async () => knowing() }),
    ).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      hint: expect.stringContaining("answer"),
    });
    const nothing = { passages, questions: [] };
    await expect(measureLanguageModel(output, knowing(), nothing, tasks, {})).rejects.toMatchObject({
      code: "BAD_SOURCE",
    });
  });
});

describe("the questions of held-out repositories", () => {
  it("fit every task, show what they name, and are as many answered as withheld", async () => {
    const data = await readDataSet(heldOut);
    for (const task of tasks) {
      const questions = questionsOf(data, task);
      expect(questions.length).toBeGreaterThan(100);
      for (const { metadata } of questions)
        expect((metadata!.hits as unknown[]).length).toBe((metadata!.shown as unknown[]).length);
    }
    const [answer] = tasks;
    const gold = questionsOf(data, answer!).map(({ gold }) => gold !== undefined);
    expect(gold.filter(Boolean).length * 2).toBe(gold.length);
  });
});

describe("the default", () => {
  const task = { ...tasks[0]!, decisive: ["a", "b"] };
  const result = (measures: Record<string, number>) =>
    ({ flow: "f", hash: "h", revision: "r", id: "i", question: "q", measures }) as const;
  const figures = (a: number[], b: number[]) => {
    const questions = a.map((_, i) => ({ id: String(i), question: "q" }));
    const measured = { ...task, measure: ({ measures }: { measures: object }) => measures as Record<string, number> };
    const model = a.map((value, i) => result({ c: 1, a: value, b: b[i]! }));
    const rule = a.map(() => result({ a: 0, b: 0, c: 0 }));
    return twinFigures(measured, questions, model, rule);
  };

  it("is the model only where every decisive interval is above 0", () => {
    const all = figures([1, 1, 1, 1], [1, 1, 1, 1]);
    expect(all.map(({ measure }) => measure)).toEqual(["a", "b", "c"]);
    expect(decide(task, all)).toMatchObject({ chosen: "model", because: [{ measure: "a" }, { measure: "b" }] });
    // a mean above 0 whose interval reaches 0
    expect(decide(task, figures([1, 1, 1, 1], [1, 0, 0, 0]))).toMatchObject({
      chosen: "rule",
      because: [{ measure: "b" }],
    });
  });
});
