import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cp, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import { needs } from "@tessera/testkit";
import { parseWithNaN } from "./converter.js";
import { converters } from "./converters/catalogue.js";
import { readDataSet, writeDataSet } from "./data-set.js";
import { temporaryFolder } from "./folder.fixture.js";

const fixtures = fileURLToPath(new URL("../../fixtures", import.meta.url));
const convert = (name: string) => converters.get(name)!.read(fixtures);

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

  it("halueval: what two questions need is one passage, and the answer that was made up is none", async () => {
    const { passages, questions } = await convert("halueval");
    expect(passages.map(({ text }) => text)).toEqual(["Owls hunt mice."]);
    expect(questions.map(({ answers, gold, metadata }) => [answers, gold, metadata])).toEqual([
      [["mice"], ["0"], { hallucinated: "herons" }],
      [["owls"], ["0"], { hallucinated: "wrens" }],
    ]);
  });

  it("clinc: an intent is a passage, and a question out of scope has no gold", async () => {
    expect(await convert("clinc")).toEqual({
      passages: [
        { id: "money_transfer", title: "money transfer", text: "move ten euros\nsend her five", metadata: {} },
        { id: "restaurant", title: "restaurant", text: "book a table", metadata: {} },
      ],
      questions: [
        { id: "0", question: "a table for two", answers: ["restaurant"], gold: ["restaurant"] },
        { id: "outside-0", question: "why is it so" },
      ],
    });
  });

  it("text2cypher: the schema of a database is a passage", async () => {
    const { passages, questions } = await convert("text2cypher");
    expect(passages).toEqual([
      {
        id: "birds",
        title: "birds",
        text: "(:Owl {name})\n(:Mouse {})\n(:Owl)-[:HUNTS {since}]->(:Mouse)",
        metadata: {},
      },
    ]);
    expect(questions.map(({ answers, gold, metadata }) => [answers, gold, metadata])).toEqual([
      [["MATCH (o:Owl)-[:HUNTS]->() RETURN o.name"], ["birds"], { parses: true, fitsSchema: true }],
      [["MATCH (o:Owl) RETURN o.age"], ["birds"], { parses: true, fitsSchema: false }],
    ]);
  });

  it("chunking: stretches of at most 1,000 characters are the document, and gold is what holds the answer", async () => {
    const { passages, questions } = await convert("chunking");
    const document = readFileSync(join(fixtures, "chunking/birds.md"), "utf8");
    expect(passages.map(({ text }) => text).join("")).toBe(document);
    for (const { text, metadata } of passages) {
      expect(text.length).toBeLessThanOrEqual(1000);
      expect(document.slice(...(metadata.span as [number, number]))).toBe(text);
    }
    expect(passages[0]!.text).toMatch(/\s$/);
    expect(questions.map(({ answers, gold }) => [answers, gold])).toEqual([
      [["they eat fish"], ["birds@0"]],
      [
        ["Herons wade", "Owls hunt mice at night."],
        ["birds@0", passages.at(-1)!.id],
      ],
    ]);
  });

  it("stackoverflow: the same code is one passage, and its escapes are undone", async () => {
    expect(await convert("stackoverflow")).toEqual({
      passages: [
        { id: "python-12", text: '", ".join(xs)', metadata: { language: "python" } },
        { id: "python-14", text: 'print("a")\nprint("b\\n")', metadata: { language: "python" } },
        { id: "sql-18", text: "SELECT count(*) FROM t", metadata: { language: "sql" } },
      ],
      questions: [
        { id: "python-12", question: "Join a list", gold: ["python-12"] },
        { id: "python-14", question: "Print two lines", gold: ["python-14"] },
        { id: "python-16", question: "List to text", gold: ["python-12"] },
        { id: "sql-18", question: "Count the rows", gold: ["sql-18"] },
      ],
    });
  });

  it("mbxp: a solution is a passage, without the comment that is the question", async () => {
    const { passages, questions } = await convert("mbxp");
    expect(passages.map(({ id, text }) => [id, text])).toEqual([
      ["MBJSP/1", "function f(x) {\n  return x + 1;\n}"],
      ["MBJSP/2", "function f(x) {\n  return 2 * x;\n}"],
      ["MBTSP/1", "function f(x) {\n  return x - -1;\n}"],
    ]);
    expect(questions.map(({ id, question, gold }) => [id, question, gold])).toEqual([
      ["MBJSP/1", "Add one.", ["MBJSP/1", "MBTSP/1"]],
      ["MBJSP/2", "Double it.", ["MBJSP/2"]],
      ["MBTSP/3", "Halve it.", []],
      ["MBTSP/1", "Add one.", ["MBJSP/1", "MBTSP/1"]],
    ]);
    expect(questions[2]!.metadata).toMatchObject({ language: "typescript", entry_point: "f" });
  });

  it("listprograms: examples ask for a program, of which each is one passage", async () => {
    const program = "x0 = INPUT | x1 = Map (*2) x0";
    const { passages, questions } = await convert("listprograms");
    expect(passages).toEqual([{ id: "0", text: program, metadata: {} }]);
    expect(questions).toEqual([
      {
        ...{ id: "NONE/0", question: "x0 = [ 1 ] gives [ 2 ]\nx0 = [ ] gives [ ]" },
        ...{ answers: [program], gold: ["0"], metadata: { split: "NONE" } },
      },
      {
        ...{ id: "COMPOSE_NEW_OP/0", question: "x0 = [ 3 ] gives [ 6 ]" },
        ...{ answers: [program], gold: ["0"], metadata: { split: "COMPOSE_NEW_OP" } },
      },
    ]);
  });

  const data = process.env.TESSERA_DATA ?? fileURLToPath(new URL("../../../../../shared/data", import.meta.url));
  needs(existsSync(data), `there is no published data at TESSERA_DATA`)(
    "there is one for each published data set",
    () => {
      const folders = readdirSync(data, { withFileTypes: true }).filter((entry) => entry.isDirectory());
      expect([...converters.keys()].sort()).toEqual(folders.map(({ name }) => name).sort());
    },
  );

  it.each([...converters.keys()])("%s becomes a folder that reads back the same", async (name) => {
    const dataSet = await convert(name);
    const folder = await temporaryFolder();
    await writeDataSet(folder, dataSet);
    expect(await readDataSet(folder)).toEqual(dataSet);
  });

  it.each([...converters.keys()])("%s says which file is missing", async (name) => {
    await expect(converters.get(name)!.read("/nowhere")).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: expect.stringContaining(`/nowhere/${name}/`),
      hint: expect.stringContaining("TESSERA_DATA"),
    });
  });

  it.each<[file: string, text: string, message: RegExp]>([
    ["nq/corpus.json", '[{"id":1,"title":"t"}]', /^\[0\]\.text/],
    ["musique/corpus.json", "[]", /"Ada Stone" of 2hop__1_2/],
    ["halueval/qa.json", '\n{"question":"q"}', /^knowledge/],
    ["mbxp/mbjsp.jsonl", '{"task_id":"x","prompt":1}', /^prompt/],
    ["listprograms/NONE.jsonl", '{"inputs":["a"],"outputs":[],"program":"p"}', /every input has an output/],
    ["listprograms/NONE.jsonl", '{"inputs":', /not JSON/],
    ["stackoverflow/sql-valid.txt", "1\t2\ttitle\tcode", /between tabs/],
  ])("say where %s is shaped otherwise: %s", async (file, text, message) => {
    const folder = await temporaryFolder();
    await cp(fixtures, folder, { recursive: true });
    await writeFile(join(folder, file), text);
    await expect(converters.get(dirname(file))!.read(folder)).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: expect.stringContaining(dirname(file)),
      message: expect.stringMatching(message),
    });
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
