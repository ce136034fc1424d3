import { readdir, readFile, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { type Passage, TesseraError } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { z } from "zod";
import { WorkFolder } from "./work-folder.js";

const questionRecord = z.strictObject({
  id: z.string().min(1).max(200),
  question: z.string().min(1).max(10_000),
  answers: z.array(z.string()).optional(),
  gold: z.array(z.string()).optional(),
  metadata: z.record(z.string(), z.any()).optional(),
});
export type QuestionRecord = z.infer<typeof questionRecord>;

/** What somebody says of an answer: right or wrong, with the passages that it cites. */
export const mark = z.strictObject({
  question: z.string().min(1).max(10_000),
  right: z.boolean(),
  cited: z.array(z.string()).max(1000).default([]),
  answers: z.array(z.string()).max(100).optional(),
  run: z.string().max(200).optional(),
});
export type Mark = z.infer<typeof mark>;

const readLines = (text: string): QuestionRecord[] =>
  text.split("\n").flatMap((line) => {
    if (line.trim() === "") return [];
    const read = questionRecord.safeParse(JSON.parse(line));
    return read.success ? [read.data] : [];
  });

/**
 * The data sets of a folder: `.tessera/data/<name>` holds `questions.jsonl` and, once an answer was marked, `corpus.jsonl`
 * with the passages of the index, as `tessera eval` reads them.
 */
export class DataFolder {
  constructor(
    private readonly folder: string,
    private readonly passages: () => Promise<readonly Passage[]>,
  ) {}

  get #root(): string {
    return join(this.folder, ".tessera", "data");
  }

  async list(): Promise<{ name: string; questions: number }[]> {
    const names = (await readdir(this.#root).catch(() => [])).filter((name) => /^[A-Za-z][\w-]*$/.test(name)).sort();
    return Promise.all(names.map(async (name) => ({ name, questions: (await this.questions(name)).length })));
  }

  /** @throws TesseraError NOT_FOUND; BAD_SOURCE where a line is no JSON */
  async questions(name: string): Promise<QuestionRecord[]> {
    const real = await realpath(join(this.#root, name, "questions.jsonl")).catch(() => undefined);
    if (!real?.startsWith((await realpath(this.folder)) + sep))
      throw new TesseraError("NOT_FOUND", `the folder has no data set "${name}"`, { path: name });
    try {
      return readLines(await readFile(real, "utf8"));
    } catch (cause) {
      throw new TesseraError("BAD_SOURCE", "questions.jsonl has a JSON object a line", { path: name, cause });
    }
  }

  /** Adds a question, or replaces what was said of the same one. */
  async mark(name: string, { question, right, cited, answers, run }: Mark): Promise<QuestionRecord> {
    const work = new WorkFolder(this.folder);
    const folder = await work.inside(".tessera", "data", name);
    const id = sha256(question).slice(0, 12);
    const record: QuestionRecord = {
      ...{ id, question },
      ...(right && cited.length > 0 && { gold: [...new Set(cited)] }),
      ...(answers && answers.length > 0 && { answers }),
      metadata: { marked: right ? "right" : "wrong", ...(run !== undefined && { run }), ...(!right && { cited }) },
    };
    const before = (await this.questions(name).catch(() => [])).filter((one) => one.id !== id);
    const text = [...before, record].map((one) => `${JSON.stringify(one)}\n`).join("");
    await work.write(join(folder, "questions.jsonl"), text);
    await this.#writeCorpus(work, folder);
    return record;
  }

  async #writeCorpus(work: WorkFolder, folder: string): Promise<void> {
    const lines = (await this.passages()).map(({ id, title, text, source }) =>
      JSON.stringify({ id, ...(title !== undefined && { title }), text, ...(source && { source }) }),
    );
    await work.write(join(folder, "corpus.jsonl"), lines.map((line) => `${line}\n`).join(""));
  }
}
