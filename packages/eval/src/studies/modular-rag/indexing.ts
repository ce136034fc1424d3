import type { Hit, Passage } from "@tessera/core";
import { descend, expand, hierarchy, KnowledgeGraph, smallToBig } from "@tessera/indexer";
import { chunkWindows, triplesOf } from "@tessera/indexer/internal";
import { Bm25Store } from "@tessera/stores";
import { ResourceHost } from "@tessera/tessera/internal";
import { words } from "@tessera/text";
import { converters } from "../../data-sets/converters/catalogue.js";
import { readChunking, type SpanQuestions } from "../../data-sets/converters/chunking.js";
import { type Span, spanRecall } from "../../measures/spans.js";
import { studyContext } from "../study.js";
import type { RowCheck, RowFigure } from "./check.js";

const pagesOf = ({ documents }: SpanQuestions): Passage[] =>
  [...documents].map(([id, text]) => ({ id, text, source: { path: id }, metadata: {} }));

const found = (output: { hits: Hit[] }): Passage[] => output.hits.map(({ passage }) => passage);

/** The share of the wanted text that some stretches of documents hold. */
const recallOf = (
  spans: readonly (Span & { document: string })[],
  { document, wanted }: SpanQuestions["questions"][0],
) =>
  spanRecall(
    spans.filter((span) => span.document === document),
    wanted,
  );

/** Row 9: what is read of the same five sentences, each by itself and with one neighbour on each side. */
const sentenceWindows: RowCheck = {
  row: 9,
  about: "sentence windows beside sentences",
  async measure({ folder, limit, signal, progress }) {
    const data = await readChunking(folder);
    const store = new Bm25Store();
    const host = new ResourceHost({ store: { store: () => store } });
    const context = studyContext(signal);
    const cut = await smallToBig.setup(smallToBig.config.parse({ by: "sentence" }), host);
    const { children } = await cut({ passages: pagesOf(data) }, context);
    await store.upsert(children);
    // the sentences of a document follow each other and lose nothing of it
    const places = new Map<string, Span[]>();
    for (const { parent = "", text } of children) {
      const before = places.get(parent) ?? [];
      const start = before.at(-1)?.end ?? 0;
      places.set(parent, [...before, { start, end: start + text.length }]);
    }
    const widen = await Promise.all(
      [0, 1].map(async (sentences) => expand.setup(expand.config.parse({ store: "store", sentences }), host)),
    );
    const questions = data.questions.slice(0, limit);
    const recalls: [number[], number[]] = [[], []];
    for (const [index, question] of questions.entries()) {
      progress(index, questions.length);
      const hits = await store.search({ text: question.question, top: 5 }, signal);
      for (const [way, read] of widen.entries()) {
        const spans = found(await read({ hits }, context)).map(({ parent = "", metadata }) => {
          const [first, last] = metadata.sentences as [number, number];
          const all = places.get(parent)!;
          return { document: parent, start: all[first]!.start, end: all[last]!.end };
        });
        recalls[way]!.push(recallOf(spans, question));
      }
    }
    const [alone, widened] = recalls;
    return [
      { what: "recall of characters, five sentences", values: alone },
      { what: "recall of characters, the same with one neighbour on each side", values: widened },
      { what: "their difference, by question", values: widened.map((recall, i) => recall - alone[i]!), least: 0 },
    ];
  },
};

/** Headings of the corpora as Markdown has them; a document without any is cut into parts of 2,000 words. */
function sectionsOf(page: Passage): Passage[] {
  const headings = [...page.text.matchAll(/^ *(=+) (.+?) \1 *$/gm)];
  const parts = chunkWindows(page, { unit: "words", size: 2000, overlap: 0 });
  const cuts =
    headings.length > 0
      ? headings.map((match) => ({ start: match.index, level: match[1]!.length, name: match[2]! }))
      : parts.map(({ metadata }, index) => ({
          start: (metadata.span as [number, number])[0],
          level: 1,
          name: `part ${index + 1}`,
        }));
  const open: { level: number; name: string }[] = [];
  return cuts.flatMap(({ start, level, name }, index) => {
    while (open.length > 0 && open.at(-1)!.level >= level) open.pop();
    open.push({ level, name });
    const text = page.text.slice(start, cuts[index + 1]?.start);
    const path = open.map((heading) => heading.name);
    return chunkWindows({ ...page, text }, { unit: "words", size: 200, overlap: 0 }).map((window): Passage => {
      const [from, to] = window.metadata.span as [number, number];
      return {
        ...window,
        id: `${page.id}@${start + from}`,
        metadata: { headings: path, span: [start + from, start + to] },
      };
    });
  });
}

