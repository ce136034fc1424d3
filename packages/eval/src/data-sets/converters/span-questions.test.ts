import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { published } from "../folder.fixture.js";
import { readChunking } from "./chunking.js";
import { readClinc } from "./clinc.js";
import { readHaluEval } from "./halueval.js";
import { readText2Cypher } from "./text2cypher.js";

const cell = (value: string) => `"${value.replaceAll('"', '""')}"`;
const questionsCsv = (...rows: [question: string, references: unknown, document: string][]) =>
  [
    "question,references,corpus_id",
    ...rows.map(([question, references, document]) =>
      [question, typeof references === "string" ? references : JSON.stringify(references), document]
        .map(cell)
        .join(","),
    ),
  ].join("\n");
const stretch = (content: string, start_index: number) => ({
  content,
  start_index,
  end_index: start_index + content.length,
});

describe("the questions of the chunking evaluation", () => {
  const birds = "Herons eat fish. Owls, at night, hunt mice.";

  it("have their stretches, in characters of the document", async () => {
    const folder = await published({
      "chunking/birds.md": birds,
      "chunking/questions.csv": questionsCsv(
        ["What do herons, and owls, eat?", [stretch("Herons eat fish.", 0), stretch("hunt mice", 33)], "birds"],
        ['What is "night" for?', [stretch("Owls, at night, hunt mice.", 17)], "birds"],
      ),
    });
    expect(await readChunking(folder)).toEqual({
      documents: new Map([["birds", birds]]),
      questions: [
        {
          question: "What do herons, and owls, eat?",
          document: "birds",
          wanted: [
            { start: 0, end: 16 },
            { start: 33, end: 42 },
          ],
        },
        { question: 'What is "night" for?', document: "birds", wanted: [{ start: 17, end: 43 }] },
      ],
    });
  });

  it.each<[string, [string, unknown, string], RegExp]>([
    ["stretches that are no JSON", ["q", "[{", "birds"], /not JSON/],
    ["no stretch", ["q", [], "birds"], /Too small/],
    ["a stretch of another text", ["q", [stretch("Herons eat mice.", 0)], "birds"], /0 to 16 of birds is not/],
    ["a stretch beyond the end", ["q", [stretch("mice.", 400)], "birds"], /400 to 405 of birds is not/],
    ["a stretch from before the start", ["q", [stretch("mice.", -5)], "birds"], /start_index/],
    ["a document that is missing", ["q", [stretch("Herons", 0)], "fishes"], /missing/],
    ["a document outside the folder", ["q", [stretch("Herons", 0)], "../birds"], /corpus_id/],
    ["no question", ["", [stretch("Herons", 0)], "birds"], /question/],
  ])("are refused with %s", async (_, row, message) => {
    const folder = await published({ "chunking/birds.md": birds, "chunking/questions.csv": questionsCsv(row) });
    await expect(readChunking(folder)).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: expect.stringContaining(join(folder, "chunking")),
      message: expect.stringMatching(message),
    });
  });

  it("are refused with other columns, and where they are missing", async () => {
    const folder = await published({ "chunking/questions.csv": "query,answer\na,b" });
    await expect(readChunking(folder)).rejects.toMatchObject({ code: "BAD_SOURCE" });
    await expect(readChunking("/nowhere")).rejects.toMatchObject({
      code: "BAD_SOURCE",
      hint: expect.stringContaining("TESSERA_DATA"),
    });
  });
});

describe("the questions of CLINC150", () => {
  const parts = {
    train: [["move ten euros", "transfer"]],
    val: [["book a table", "restaurant"]],
    oos_train: [["who won", "oos"]],
    oos_val: [
      ["why is it so", "oos"],
      ["what if", "oos"],
    ],
  };

  it("are split by use and by scope", async () => {
    const folder = await published({ "clinc/train-val.json": JSON.stringify(parts) });
    expect(await readClinc(folder)).toEqual({
      train: [{ text: "move ten euros", intent: "transfer" }],
      validation: [{ text: "book a table", intent: "restaurant" }],
      outsideTrain: ["who won"],
      outsideValidation: ["why is it so", "what if"],
    });
  });

  it.each([
    ["no JSON", "{", /not JSON/],
    ["a part missing", JSON.stringify({ ...parts, oos_val: undefined }), /^oos_val: /],
    ["a question without an intent", JSON.stringify({ ...parts, val: [["book a table"]] }), /^val\[0\]/],
  ])("are refused with %s", async (_, text, message) => {
    const folder = await published({ "clinc/train-val.json": text });
    await expect(readClinc(folder)).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: join(folder, "clinc/train-val.json"),
      message: expect.stringMatching(message),
    });
  });
});

describe("the pairs of HaluEval", () => {
  const pair = { knowledge: "Owls hunt mice.", question: "What do owls hunt?", right_answer: "mice" };

  it("are a line each", async () => {
    const lines = `${JSON.stringify({ ...pair, hallucinated_answer: "herons" })}\n\n`;
    expect(await readHaluEval(await published({ "halueval/qa.json": lines }))).toEqual([
      { question: "What do owls hunt?", knowledge: "Owls hunt mice.", right: "mice", hallucinated: "herons" },
    ]);
  });

  it("are refused where one lacks an answer, with its line, and where they are missing", async () => {
    const lines = `${JSON.stringify({ ...pair, hallucinated_answer: "herons" })}\n${JSON.stringify(pair)}`;
    await expect(readHaluEval(await published({ "halueval/qa.json": lines }))).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: expect.stringMatching(/qa\.json:2$/),
    });
    await expect(readHaluEval("/nowhere")).rejects.toMatchObject({
      code: "BAD_SOURCE",
      hint: expect.stringContaining("TESSERA_DATA"),
    });
  });
});

describe("the questions of Text2Cypher", () => {
  const schema = `Node properties:
- **Owl**
  - \`name\`: STRING Example: "Bubo"
  - \`wing span\`: FLOAT
Relationship properties:
- **HUNTS**
  - \`since: INTEGER\` Min: 1
The relationships:
(:Owl)-[:HUNTS]->(:Mouse)
(:Owl)-[:KNOWS]->(:Owl)`;
  const columns = "question,cypher,type,database,syntax_error,timeout,returns_results,false_schema";
  const files = (database: string) => ({
    "text2cypher/schemas.csv": `database,schema,structured_schema\nbirds,${cell(schema)},{}`,
    "text2cypher/queries.csv": `${columns}\nWho hunts?,"MATCH (o:Owl),(m) RETURN o",Simple,${database},False,False,True,Owl.age`,
  });

  it("have their query, its flaws and the schema of their database", async () => {
    expect(await readText2Cypher(await published(files("birds")))).toEqual([
      {
        question: "Who hunts?",
        database: "birds",
        cypher: "MATCH (o:Owl),(m) RETURN o",
        schema: {
          nodes: { Owl: ["name", "wing span"], Mouse: [] },
          relations: {
            HUNTS: { properties: ["since"], joins: [["Owl", "Mouse"]] },
            KNOWS: { properties: [], joins: [["Owl", "Owl"]] },
          },
        },
        parses: true,
        fitsSchema: false,
      },
    ]);
  });

  it("are refused where a database has no schema", async () => {
    await expect(readText2Cypher(await published(files("fishes")))).rejects.toMatchObject({
      code: "BAD_SOURCE",
      message: 'the database "fishes" has no schema',
    });
  });
});
