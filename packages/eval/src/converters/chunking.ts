import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { parsePublished, readPublished, shaped } from "../converter.js";
import { readCsv } from "../csv.js";
import type { Span } from "../spans.js";

/** Documents, and questions with the stretches of one document that answer them, in characters. */
export interface SpanQuestions {
  readonly documents: ReadonlyMap<string, string>;
  readonly questions: readonly {
    readonly question: string;
    readonly document: string;
    readonly wanted: readonly Span[];
  }[];
}

const file = "chunking/questions.csv";
const record = z.object({ question: z.string().min(1), references: z.string(), corpus_id: z.string().regex(/^\w+$/) });
const references = z
  .array(z.object({ content: z.string().min(1), start_index: z.int().min(0), end_index: z.int() }))
  .min(1);

/**
 * Chunking evaluation (Smith and Troynikov 2024).
 * @throws TesseraError BAD_SOURCE where a file is missing or shaped otherwise, or a stretch is not the text that it says.
 */
export async function readChunking(folder: string): Promise<SpanQuestions> {
  const path = join(folder, file);
  const documents = new Map<string, string>();
  const questions: SpanQuestions["questions"][number][] = [];
  for (const row of readCsv(await readPublished(folder, file))) {
    const { question, references: spans, corpus_id: document } = shaped(record, row, path);
    const text = documents.get(document) ?? (await readPublished(folder, `chunking/${document}.md`));
    documents.set(document, text);
    const wanted = shaped(references, parsePublished(spans, path), path).map(({ content, start_index, end_index }) => {
      if (text.slice(start_index, end_index) !== content)
        throw new TesseraError("BAD_SOURCE", `${start_index} to ${end_index} of ${document} is not "${content}"`, {
          path,
          hint: `is chunking/${document}.md the published text?`,
        });
      return { start: start_index, end: end_index };
    });
    questions.push({ question, document, wanted });
  }
  return { documents, questions };
}
