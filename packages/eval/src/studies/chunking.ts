import type { Hit, Host, Passage, Resource, Store } from "@tessera/core";
import { expand, parentScore, smallToBig } from "@tessera/indexer";
import { chunkWindows } from "@tessera/indexer/internal";
import { Bm25Store } from "@tessera/stores";
import type { z } from "zod";
import type { SpanQuestions } from "../data-sets/converters/chunking.js";
import { merged, type Span, spanIou, spanPrecision, spanRecall } from "../measures/spans.js";
import { chosenOn, printOutcomes } from "../reports/outcomes.js";
import type { Output } from "../reports/output.js";
import { atLeast, type StudyOptions, studyContext } from "./study.js";

/** What is read for a question, best first: passages whose `span` is a stretch of the document `source.path`. */
type Reading = (question: string) => Promise<readonly Passage[]>;

const spanOf = ({ metadata }: Passage): Span => {
  const [start, end] = metadata.span as [number, number];
  return { start, end };
};

const passagesOf = (hits: readonly Hit[]): Passage[] => hits.map(({ passage }) => passage);

/** A host whose only resource is a store. */
const hostOf = (store: Store): Host => ({ resource: async <T extends Resource>() => store as Resource as T });

async function cut(documents: readonly Passage[], settings: z.input<typeof smallToBig.config>): Promise<Passage[]> {
  const work = await smallToBig.setup(smallToBig.config.parse(settings), { resource: () => Promise.reject() });
  return (await work({ passages: [...documents] }, studyContext())).children;
}

/** Some passages, searched by words. */
async function searching(
  passages: readonly Passage[],
): Promise<{ store: Store; search: (text: string) => Promise<Hit[]> }> {
  const store = new Bm25Store();
  await store.upsert(passages);
  return { store, search: (text) => store.search({ text, top: 300 }) };
}

const windows = (documents: readonly Passage[], size: number, overlap: number): Passage[] =>
  documents.flatMap((document) => chunkWindows(document, { unit: "words", size, overlap }));

const named = (size: number, overlap: number): string => `${size}${overlap > 0 ? `, overlap ${overlap}` : ""}`;

/** Plain windows: what is found is what is read. */
async function plainWindows(documents: readonly Passage[], into: Map<string, Reading>): Promise<void> {
  for (const size of [50, 100, 150, 200, 300])
    for (const overlap of [0, size / 2]) {
      const { search } = await searching(windows(documents, size, overlap));
      into.set(`windows of ${named(size, overlap)}`, async (question) => passagesOf(await search(question)));
    }
}

/** Children, scored with and without the larger passages that hold them, and how far around what was found is read. */
async function smallWays(
  small: readonly Passage[],
  large: readonly Passage[],
  { weights, around, name }: { weights: readonly number[]; around: readonly number[]; name: string },
  into: Map<string, Reading>,
): Promise<void> {
  const context = studyContext();
  const [children, parents] = [await searching(small), await searching(large)];
  const host = hostOf(children.store);
  for (const weight of weights)
    for (const neighbours of around) {
      const score = await parentScore.setup({ weight }, host);
      const widen = await expand.setup({ store: "children", sentences: neighbours, windows: neighbours }, host);
      const scored = weight === 1 ? "by themselves" : `own weight ${weight}`;
      into.set(`${name}, ${scored}, ± ${neighbours} is read`, async (question) => {
        const found = await children.search(question);
        const evidence = weight === 1 ? [] : await parents.search(question);
        const { hits } = await score({ children: found, parents: evidence }, context);
        // each by itself, since a reader's budget ends between hits: what many share would become one passage
        const read = await Promise.all(hits.slice(0, 60).map((hit) => widen({ hits: [hit] }, context)));
        return read.flatMap((one) => passagesOf(one.hits));
      });
    }
}

/** Small-to-big as it is mostly drawn: a small window is searched, and the large one that holds it is read. */
async function parentWays(parents: readonly Passage[], name: string, into: Map<string, Reading>): Promise<void> {
  const context = studyContext();
  const { search } = await searching(await cut(parents, { size: 50 }));
  const widen = await expand.setup(expand.config.parse({ store: "parents" }), hostOf((await searching(parents)).store));
  into.set(name, async (question) => passagesOf((await widen({ hits: await search(question) }, context)).hits));
}

