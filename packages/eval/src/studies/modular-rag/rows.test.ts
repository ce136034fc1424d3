import { describe, expect, it } from "@jest/globals";
import { type LanguageModel, TesseraError } from "@tessera/core";
import { SqliteDatabase } from "@tessera/query";
import { guards } from "@tessera/query/internal";
import { scriptedModel } from "@tessera/testkit";
import { published } from "../../data-sets/folder.fixture.js";
import { KeptOutput } from "../../reports/output.fixture.js";
import type { Output } from "../../reports/output.js";
import { measureRows, type RowCheck, type RowFigure } from "./check.js";
import { decisions, geography, questions } from "./geography.js";
import { evaluateGuards } from "./guards.js";
import { rowChecks } from "./rows.js";

/** What a command prints, on both streams, and its exit code. */
async function captured(work: (output: Output) => number | Promise<number>, json: boolean) {
  const output = new KeptOutput(json);
  const code = await work(output);
  return { stdout: output.out, stderr: output.err, code };
}

const context = { folder: "/nowhere", limit: undefined, signal: new AbortController().signal, model: undefined };
const checkOf = (figures: RowFigure[] | (() => Promise<RowFigure[]>)): RowCheck => ({
  row: 99,
  about: "a check",
  measure: async () => (typeof figures === "function" ? figures() : figures),
});

/** The figures of one row, by what they are of. */
async function figuresOf(row: number, folder = "/nowhere", model?: LanguageModel): Promise<Record<string, number>> {
  const check = rowChecks.find((one) => one.row === row)!;
  const found = await check.measure({
    ...context,
    folder,
    progress: () => {},
    model() {
      if (model) return model;
      throw new TesseraError("MISSING_CAPABILITY", "none");
    },
  });
  return Object.fromEntries(
    found.map(({ what, values }) => [
      what,
      typeof values === "number" ? values : values.reduce((sum, value) => sum + value, 0) / values.length,
    ]),
  );
}

describe("tessera eval rows", () => {
  it("prints each figure beside its bar, and fails where one is missed", async () => {
    const figures: RowFigure[] = [
      { what: "hits", values: [1, 0, 1, 1], least: 0.7 },
      { what: "same", values: [1, 1], exactly: 1 },
      { what: "size", values: 12 },
    ];
    const reached = await captured((output) => measureRows(output, [checkOf(figures)], context), false);
    expect(reached.code).toBe(0);
    expect(reached.stdout).toMatch(/99 +hits \(4\) +0\.750 \[\S+ \S+\] +≥ 0\.700 +reached/);
    expect(reached.stdout).toMatch(/99 +same \(2\) +1\.000 \S+ \S+ += 1 +reached/);
    expect(reached.stdout).toMatch(/99 +size +12\n?$/);
    for (const bar of [{ least: 0.8 }, { most: 0.7 }, { exactly: 1 }]) {
      const figure = { what: "hits", values: [1, 0, 1, 1], ...bar };
      const missed = await captured((output) => measureRows(output, [checkOf([figure])], context), true);
      expect([bar, missed.code]).toEqual([bar, 1]);
      expect(JSON.parse(missed.stdout)).toMatchObject({ row: 99, what: "hits", mean: 0.75, reached: false, ...bar });
    }
  });

  it("says aloud that data is missing and fails; a row without a model is named and fails nothing", async () => {
    const chosen = rowChecks.filter(({ row }) => row === 9 || row === 19);
    const { code, stderr } = await captured((output) => measureRows(output, chosen, context), true);
    expect(code).toBe(1);
    expect(stderr).toMatch(/row 9 .+ is NOT MEASURED: the data is missing/);
    expect(stderr).toContain("TESSERA_DATA");
    expect(stderr).toMatch(/row 19 .+ is NOT MEASURED: it needs a language model/);
    const without = await captured((output) => measureRows(output, chosen.slice(1), context), true);
    expect(without.code).toBe(0);
  });

  it("every row whose check names data has one", () => {
    expect(rowChecks.map(({ row }) => row)).toEqual([
      ...[4, 5, 9, 10, 11, 14, 19, 20, 21, 23, 24, 27, 30, 32, 37, 40, 41, 56],
    ]);
  });

  it("another error is no missing data", async () => {
    const broken = checkOf(() => Promise.reject(new TesseraError("BAD_VALUE", "broken")));
    await expect(measureRows(new KeptOutput(true), [broken], context)).rejects.toThrow("broken");
  });
});

const birds = "Herons eat fish. They wade. Owls hunt mice. They hunt at night. Wrens build nests.";

