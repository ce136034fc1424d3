// internal: evaluatePublished
import { join } from "node:path";
import type { FlowDocument } from "@tessera/core";
import { flows } from "@tessera/flows";
import type { Converter } from "../data-sets/converter.js";
import type { DataSet } from "../data-sets/data-set.js";
import { showInterval } from "../measures/statistics.js";
import { type Comparison, compare, type Summary, summarise } from "../reports/figures.js";
import type { Output } from "../reports/output.js";
import { type FlowSettings, printFailures, printLines, runFlows, showMetric } from "./flows.js";

const extractive = { run: "generator.extract", in: { query: "input.query", hits: "retrieve.hits" } } as const;

/** Parts of the flows of the catalogue, alone, as rows to compare with. */
const denseAlone: FlowDocument = {
  version: 1,
  name: "dense",
  input: { query: "text" },
  nodes: {
    retrieve: {
      run: "retriever.dense",
      with: { store: "dense", encoder: "encoder", top: 20 },
      in: { query: "input.query" },
    },
    answer: extractive,
  },
  output: { answer: "answer.answer", hits: "retrieve.hits" },
};

/** A walk over the given triples, from the entities that the question names and what words find. */
const walk: FlowDocument = {
  ...denseAlone,
  name: "walk",
  nodes: {
    words: { run: "retriever.sparse", with: { store: "sparse", top: 20 }, in: { query: "input.query" } },
    retrieve: {
      run: "indexer.graph-walk",
      with: { graph: "graph", top: 20 },
      in: { query: "input.query", hits: "words.hits" },
    },
    answer: extractive,
  },
};

/**
 * An oracle, no flow to use: each step of the gold decomposition, with the gold answers of the steps before it, is
 * searched by words, and the rankings are fused.
 */
const goldSteps: FlowDocument = {
  version: 1,
  name: "gold-steps",
  input: { query: "text", steps: { list: "text" } },
  nodes: {
    words: {
      run: "retriever.sparse",
      with: { store: "sparse", top: 20 },
      in: { query: "input.steps" },
      each: { over: "query", max: 4 },
    },
    retrieve: { run: "fuser.rrf", with: { k: 2, top: 20 }, in: { lists: "words.hits" } },
    answer: extractive,
  },
  output: { answer: "answer.answer", hits: "retrieve.hits" },
};

/** What the figures of a data set are about; every other measure is in `--json` and in the files of results. */
const headline = [
  "recall@5",
  "all-gold@5",
  "MRR",
  "cites gold first",
  "cites gold",
  "refuses",
  "milliseconds",
] as const;

const compared = ["recall@5", "all-gold@5", "MRR"] as const;

/** Where every question has one gold passage, all of them are found as often as one. */
const telling = (metric: string, { questions }: DataSet): boolean =>
  metric !== "all-gold@5" || questions.some(({ gold = [] }) => gold.length > 1);

/** A published data set that the flows without a model are measured on. */
interface PublishedEvaluation extends FlowSettings {
  readonly converter: Converter;
  /** The folder of all published data. */
  readonly folder: string;
  /** The folder that keeps a file of results a flow. */
  readonly out?: string | undefined;
}

/**
 * Measures the flows without a model on a published data set, beside each other and their parts, and prints the figures.
 * @throws TesseraError BAD_SOURCE where the data is not there; else as `runFlows` does.
 */
export async function evaluatePublished(
  output: Output,
  { converter, folder, out, ...settings }: PublishedEvaluation,
): Promise<number> {
  const { name, about } = converter;
  const dataSet = await converter.read(folder);
  const [words, hybrid] = ["linear", "hybrid"].map((flow) => flows.get(flow)!.flow.document);
  const documents = [words!, hybrid!, denseAlone, ...(name === "musique" ? [walk, goldSteps] : [])];
  const results = await runFlows(output, documents, dataSet, {
    ...settings,
    outOf: (flow) => (out === undefined ? undefined : join(out, `${name}-${flow}.jsonl`)),
  });
  const summaries = results.map((list) => summarise(list));
  const [, fused] = results;
  const pairs = results.filter((list) => list !== fused).map((list) => compare(list, fused!));
  if (output.json) printForMachines(output, name, summaries, pairs);
  else {
    const count = `${summaries[0]!.questions} questions over ${dataSet.passages.length} passages`;
    output.say(`${about}\n${count}; 95 % intervals by bootstrap\n`);
    printSummaries(output, dataSet, summaries);
    for (const list of results) printFailures(output, list);
    output.say("\nhybrid against the others, question by question (paired bootstrap)\n");
    printPairs(output, dataSet, pairs);
  }
  return 0;
}

function printForMachines(
  output: Output,
  data: string,
  summaries: readonly Summary[],
  pairs: readonly Comparison[],
): void {
  for (const summary of summaries) printLines(output, data, summary);
  for (const { left, right, differences } of pairs)
    for (const { metric, difference, larger, smaller, equal } of differences) {
      const measured = { metric: `difference of ${metric}`, ...difference, larger, smaller, equal };
      output.line({ data, left, right, ...measured });
    }
}

const printSummaries = (output: Output, dataSet: DataSet, summaries: readonly Summary[]): void =>
  output.table(
    ["", ...summaries.map(({ flow }) => flow)],
    headline
      .filter((metric) => telling(metric, dataSet))
      .map((metric) => [metric, ...summaries.map((summary) => showMetric(summary, metric))]),
  );

const printPairs = (output: Output, dataSet: DataSet, pairs: readonly Comparison[]): void =>
  output.table(
    ["", "metric", "difference", "p", "better", "worse", "same"],
    pairs.flatMap(({ left, differences }) =>
      differences
        .filter(({ metric }) => compared.some((one) => one === metric) && telling(metric, dataSet))
        .map(({ metric, difference, larger, smaller, equal }) => [
          ...[`hybrid − ${left}`, metric, showInterval(difference), difference.p.toFixed(3)],
          ...[larger, smaller, equal],
        ]),
    ),
  );