async function smallToBigWays(documents: readonly Passage[], into: Map<string, Reading>): Promise<void> {
  for (const overlap of [0, 100])
    await parentWays(windows(documents, 200, overlap), `50 in ${named(200, overlap)}`, into);
  const weights = [1, 0.5, 0.3, 0.2];
  for (const [shared, overlap] of [
    [0, 0],
    [25, 100],
  ] as const)
    await smallWays(
      await cut(documents, { size: 50, overlap: shared }),
      windows(documents, 200, overlap),
      { weights, around: [1], name: `${named(50, shared)}, in ${named(200, overlap)}` },
      into,
    );
  await smallWays(
    await cut(documents, { by: "sentence" }),
    [],
    { weights: [1], around: [1, 3], name: "sentences" },
    into,
  );
}

/** What is read until the budget of characters is spent; text already read costs nothing. */
function spend(passages: readonly Passage[], budget: number): Map<string, Span[]> {
  const pages = new Map<string, Span[]>();
  const sizeOf = (spans: readonly Span[]) => spans.reduce((sum, { start, end }) => sum + end - start, 0);
  let left = budget;
  for (const passage of passages) {
    const page = passage.source!.path;
    const before = pages.get(page) ?? [];
    const after = merged([...before, spanOf(passage)]);
    const cost = sizeOf(after) - sizeOf(before);
    if (cost > left) break;
    left -= cost;
    pages.set(page, after);
  }
  return pages;
}

/**
 * Measures how much of the wanted text is among what is read, at one budget of characters for every way of chunking. Of
 * the plain windows and of the small-to-big ones the way with the best recall on every second question is judged on the
 * others, beside the plain windows and the small-to-big that one would try first.
 */
export async function chunking(
  output: Output,
  { documents, questions }: SpanQuestions,
  { limit, budget = 4000 }: StudyOptions & { budget?: number },
): Promise<number> {
  const asked = questions.slice(0, limit);
  atLeast(2, asked.length, "questions");
  const pages = [...documents].map(([id, text]): Passage => ({ id, text, source: { path: id }, metadata: {} }));
  const places = new Map([...documents.keys()].map((id, index) => [id, (index + 1) * 1e9]));
  const [plain, small] = [new Map<string, Reading>(), new Map<string, Reading>()];
  await plainWindows(pages, plain);
  await smallToBigWays(pages, small);
  const outcomes: Record<string, Record<string, number[]>> = {};
  for (const [way, read] of [...plain, ...small]) {
    const measures = { recall: [] as number[], precision: [] as number[], IoU: [] as number[] };
    for (const [index, { question, document, wanted }] of asked.entries()) {
      output.progress(way, index, asked.length);
      // what is read of other documents is of no use, and counts
      const spans = [...spend(await read(question), budget)].flatMap(([page, spans]) => {
        const far = page === document ? 0 : places.get(page)!;
        return spans.map(({ start, end }) => ({ start: start + far, end: end + far }));
      });
      measures.recall.push(spanRecall(spans, wanted));
      measures.precision.push(spans.length > 0 ? spanPrecision(spans, wanted) : 0);
      measures.IoU.push(spanIou(spans, wanted));
    }
    outcomes[way] = measures;
    output.clear();
  }
  const { chosen, judged } = chosenOn(outcomes, (of) => of.recall!, [[...plain.keys()], [...small.keys()]]);
  const [bestPlain, bestSmall] = chosen as [string, string];
  output.say(`${asked.length} questions, ${budget} characters read for each; judged on every second one.`);
  output.say(`Of ${plain.size} plain ways chosen on the others: ${bestPlain}.`);
  output.say(`Of ${small.size} small-to-big ways: ${bestSmall}.\n`);
  printOutcomes(
    output,
    "chunking",
    {
      "windows of 200": judged["windows of 200"]!,
      "plain, chosen": judged[bestPlain]!,
      "50 in 200": judged["50 in 200"]!,
      "sentences ± 1": judged["sentences, by themselves, ± 1 is read"]!,
      "small-to-big, chosen": judged[bestSmall]!,
    },
    "small-to-big, chosen",
  );
  return 0;
}
