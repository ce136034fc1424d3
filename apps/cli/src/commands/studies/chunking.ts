import type { Hit, Passage } from "@tessera/core";
import { merged, type Span, type SpanQuestions, spanIou, spanPrecision, spanRecall } from "@tessera/eval";
import { chunkWindows, smallToBig } from "@tessera/indexer";
import { Bm25Store } from "@tessera/retriever";
import type { Terminal } from "../../terminal.js";
import { printOutcomes } from "./print.js";
import { type StudyOptions, studyContext } from "./resources.js";

/** What is searched, and which stretch of which document is read for a hit. */
interface Chunking {
  readonly units: readonly Passage[];
  readonly read: (passage: Passage) => Span;
}

const spanOf = ({ metadata }: Passage): Span => {
  const [start, end] = metadata.span as [number, number];
  return { start, end };
};

/** Plain windows: what is found is what is read. */
const windows = (documents: readonly Passage[], size: number): Chunking => ({
  units: documents.flatMap((document) => chunkWindows(document, { unit: "words", size, overlap: 0 })),
  read: spanOf,
});

const nothing = (): Promise<never> => Promise.reject(new Error("cutting needs no resource"));

/** Small-to-big by sentence: one sentence is searched, and its neighbours are read with it. */
async function sentenceWindows(documents: readonly Passage[], neighbours: number): Promise<Chunking> {
  const cut = await smallToBig.setup(smallToBig.config.parse({ by: "sentence" }), { resource: nothing });
  const { children } = await cut({ passages: [...documents] }, studyContext());
  const spans = new Map<string, Span[]>();
  // the sentences of a document follow each other and lose nothing of it
  const units = children.map((child) => {
    const before = spans.get(child.parent!) ?? [];
    const start = before.at(-1)?.end ?? 0;
    before.push({ start, end: start + child.text.length });
    spans.set(child.parent!, before);
    return child;
  });
  return {
    units,
    read({ parent, metadata }) {
      const [all, place] = [spans.get(parent!)!, metadata.sentence as number];
      const last = Math.min(all.length - 1, place + neighbours);
      return { start: all[Math.max(0, place - neighbours)]!.start, end: all[last]!.end };
    },
  };
}

/** Small-to-big by window: a small window is searched, and the large one that holds it is read. */
function parentWindows(documents: readonly Passage[], small: number, large: number): Chunking {
  const parents = windows(documents, large).units;
  const byId = new Map(parents.map((parent) => [parent.id, spanOf(parent)]));
  const units = parents.flatMap((parent) =>
    chunkWindows(parent, { unit: "words", size: small, overlap: 0 }).map((child) => ({ ...child, parent: parent.id })),
  );
  return { units, read: ({ parent }) => byId.get(parent!)! };
}

/** What is read of the hits, best first, until the budget of characters is spent; text already read costs nothing. */
function spend(hits: readonly Hit[], { read }: Chunking, budget: number): Map<string, Span[]> {
  const pages = new Map<string, Span[]>();
  let left = budget;
  for (const { passage } of hits) {
    const page = passage.source!.path;
    const before = pages.get(page) ?? [];
    const size = (spans: readonly Span[]) => spans.reduce((sum, { start, end }) => sum + end - start, 0);
    const wanted = read(passage);
    const after = merged([...before, wanted]);
    const cost = size(after) - size(before);
    if (cost > left) break;
    left -= cost;
    pages.set(page, after);
  }
  return pages;
}

/** Measures how much of the wanted text is among what is read, at one budget of characters for every way of chunking. */
export async function chunking(
  terminal: Terminal,
  { documents, questions }: SpanQuestions,
  { limit, budget = 4000 }: StudyOptions & { budget?: number },
): Promise<number> {
  const pages = [...documents].map(([id, text]): Passage => ({ id, text, source: { path: id }, metadata: {} }));
  const ways: Record<string, Chunking> = {
    "windows of 200": windows(pages, 200),
    "windows of 50": windows(pages, 50),
    "50 in 200": parentWindows(pages, 50, 200),
    "sentence ± 1": await sentenceWindows(pages, 1),
    "sentence ± 3": await sentenceWindows(pages, 3),
  };
  const outcomes: Record<string, Record<string, number[]>> = {};
  for (const [way, how] of Object.entries(ways)) {
    const store = new Bm25Store();
    await store.upsert(how.units);
    const asked = questions.slice(0, limit);
    const measures = { recall: [] as number[], precision: [] as number[], IoU: [] as number[] };
    for (const [index, { question, document, wanted }] of asked.entries()) {
      terminal.progress(way, index, asked.length);
      const hits = await store.search({ text: question, top: 200 });
      const read = spend(hits, how, budget);
      // what is read of other documents is of no use, and counts
      const far = (page: string) => ([...documents.keys()].indexOf(page) + 1) * 1e9;
      const elsewhere = [...read].flatMap(([page, spans]) =>
        page === document ? spans : spans.map(({ start, end }) => ({ start: start + far(page), end: end + far(page) })),
      );
      measures.recall.push(spanRecall(elsewhere, wanted));
      measures.precision.push(elsewhere.length > 0 ? spanPrecision(elsewhere, wanted) : 0);
      measures.IoU.push(spanIou(elsewhere, wanted));
    }
    outcomes[way] = measures;
    terminal.clear();
  }
  terminal.say(`${questions.length} questions, ${budget} characters read for each\n`);
  printOutcomes(terminal, "chunking", outcomes, "sentence ± 1");
  return 0;
}
