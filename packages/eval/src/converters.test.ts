import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import { convertFrom, parseWithNaN } from "./converter.js";
import { converters } from "./converters/catalogue.js";
import { readDataSet, writeDataSet } from "./dataset.js";
import { temporaryFolder } from "./folder.fixture.js";

const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));
const convert = (name: string) => convertFrom(fixtures, converters.get(name)!);

describe("converters", () => {
  it("nq: the gold index names a passage by its id, not by its place", async () => {
    expect(await convert("nq")).toEqual({
      passages: [
        { id: "0", title: "Lighthouse", text: "A lighthouse warns ships of rocks.", metadata: {} },
        { id: "7", title: "Lock (canal)", text: "A lock lifts boats between levels.", metadata: {} },
      ],
      questions: [{ id: "4", question: "what lifts boats", answers: ["a lock", "Lock"], gold: ["7"] }],
    });
  });

  it("musique: gold is found by title and text, passages carry their triples, and NaN is no obstacle", async () => {
    const { passages, questions } = await convert("musique");
    expect(passages.map(({ metadata }) => metadata.triples)).toEqual([
      [{ subject: "mill", relation: "built by", object: "Ada Stone" }],
      [{ subject: "Ada Stone", relation: "born in", object: "Ambleford" }],
      [],
    ]);
    expect(questions).toEqual([
      {
        id: "2hop__1_2",
        question: "Where was the builder of the mill born?",
        answers: ["Ambleford", "the village of Ambleford"],
        gold: ["1", "0"],
        metadata: {
          decomposition: [
            { question: "Who built the mill?", answer: "Ada Stone" },
            { question: "Where was #1 born?", answer: "Ambleford" },
          ],
          steps: ["Who built the mill?", "Where was Ada Stone born?"],
        },
      },
    ]);
  });

  it("cosqa: a function is a passage of Python", async () => {
    const { passages, questions } = await convert("cosqa");
    expect(passages.find(({ id }) => id === "0")).toEqual({
      id: "0",
      text: "def first(xs):\n    return xs[0]",
      metadata: { language: "python" },
    });
    expect(questions).toEqual([{ id: "cosqa-train-1", question: "python first of a list", gold: ["0"] }]);
  });

  it("xquad: a paragraph is a passage, and an answer given twice is one", async () => {
    const { passages, questions } = await convert("xquad");
    expect(passages.map(({ id, title }) => [id, title])).toEqual([
      ["0", "Stone Bridge"],
      ["1", "Stone Bridge"],
    ]);
    expect(questions.map(({ answers, gold }) => [answers, gold])).toEqual([
      [["nine"], ["0"]],
      [["1823"], ["1"]],
    ]);
  });

  it("strategyqa: a fact that two questions need is one passage", async () => {
    const { passages, questions } = await convert("strategyqa");
    expect(passages.map(({ text }) => text)).toEqual(["Rain falls by gravity.", "Gravity pulls down."]);
    expect(questions.map(({ answers, gold }) => [answers, gold])).toEqual([
      [["no"], ["0", "1"]],
      [["yes"], ["1"]],
    ]);
  });

  it.each([...converters.keys()])("%s becomes a folder that reads back the same", async (name) => {
    const dataSet = await convert(name);
    const folder = await temporaryFolder();
    await writeDataSet(folder, dataSet);
    expect(await readDataSet(folder)).toEqual(dataSet);
  });

  it("say which file is missing or shaped otherwise, and where", async () => {
    await expect(convertFrom("/nowhere", converters.get("nq")!)).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: "/nowhere/nq/corpus.json",
      hint: expect.stringContaining("TESSERA_DATA"),
    });
    expect(() => converters.get("nq")!.convert([[{ id: 1, title: "t" }], []])).toThrow(
      expect.objectContaining({
        code: "BAD_SOURCE",
        path: "nq/corpus.json",
        message: expect.stringMatching(/^\[0\]\.text/),
      }),
    );
    const orphan = [
      {
        id: "q",
        question: "?",
        answer: "",
        answer_aliases: [],
        question_decomposition: [],
        paragraphs: [{ title: "none", paragraph_text: "", is_supporting: true }],
      },
    ];
    expect(() => converters.get("musique")!.convert([[], orphan, { docs: [] }])).toThrow('"none" of q');
  });
});

describe("parseWithNaN", () => {
  it("leaves the word in strings alone", () => {
    expect(parseWithNaN('{"a": NaN, "b": "NaN and \\"NaN\\"", "c": [NaN]}')).toEqual({
      a: null,
      b: 'NaN and "NaN"',
      c: [null],
    });
    expect(() => parseWithNaN('{"a": NaNa}')).toThrow(SyntaxError);
  });
});
