// public: QuestionResult, readResults
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { z } from "zod";
import { linesOf, parseLine } from "../data-sets/jsonl.js";

const questionResult = z.strictObject({
  /** The flow's name and the content hash of its document. */
  flow: z.string(),
  hash: z.string(),
  /** Of what the result depends on beside the flow: the data set, the resources. */
  revision: z.string(),
  /** The question's id and wording. */
  id: z.string(),
  question: z.string(),
  /** Empty where the run failed. */
  measures: z.record(z.string(), z.number()),
  /** The ids of the passages found, best first. */
  found: z.array(z.string()).optional(),
  answer: z.strictObject({ text: z.string(), cited: z.array(z.string()), refused: z.boolean() }).optional(),
  /** Why the run failed. */
  error: z.strictObject({ code: z.string(), message: z.string(), path: z.string().optional() }).optional(),
});

/** What a flow did with a question: a line of a file of results. */
export type QuestionResult = z.infer<typeof questionResult>;

// what makes two results the same
const keyOf = ({ hash, revision, id }: Pick<QuestionResult, "hash" | "revision" | "id">): string =>
  JSON.stringify([hash, revision, id]);

const hint = "a file of results has a JSON object for each question, as `evaluate` and `tessera eval --out` write it";

/** The whole lines of a file of results, the last one of each key, and how many bytes they take. */
async function scan(path: string): Promise<{ results: Map<string, QuestionResult>; bytes: number }> {
  const results = new Map<string, QuestionResult>();
  let [bytes, number] = [0, 0];
  for await (const { text, whole } of linesOf(path, hint)) {
    number++;
    // the line that was being written when the process was killed
    if (!whole) break;
    const result = parseLine(text, questionResult, `${path}:${number}`, hint);
    results.set(keyOf(result), result);
    bytes += Buffer.byteLength(text) + 1;
  }
  return { results, bytes };
}

/**
 * The results in a file, in the order in which their questions were first answered; of several for one question the
 * last counts. A torn last line is passed over.
 * @throws TesseraError BAD_SOURCE with file and line.
 */
export const readResults = async (path: string): Promise<QuestionResult[]> => [...(await scan(path)).results.values()];

/** A file of results that grows by a line a question. One process at a time may write it. */
export class ResultFile {
  private last: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    private readonly known: ReadonlyMap<string, QuestionResult>,
  ) {}

  /**
   * Opens a file, or begins one; what a kill left of a line is cut off.
   * @throws TesseraError BAD_SOURCE where it holds something else, STORE_FAILED.
   */
  static async open(path: string): Promise<ResultFile> {
    let handle: FileHandle;
    try {
      await mkdir(dirname(path), { recursive: true });
      handle = await open(path, "a");
    } catch (cause) {
      throw failure(path, cause);
    }
    try {
      const { results, bytes } = await scan(path);
      await handle.truncate(bytes);
      return new ResultFile(path, handle, results);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The result of an earlier run, unless it failed: then it is worth another try. */
  finished(key: Pick<QuestionResult, "hash" | "revision" | "id">): QuestionResult | undefined {
    const result = this.known.get(keyOf(key));
    return result?.error ? undefined : result;
  }

  /** Adds a line; resolves once it is written. @throws TesseraError STORE_FAILED */
  append(result: QuestionResult): Promise<void> {
    const line = `${JSON.stringify(result)}\n`;
    const written = this.last.then(() => this.handle.appendFile(line));
    this.last = written.catch(() => {});
    return written.catch((cause) => Promise.reject(failure(this.path, cause)));
  }

  async close(): Promise<void> {
    await this.last;
    await this.handle.close();
  }
}

const failure = (path: string, cause: unknown): TesseraError =>
  new TesseraError("STORE_FAILED", `the results cannot be written: ${messageOf(cause)}`, { path, cause });