/** Row 10: from the top down beside a flat search, over the documents of the chunking evaluation. */
const topDown: RowCheck = {
  row: 10,
  about: "hierarchical index beside a flat search",
  async measure({ folder, limit, signal, progress }) {
    const data = await readChunking(folder);
    const context = studyContext(signal);
    const [flat, tree] = [new Bm25Store(), new Bm25Store()];
    const host = new ResourceHost({ store: { tree: () => tree } });
    const hang = await hierarchy.setup(hierarchy.config.parse({ words: 400 }), host);
    const { passages, nodes } = await hang({ passages: pagesOf(data).flatMap(sectionsOf) }, context);
    await flat.upsert(passages);
    await tree.upsert([...nodes, ...passages]);
    const questions = data.questions.slice(0, limit);
    const recall = (list: readonly Passage[], question: SpanQuestions["questions"][0]) =>
      recallOf(
        list.map(({ source, metadata: { span } }) => {
          const [start, end] = span as [number, number];
          return { document: source!.path, start, end };
        }),
        question,
      );
    const whole: number[] = [];
    for (const { question, ...wanted } of questions)
      whole.push(
        recall(
          (await flat.search({ text: question, top: 5 }, signal)).map(({ passage }) => passage),
          { question, ...wanted },
        ),
      );
    const figures: RowFigure[] = [{ what: `recall of characters, flat, of ${passages.length} windows`, values: whole }];
    for (const beam of [2, 4, 8, 16]) {
      const search = await descend.setup(descend.config.parse({ store: "tree", beam, top: 5 }), host);
      const [recalls, visited]: [number[], number[]] = [[], []];
      for (const [index, question] of questions.entries()) {
        progress(index, questions.length);
        const output = await search({ query: question.question }, context);
        recalls.push(recall(found(output), question));
        visited.push(output.visited / passages.length);
      }
      figures.push(
        { what: `beam ${beam}: windows and nodes visited, of those a flat search compares`, values: visited, most: 1 },
        { what: `beam ${beam}: recall lost`, values: recalls.map((value, i) => whole[i]! - value) },
      );
    }
    return figures;
  },
};

/** Row 11: the graph of MuSiQue's given triples; neighbours against a count over all pairs of passages. */
const knowledgeGraph: RowCheck = {
  row: 11,
  about: "knowledge graph of given triples",
  async measure({ folder }) {
    const { passages } = await converters.get("musique")!.read(folder);
    const [graph, again] = [new KnowledgeGraph(passages), new KnowledgeGraph(passages)];
    const nameOf = (text: string) => words(text).join(" ");
    const entities = (passage: Passage) =>
      new Set(
        [passage.title ?? "", ...triplesOf(passage).flatMap(({ subject, object }) => [subject, object])]
          .map(nameOf)
          .filter((name) => name !== ""),
      );
    const all = passages.map((passage) => [passage.id, entities(passage)] as const);
    const sampled = [0, 1, 2, 3, 4].map((index) => passages[Math.floor((index * passages.length) / 5)]!);
    const right = sampled.map(({ id }) => {
      const own = new Map(all).get(id)!;
      const sharing = all.filter(([other, names]) => other !== id && [...names].some((name) => own.has(name)));
      return Number(
        JSON.stringify(graph.neighbours(id).sort()) === JSON.stringify(sharing.map(([other]) => other).sort()),
      );
    });
    const { entities: count, edges } = graph.size;
    return [
      { what: "passages", values: graph.size.passages },
      { what: "entities, built twice the same", values: count, exactly: again.size.entities },
      { what: "edges, built twice the same", values: edges, exactly: again.size.edges },
      { what: "of five passages, those with the neighbours that share an entity", values: right, exactly: 1 },
    ];
  },
};

export const indexing: readonly RowCheck[] = [sentenceWindows, topDown, knowledgeGraph];
