import { join } from "node:path";
import { z } from "zod";
import { readPublished, shaped } from "../converter.js";
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
const references = z.array(z.object({ start_index: z.int(), end_index: z.int() })).min(1);

/** Chunking evaluation (Smith and Troynikov 2024). @throws TesseraError BAD_SOURCE where it is missing or shaped otherwise. */
export async function readChunking(folder: string): Promise<SpanQuestions> {
  const questions = readCsv(await readPublished(folder, file)).map(({ question, references: spans, corpus_id }) => ({
    question: question!,
    document: corpus_id!,
    wanted: shaped(references, JSON.parse(spans!), join(folder, file)).map(
      ({ start_index: start, end_index: end }) => ({
        start,
        end,
      }),
    ),
  }));
  const documents = new Map<string, string>();
  for (const name of new Set(questions.map(({ document }) => document)))
    documents.set(name, await readPublished(folder, `chunking/${name}.md`));
  return { documents, questions };
}
