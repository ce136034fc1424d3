import type { FlowDocument, Hit } from "@tessera/core";
import { mean } from "@tessera/core/internal";
import { flows } from "@tessera/flows";
import { compile } from "@tessera/graph";
import { Bm25Store } from "@tessera/stores";
import { tfIdf } from "@tessera/stores/internal";
import { operators } from "@tessera/tessera";
import { ResourceHost } from "@tessera/tessera/internal";
import { converters } from "../../data-sets/converters/catalogue.js";
import { type DataSet, revisionOf } from "../../data-sets/data-set.js";
import { rankingMeasures } from "../../measures/measures.js";
import { compare } from "../../reports/figures.js";
import { corpusResources } from "../../runs/corpus.js";
import { evaluate } from "../../runs/evaluate.js";
import { learnAndMeasure } from "../tuning.js";
import type { CheckContext, RowCheck, RowFigure } from "./check.js";

const published = (folder: string, name: string): Promise<DataSet> => converters.get(name)!.read(folder);

/** Runs some work over the stores of a corpus, and closes them. */
async function over<T>({ passages }: DataSet, work: (host: ResourceHost) => Promise<T>): Promise<T> {
  const host = new ResourceHost(corpusResources(passages));
  try {
    return await work(host);
  } finally {
    await host.close();
  }
}

const linear = flows.get("linear")!.flow.document;
const byVectors = { run: "retriever.dense", with: { store: "dense", encoder: "encoder", top: 20 } } as const;

/** A flow with another node in the place of one. */
const swapped = (document: FlowDocument, node: string, by: object): FlowDocument => ({
  ...document,
  nodes: { ...document.nodes, [node]: { ...document.nodes[node]!, ...by } },
});

/** Row 4: words swapped for vectors in one node of a flow, and what that changes by question. */
const swap: RowCheck = {
  row: 4,
  about: "one operator swapped",
  async measure({ folder, limit, signal, progress }) {
    const data = await published(folder, "nq");
    const documents = [linear, swapped(linear, "retrieve", byVectors)];
    const questions = data.questions.slice(0, limit);
    const [before, after] = await over(data, async (host) => {
      const results = [];
      for (const document of documents)
        results.push(
          await evaluate(await compile(document, { operators, host }), questions, {
            revision: revisionOf(data),
            signal,
            progress: ({ done }) => progress(done, questions.length),
          }),
        );
      return results;
    });
    const changed = Object.keys(linear.nodes).filter((node) => linear.nodes[node] !== documents[1]!.nodes[node]);
    const figures: RowFigure[] = [{ what: "nodes that differ", values: changed.length, exactly: 1 }];
    for (const { metric, larger, smaller, equal } of compare(before!, after!).differences)
      if (metric === "recall@5" || metric === "MRR") {
        const of = (results: typeof before) => results!.map(({ measures }) => measures[metric]!);
        const left = of(before);
        figures.push({
          what: `${metric} by vectors less that by words: ${larger} questions better, ${smaller} worse, ${equal} the same`,
          values: of(after).map((value, index) => value - left[index]!),
        });
      }
    return figures;
  },
};

/** Naive RAG between two steps that change nothing: a list of one query, and the union of one list of hits. */
const advanced: FlowDocument = {
  ...linear,
  name: "advanced",
  nodes: {
    before: { run: "list.append", with: { of: "text" }, in: { list: { value: [] }, item: "input.query" } },
    retrieve: { ...linear.nodes.retrieve!, in: { query: "before.list" }, each: { over: "query", max: 1 } },
    after: { run: "hits.union", in: { lists: "retrieve.hits" } },
    answer: { ...linear.nodes.answer!, in: { query: "input.query", hits: "after.hits" } },
  },
  output: { ...linear.output, hits: "after.hits" },
};

/** Row 5: naive RAG is advanced RAG with identities, on 50 questions. */
const inheritance: RowCheck = {
  row: 5,
  about: "naive RAG as advanced RAG",
  async measure({ folder, limit = 50 }) {
    const data = await published(folder, "nq");
    return over(data, async (host) => {
      const [naive, other] = await Promise.all(
        [linear, advanced].map((document) => compile(document, { operators, host })),
      );
      const same: number[] = [];
      for (const { question } of data.questions.slice(0, limit)) {
        const outputs = await Promise.all([naive!, other!].map((flow) => flow.run({ query: question } as never)));
        const [left, right] = outputs.map(({ output }) => JSON.stringify(output));
        same.push(Number(left === right));
      }
      return [{ what: "questions with the same answer and the same passages", values: same, exactly: 1 }];
    });
  },
};

/** nDCG@10 on the 1,328 questions of NQ, by the formulas alone in a program of another language; in thousandths. */
const frozen = { BM25: 851, "TF-IDF": 707 };

