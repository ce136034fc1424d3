// public: Question, DataSet, readDataSet, writeDataSet
// internal: readCorpus
import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Passage, passage, TesseraError } from "@tessera/core";
import { canonicalJson, messageOf } from "@tessera/core/internal";
import { z } from "zod";
import { recordsOf } from "./jsonl.js";

const metadata = z.record(z.string(), z.json());

const passageRecord = z.strictObject({
  id: z.string().min(1),
  title: z.string().optional(),
  text: z.string(),
  source: passage.shape.source,
  metadata: metadata.optional(),
});

const questionRecord = z.strictObject({
  id: z.string().min(1),
  question: z.string().min(1),
  /** The accepted answers. */
  answers: z.array(z.string()).optional(),
  /** The ids of the passages that answer it. */
  gold: z.array(z.string()).optional(),
  /** What belongs to no measure, a gold decomposition for one; a flow's inputs of the same names take it. */
  metadata: metadata.optional(),
});

/** A question with the passages that answer it, its answers, or both. */
export type Question = z.infer<typeof questionRecord>;

/** Passages, and questions about them. As a folder: `corpus.jsonl` and `questions.jsonl`, one record a line. */
export interface DataSet {
  readonly passages: readonly Passage[];
  readonly questions: readonly Question[];
}

const files = { corpus: "corpus.jsonl", questions: "questions.jsonl" } as const;
const hints = {
  corpus: `${files.corpus} of a data set has a JSON object a line: id, text, and if there are any title, source, metadata`,
  questions: `${files.questions} of a data set has a JSON object a line: id, question, and if there are any answers, gold, metadata`,
} as const;

function once(seen: Set<string>, id: string, path: string): void {
  if (seen.has(id)) throw new TesseraError("BAD_SOURCE", `the id "${id}" stands there twice`, { path });
  seen.add(id);
}

/**
 * The passages of a folder, one at a time.
 * @throws TesseraError BAD_SOURCE with file and line: no such file, no JSON, a wrong record, an id seen before.
 */
export async function* readCorpus(folder: string): AsyncGenerator<Passage> {
  const seen = new Set<string>();
  for await (const { value, path } of recordsOf(join(folder, files.corpus), passageRecord, hints.corpus)) {
    once(seen, value.id, path);
    yield { ...value, metadata: value.metadata ?? {} };
  }
}

/**
 * The questions of a folder, one at a time. Where the ids of the corpus are given, every gold id must be among them.
 * @throws TesseraError BAD_SOURCE with file and line.
 */
async function* readQuestions(folder: string, corpus?: ReadonlySet<string>): AsyncGenerator<Question> {
  const seen = new Set<string>();
  for await (const { value, path } of recordsOf(join(folder, files.questions), questionRecord, hints.questions)) {
    once(seen, value.id, path);
    const unknown = corpus && value.gold?.find((id) => !corpus.has(id));
    if (unknown !== undefined)
      throw new TesseraError("BAD_SOURCE", `the gold passage "${unknown}" is not in the corpus`, {
        path,
        hint: `gold holds ids of ${files.corpus}`,
      });
    yield value;
  }
}

/** A whole folder, checked. @throws TesseraError BAD_SOURCE with file and line. */
export async function readDataSet(folder: string): Promise<DataSet> {
  const passages: Passage[] = [];
  for await (const passage of readCorpus(folder)) passages.push(passage);
  const questions: Question[] = [];
  const ids = new Set(passages.map(({ id }) => id));
  for await (const question of readQuestions(folder, ids)) questions.push(question);
  return { passages, questions };
}

/** Changes with anything that the data set holds. */
export function revisionOf({ passages, questions }: DataSet): string {
  const hash = createHash("sha256");
  for (const record of [...passages, ...questions]) hash.update(`${canonicalJson(record)}\n`);
  return hash.digest("hex");
}

/**
 * Writes a data set as a folder; each file is replaced whole or not at all.
 * @throws TesseraError STORE_FAILED
 */
export async function writeDataSet(folder: string, { passages, questions }: DataSet): Promise<void> {
  const corpus = passages.map(({ id, title, text, source, metadata }) => ({
    id,
    title,
    text,
    source,
    ...(Object.keys(metadata).length > 0 && { metadata }),
  }));
  await writeRecords(folder, files.corpus, corpus);
  await writeRecords(folder, files.questions, questions);
}

async function writeRecords(folder: string, name: string, records: readonly object[]): Promise<void> {
  const path = join(folder, name);
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await mkdir(folder, { recursive: true });
    const handle = await open(draft, "w");
    try {
      for (const record of records) await handle.appendFile(`${JSON.stringify(record)}\n`);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => {}); // where the folder is none, neither can it be removed
    throw new TesseraError("STORE_FAILED", `the data set cannot be written: ${messageOf(cause)}`, {
      path,
      hint: "is it a folder that can be written to?",
      cause,
    });
  }
}
