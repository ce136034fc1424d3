import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { z } from "zod";
import type { Span } from "../../measures/spans.js";
import { type Converter, parsePublished, readPublished, shaped } from "../converter.js";
import { readCsv } from "../csv.js";

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

const longest = 1000; // characters of a passage

/** Cuts a text behind white space into stretches of at most `longest` characters; together they are the text. */
function stretchesOf(text: string): Span[] {
  const stretches: Span[] = [];
  for (let start = 0; start < text.length; start = stretches.at(-1)!.end) {
    const part = text.slice(start, start + longest);
    const last = start + part.length === text.length ? part.length : part.search(/\s\S*$/) + 1;
    stretches.push({ start, end: start + (last || part.length) });
  }
  return stretches;
}

/** Chunking evaluation: passages of at most 1,000 characters; gold is each that holds something of what is wanted. */
export const chunkingPassages: Converter = {
  name: "chunking",
  about: "Chunking evaluation: questions whose answers are exact stretches of five documents",
  read: async (folder) => {
    const { documents, questions: asked } = await readChunking(folder);
    const passages = [...documents].flatMap(([document, text]) =>
      stretchesOf(text).map(({ start, end }) => ({
        id: `${document}@${start}`,
        text: text.slice(start, end),
        source: { path: `${document}.md` },
        metadata: { document, span: [start, end] },
      })),
    );
    return {
      passages,
      questions: asked.map(({ question, document, wanted }, index) => ({
        id: `${index}`,
        question,
        answers: wanted.map(({ start, end }) => documents.get(document)!.slice(start, end)),
        gold: passages
          .filter(({ metadata: { document: own, span } }) => {
            const [from, to] = span as [number, number];
            return own === document && wanted.some(({ start, end }) => start < to && from < end);
          })
          .map(({ id }) => id),
      })),
    };
  },
};