/** Row 21: both kinds of sparse retrieval against values that are frozen. */
const sparse: RowCheck = {
  row: 21,
  about: "BM25 and TF-IDF",
  async measure({ folder, limit, signal, progress }) {
    const data = await published(folder, "nq");
    const questions = data.questions.slice(0, limit);
    const figures: RowFigure[] = [];
    for (const [name, settings] of Object.entries({ BM25: {}, "TF-IDF": tfIdf })) {
      const store = new Bm25Store(settings);
      await store.upsert(data.passages);
      const [gains, recalls]: [number[], number[]] = [[], []];
      for (const [index, question] of questions.entries()) {
        progress(index, questions.length);
        const hits = await store.search({ text: question.question, top: 20 }, signal);
        const measures = rankingMeasures(idsOf(hits), question);
        gains.push(measures["nDCG@10"]!);
        recalls.push(measures["recall@5"]!);
      }
      figures.push(
        { what: `${name}: nDCG@10`, values: gains },
        ...(limit === undefined
          ? [
              {
                what: `${name}: nDCG@10 in thousandths, and the frozen value`,
                values: Math.round(1000 * mean(gains)),
                exactly: frozen[name as keyof typeof frozen],
              },
            ]
          : []),
        { what: `${name}: recall@5`, values: recalls },
      );
    }
    return figures;
  },
};

const idsOf = (hits: readonly Hit[]): string[] => hits.map(({ passage }) => passage.id);

type Retriever = Pick<FlowDocument["nodes"][string], "run" | "with">;

/** A flow of one node that retrieves. */
const alone = (node: Retriever): FlowDocument => ({
  ...{ version: 1, name: "retrieval", input: { query: "text" } },
  nodes: { retrieve: { ...node, in: { query: "input.query" } } },
  output: { hits: "retrieve.hits" },
});

/** What each of some nodes retrieves for the questions. */
const retrieved = (
  data: DataSet,
  nodes: readonly Retriever[],
  { limit, signal, progress }: Pick<CheckContext, "limit" | "signal" | "progress">,
) =>
  over(data, async (host) => {
    const questions = data.questions.slice(0, limit);
    const results = [];
    for (const node of nodes)
      results.push(
        await evaluate(await compile(alone(node), { operators, host }), questions, {
          revision: revisionOf(data),
          signal,
          progress: ({ done }) => progress(done, questions.length),
        }),
      );
    return results;
  });

const measured = (results: readonly { measures: Readonly<Record<string, number>> }[], metric: string): number[] =>
  results.map(({ measures }) => measures[metric]!);

const byWords = { run: "retriever.sparse", with: { store: "sparse", top: 50 } } as const;
const byBoth = (more: Readonly<Record<string, string | number>>) => ({
  run: "retriever.hybrid",
  with: { sparse: "sparse", dense: "dense", encoder: "encoder", top: 20, ...more },
});

/** Row 23: words and vectors fused, by scores as is the default and by rank, beside both parts; and pre-screening. */
const fused: RowCheck = {
  row: 23,
  about: "hybrid retrieval beside its parts",
  async measure({ folder, ...context }) {
    const data = await published(folder, "nq");
    const nodes = [byWords, byVectors, byBoth({}), byBoth({ fusion: "rrf" }), byBoth({ screen: 20 })];
    const found = await retrieved(data, nodes, context);
    const [words, vectors, scores, ranks] = found.map((results) => measured(results, "recall@5"));
    const better = mean(words!) >= mean(vectors!) ? words! : vectors!;
    const less = (values: readonly number[]) => values.map((value, index) => value - better[index]!);
    const screened = found[4]!.map(({ found: ids = [] }, index) => {
      const candidates = new Set(found[0]![index]!.found);
      return Number(ids.every((id) => candidates.has(id)));
    });
    return [
      { what: "recall@5 by words", values: words! },
      { what: "recall@5 by vectors", values: vectors! },
      { what: "recall@5 by both", values: scores! },
      { what: "by both (scores, the default), less the better part", values: less(scores!), least: 0 },
      { what: "by both by rank (k = 60), less the better part", values: less(ranks!) },
      { what: "pre-screening: questions for which only candidates of words are found", values: screened, exactly: 1 },
    ];
  },
};

/** Row 24: four heads beside the whole vector, on questions that need passages on several things. */
const heads: RowCheck = {
  row: 24,
  about: "multi-vector retrieval beside one vector",
  async measure({ folder, ...context }) {
    const { run, with: settings } = flows.get("multi-head-rag")!.flow.document.nodes.retrieve!;
    const found = await retrieved(await published(folder, "musique"), [{ run, with: settings }, byVectors], context);
    return ["recall@5", "all-gold@5"].flatMap((metric) => {
      const [many, one] = found.map((results) => measured(results, metric));
      return [
        { what: `four heads: ${metric} (the share of the wanted passages: success)`, values: many! },
        { what: `one vector: ${metric}`, values: one! },
        { what: `${metric}, four heads less one vector`, values: many!.map((value, index) => value - one![index]!) },
      ];
    });
  },
};

/** Row 27: an adapter of query vectors learnt from 500 questions, on 500 others. */
const adapter: RowCheck = {
  row: 27,
  about: "an adapter learnt from pairs",
  async measure({ folder, limit = 500, signal, progress }) {
    const data = await published(folder, "nq");
    const { outcomes } = await over(data, (host) => learnAndMeasure(host, data, limit, { signal, progress }));
    const { before, after } = outcomes;
    const [one, other] = [before!["recall@5"]!, after!["recall@5"]!];
    return [
      { what: "recall@5 before", values: one },
      { what: "recall@5 after", values: other },
      { what: "gained", values: other.map((value, index) => value - one[index]!), least: 0 },
    ];
  },
};

export const retrieval: readonly RowCheck[] = [swap, inheritance, sparse, fused, heads, adapter];
