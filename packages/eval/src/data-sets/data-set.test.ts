import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Passage } from "@tessera/core";
import fc from "fast-check";
import { readCorpus, readDataSet, revisionOf, writeDataSet } from "./data-set.js";
import { temporaryFolder } from "./folder.fixture.js";

const corpus = '{"id":"p","text":"a passage"}\n';

async function folderOf(files: Record<string, string>): Promise<string> {
  const folder = await temporaryFolder();
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

const text = fc.string({ unit: "binary" });
const ids = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 6 });

describe("a data set as a folder", () => {
  it("reads back whatever was written", async () => {
    const dataSets = ids.chain((names) =>
      fc.record({
        passages: fc.tuple(
          ...names.map((id) =>
            fc.record({
              id: fc.constant(id),
              title: text,
              text,
              source: fc.constantFrom<Passage["source"]>({ path: "a.ts" }, { path: "a.ts", lines: [1, 2], symbol: id }),
              metadata: fc.constant<Passage["metadata"]>({ at: [id] }),
            }),
          ),
        ),
        questions: fc.tuple(
          ...names.map((id) =>
            fc.record({
              id: fc.constant(id),
              question: fc.string({ minLength: 1 }),
              answers: fc.array(text, { maxLength: 2 }),
              gold: fc.subarray(names),
            }),
          ),
        ),
      }),
    );
    const folder = await temporaryFolder();
    await fc.assert(
      fc.asyncProperty(dataSets, async (dataSet) => {
        await writeDataSet(folder, dataSet);
        const read = await readDataSet(folder);
        expect(read).toEqual(JSON.parse(JSON.stringify(dataSet)));
        expect(revisionOf(read)).toBe(revisionOf(JSON.parse(JSON.stringify(dataSet))));
      }),
      { numRuns: 25 },
    );
    expect((await readdir(folder)).sort()).toEqual(["corpus.jsonl", "questions.jsonl"]);
  });

  it("takes a byte order mark, carriage returns, empty lines and a last line without an end", async () => {
    const folder = await folderOf({
      "corpus.jsonl": `\uFEFF{"id":"p","text":"one"}\r\n\r\n{"id":"q","text":"two"}`,
      "questions.jsonl": "",
    });
    const { passages, questions } = await readDataSet(folder);
    expect(passages.map(({ id }) => id)).toEqual(["p", "q"]);
    expect(questions).toEqual([]);
  });

  it.each([
    ["no JSON", "corpus.jsonl", `${corpus}{"id":`, 2, "not JSON"],
    ["a missing text", "corpus.jsonl", `${corpus}\n{"id":"q"}\n`, 3, "text"],
    ["an empty id", "corpus.jsonl", '{"id":"","text":""}\n', 1, "id"],
    ["an id twice", "corpus.jsonl", corpus + corpus, 2, '"p" stands there twice'],
    ["a misspelt field", "questions.jsonl", '{"id":"1","question":"?","answer":["a"]}\n', 1, "answer"],
    ["an unknown gold passage", "questions.jsonl", '{"id":"1","question":"?","gold":["p","z"]}\n', 1, '"z"'],
  ])("refuses %s with file and line", async (_, file, content, line, message) => {
    const folder = await folderOf({ "corpus.jsonl": corpus, "questions.jsonl": "", [file]: content });
    await expect(readDataSet(folder)).rejects.toMatchObject({
      code: "BAD_SOURCE",
      path: `${join(folder, file)}:${line}`,
      message: expect.stringContaining(message),
    });
  });

  it("says so where a file is missing, or is a folder", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "corpus.jsonl");
    await expect(readDataSet(folder)).rejects.toMatchObject({ code: "BAD_SOURCE", path });
    await mkdir(path);
    await expect(readDataSet(folder)).rejects.toMatchObject({ code: "BAD_SOURCE", path });
  });

  it("streams: what stands before a broken line is given, and leaving early is no error", async () => {
    const folder = await folderOf({ "corpus.jsonl": `${corpus}broken\n` });
    const given: string[] = [];
    await expect(
      (async () => {
        for await (const { id } of readCorpus(folder)) given.push(id);
      })(),
    ).rejects.toMatchObject({ code: "BAD_SOURCE" });
    expect(given).toEqual(["p"]);
    for await (const { id } of readCorpus(folder)) {
      expect(id).toBe("p");
      break;
    }
  });

  it("keeps the old files where the new ones cannot be written", async () => {
    const folder = await folderOf({ "corpus.jsonl": corpus, "questions.jsonl": "" });
    const bad = { passages: [{ id: "p", text: "new", metadata: { n: 1n as never } }], questions: [] };
    await expect(writeDataSet(folder, bad)).rejects.toMatchObject({ code: "STORE_FAILED" });
    expect(await readFile(join(folder, "corpus.jsonl"), "utf8")).toBe(corpus);
    expect((await readdir(folder)).sort()).toEqual(["corpus.jsonl", "questions.jsonl"]);
    const inside = join(folder, "corpus.jsonl", "deeper");
    await expect(writeDataSet(inside, { passages: [], questions: [] })).rejects.toMatchObject({ code: "STORE_FAILED" });
  });
});
