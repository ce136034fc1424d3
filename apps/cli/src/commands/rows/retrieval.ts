import type { FlowDocument, Hit } from "@tessera/core";
import { compare, converters, type DataSet, evaluate, rankingMeasures, revisionOf } from "@tessera/eval";
import { flows } from "@tessera/flows";
import { compile } from "@tessera/graph";
import { Bm25Store, tfIdf } from "@tessera/retriever";
import { operators, ResourceHost } from "@tessera/tessera";
import { corpusResources } from "../../corpus.js";
import type { RowCheck, RowFigure } from "./check.js";

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
      const mean = gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
      figures.push(
        { what: `${name}: nDCG@10`, values: gains },
        ...(limit === undefined
          ? [
              {
                what: `${name}: nDCG@10 in thousandths, and the frozen value`,
                values: Math.round(1000 * mean),
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

/** Row 24: four heads beside the whole vector, on questions that need passages on several things. */
const heads: RowCheck = {
  row: 24,
  about: "multi-vector retrieval beside one vector",
  async measure({ folder, limit, signal, progress }) {
    const data = await published(folder, "musique");
    const questions = data.questions.slice(0, limit);
    const multi = flows.get("multi-head-rag")!.flow.document.nodes.retrieve!;
    const found = await over(data, (host) =>
      Promise.all(
        [multi, byVectors].map(async (node) => {
          const document: FlowDocument = {
            ...{ version: 1, name: "retrieval", input: { query: "text" } },
            nodes: { retrieve: { ...node, in: { query: "input.query" } } },
            output: { hits: "retrieve.hits" },
          };
          const flow = await compile(document, { operators, host });
          return evaluate(flow, questions, {
            revision: revisionOf(data),
            signal,
            progress: ({ done }) => progress(done, questions.length),
          });
        }),
      ),
    );
    return ["recall@5", "all-gold@5"].flatMap((metric) => {
      const [many, one] = found.map((results) => results.map(({ measures }) => measures[metric]!));
      return [
        { what: `four heads: ${metric} (the share of the wanted passages: success)`, values: many! },
        { what: `one vector: ${metric}`, values: one! },
        { what: `${metric}, four heads less one vector`, values: many!.map((value, index) => value - one![index]!) },
      ];
    });
  },
};

export const retrieval: readonly RowCheck[] = [swap, inheritance, sparse, heads];