describe("the checks of indexing", () => {
  it("row 9: a neighbour on each side adds what stands beside the sentence that was found", async () => {
    const wanted = [{ content: "They hunt at night.", start_index: 44, end_index: 63 }];
    const cells = ["When do owls hunt mice?", JSON.stringify(wanted), "birds"].map(
      (text) => `"${text.replaceAll('"', '""')}"`,
    );
    const folder = await published({
      "chunking/birds.md": birds,
      "chunking/questions.csv": `question,references,corpus_id\n${cells.join(",")}`,
    });
    const figures = await figuresOf(9, folder);
    // both sentences of owls share words with the question
    expect(figures["recall of characters, five sentences"]).toBe(1);
    expect(figures["their difference, by question"]).toBe(0);
    const tree = await figuresOf(10, folder);
    expect(tree["recall of characters, flat, of 1 windows"]).toBe(1);
    expect(tree["beam 2: recall lost"]).toBe(0);
  });
});

describe("the checks of retrieval", () => {
  const texts = ["herons eat fish", "owls hunt mice", "wrens build nests", "bees make honey"];
  const nq = {
    "nq/corpus.json": JSON.stringify(texts.map((text, id) => ({ id, title: `t${id}`, text }))),
    "nq/dev.json": JSON.stringify([
      ...texts.map((question, id) => ({ id, question, answers: ["x"], gold: id })),
      { id: 4, question: "herons eat fish", answers: ["x"], gold: 3 }, // words find the wrong passage alone
    ]),
  };

  it("row 23: what is fused stands beside the better of its parts, and pre-screening finds what words found", async () => {
    const figures = await figuresOf(23, await published(nq));
    // vectors rank all four passages, and so does what is fused; words find four of five
    expect(figures["recall@5 by words"]).toBe(4 / 5);
    expect(figures["recall@5 by vectors"]).toBe(1);
    expect(figures["recall@5 by both"]).toBe(1);
    expect(figures["by both (scores, the default), less the better part"]).toBe(0);
    expect(figures["pre-screening: questions for which only candidates of words are found"]).toBe(1);
  });

  it("row 27: an adapter is judged on questions that it did not learn from", async () => {
    const folder = await published(nq);
    const check = rowChecks.find(({ row }) => row === 27)!;
    const options = { ...context, folder, limit: 4, progress: () => {}, model: () => scriptedModel([]) };
    const [before, after, gained] = await check.measure(options);
    // question 4 alone is held out, and its passage is one of the four
    expect([before!.values, after!.values, gained!.values]).toEqual([[1], [1], [0]]);
    expect(gained).toMatchObject({ least: 0 });
  });
});

describe("the checks of routing", () => {
  it("row 40: counts what is routed rightly, in and out of scope", async () => {
    const train = ["transfer euros", "book table"].flatMap((text) =>
      Array.from({ length: 34 }, (_, index) => [`${text} ${index}`, text]),
    );
    const val = [
      ["euros transfer", "transfer euros"],
      ["table book", "book table"],
      ["book table", "transfer euros"], // what no router can get right
    ];
    const outside = (...list: string[]) => list.map((text) => [text, "oos"]);
    const parts = { train, val, oos_train: outside("penguins", "volcano"), oos_val: outside("glaciers", "book table") };
    const figures = await figuresOf(40, await published({ "clinc/train-val.json": JSON.stringify(parts) }));
    for (const system of ["5-NN, hash", "semantic, hash"]) {
      expect(figures[`${system}: accuracy`]).toBeCloseTo(2 / 3, 12);
      expect(figures[`${system}: out-of-scope recall`]).toBe(1 / 2);
    }
  });
});

describe("the checks of queries", () => {
  it("row 19: the statements written by hand run, and are right by their own measure", async () => {
    const database = await SqliteDatabase.create(geography);
    const [sqlite] = guards;
    for (const { question, sql } of questions) {
      expect([question, sqlite!.refusal(sql)]).toEqual([question, undefined]);
      expect([question, (await database.read(sql, 50)).length > 0]).toEqual([question, true]);
    }
    // the answers of the planned questions, each by statements of one step
    const value = async (sql: string) => String(Object.values((await database.read(sql, 1))[0]!)[0]);
    expect([
      await value(
        "SELECT depth FROM sea WHERE name = (SELECT sea FROM river WHERE name = (SELECT river FROM town ORDER BY founded LIMIT 1))",
      ),
      await value("SELECT max(built) FROM bridge WHERE river = (SELECT name FROM river ORDER BY length DESC LIMIT 1)"),
      await value(
        "SELECT name FROM town WHERE region = (SELECT name FROM region ORDER BY area DESC LIMIT 1) AND river IS NOT NULL",
      ),
      await value(
        "SELECT population FROM town WHERE name IN (SELECT town FROM bridge) AND river IN (SELECT name FROM river WHERE sea = (SELECT name FROM sea ORDER BY depth LIMIT 1)) ORDER BY population DESC LIMIT 1",
      ),
      await value("SELECT region FROM town WHERE name = (SELECT town FROM bridge WHERE built = 1931)"),
    ]).toEqual(decisions.map(({ answer }) => answer));
    await database.close();
  });

  it("row 19: counts the rows of a statement, not its words", async () => {
    const said: Record<string, string> = {
      [questions[0]!.question]: "SELECT sum(1) AS towns FROM town", // another way to the same
      [questions[1]!.question]: "SELECT name FROM river ORDER BY length LIMIT 1", // the shortest
      [questions[2]!.question]: "SELECT name FROM town WHERE river = 'Orm' ORDER BY name DESC", // another order
    };
    const model = scriptedModel(
      ({ messages }) =>
        Object.entries(said).find(([question]) => messages[1]!.content.includes(question))?.[1] ?? "DROP TABLE town",
    );
    const figures = await figuresOf(19, "/nowhere", model);
    expect(figures["statements that ran, after two repairs at most"]).toBeCloseTo(3 / questions.length, 12);
    expect(figures[`execution accuracy of ${model.revision}`]).toBeCloseTo(2 / questions.length, 12);
  });

  it("row 14: replays a decomposition in waves", async () => {
    const paragraphs = [{ title: "t", paragraph_text: "x", is_supporting: true }];
    const step = (question: string, answer: string) => ({ question, answer });
    const questionsOf = [
      {
        ...{ id: "1", question: "q", answer: "a", answer_aliases: [], paragraphs },
        question_decomposition: [step("Who directed Jaws?", "S"), step("#1 >> spouse", "K"), step("What is it?", "a")],
      },
    ];
    const strategy = [{ qid: "1", term: "t", question: "q", answer: true, facts: ["f"], decomposition: ["a?", "b?"] }];
    const folder = await published({
      "musique/corpus.json": JSON.stringify([{ title: "t", text: "x" }]),
      "musique/questions.json": JSON.stringify(questionsOf),
      "musique/openie.json": JSON.stringify({ docs: [] }),
      "strategyqa/train.json": JSON.stringify(strategy),
    });
    expect(await figuresOf(14, folder)).toEqual({
      'musique: independent steps at once, "#1" in turn with its answer in place': 1,
      "musique: waves of a question": 2,
      'strategyqa: independent steps at once, "#1" in turn with its answer in place': 1,
      "strategyqa: waves of a question": 1,
    });
  });
});

describe("the checks of reading", () => {
  const pairs = [
    {
      knowledge: "Owls hunt mice.",
      question: "What do owls hunt?",
      right_answer: "mice",
      hallucinated_answer: "herons",
    },
    { knowledge: "Kolm is a town.", question: "What is Kolm?", right_answer: "a town", hallucinated_answer: "a river" },
  ];
  const halueval = { "halueval/qa.json": pairs.map((pair) => JSON.stringify(pair)).join("\n") };

  it("row 37: the statement that the passage holds is the better supported", async () => {
    const figures = await figuresOf(37, await published(halueval));
    expect(figures["by words alone: pairs in the right order (by chance 0.5)"]).toBe(1);
  });

  it("row 32: counts what a model drops and keeps", async () => {
    // a judge that takes everything for helpful but rivers
    const model = scriptedModel(({ messages }) => (messages[1]!.content.includes("river") ? "No" : "Yes"));
    const figures = await figuresOf(32, await published(halueval), model);
    expect(Object.values(figures)).toEqual([1 / 2, 1]);
  });

  it("row 30: looks for the answer in what is left of the gold passage", async () => {
    const corpus = [{ id: 0, title: "t", text: birds }];
    const asked = [
      { id: 0, question: "What do owls hunt?", answers: ["mice"], gold: 0 },
      { id: 1, question: "What builds nests?", answers: ["a cuckoo"], gold: 0 }, // the passage never held it
    ];
    const folder = await published({
      "nq/corpus.json": JSON.stringify(corpus),
      "nq/dev.json": JSON.stringify(asked),
    });
    const figures = await figuresOf(30, folder);
    expect(figures["by sentence to 0.5: strictly shorter"]).toBe(1);
    expect(figures["by sentence to 0.5: gold answer kept"]).toBe(1);
    expect(
      (
        await rowChecks
          .find(({ row }) => row === 30)!
          .measure({ ...context, folder, progress: () => {}, model: () => scriptedModel([]) })
      ).every(({ values }) => (values as number[]).length === 1),
    ).toBe(true);
  });
});

describe("tessera eval guards", () => {
  it("row 19, row 20: counts what is refused and accepted, and nothing is judged wrongly", async () => {
    const { code, stdout } = await captured(evaluateGuards, true);
    expect(code).toBe(0);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ guard }) => guard)).toEqual(["SQL, sqlite", "SQL, postgresql", "SQL, mysql", "Cypher"]);
    for (const { kinds, attacks, refused, reads, accepted, wrong } of lines) {
      expect(kinds).toBeGreaterThanOrEqual(50);
      expect(attacks).toBeGreaterThan(kinds);
      expect([refused, accepted, wrong]).toEqual([attacks, reads, []]);
    }
  });
});
