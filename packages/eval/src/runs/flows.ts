// public: FlowSettings, FlowEvaluation, evaluateFlow
import { type AnyOperator, type Cache, type FlowDocument, type LanguageModel, TesseraError } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { type CompiledFlow, compile } from "@tessera/graph";
import { HashEncoder } from "@tessera/models";
import type { Vectors } from "@tessera/models/internal";
import { catalogue, operators as catalogueOperators } from "@tessera/tessera";
import { ResourceHost } from "@tessera/tessera/internal";
import { type DataSet, type Question, revisionOf } from "../data-sets/data-set.js";
import { showInterval } from "../measures/statistics.js";
import { type Summary, summarise } from "../reports/figures.js";
import type { Output } from "../reports/output.js";
import { corpusResources } from "./corpus.js";
import { type EvaluationOptions, evaluate } from "./evaluate.js";
import type { QuestionResult } from "./results.js";

/** How flows are run over a data set. */
export interface FlowSettings {
  /** The first so many questions; all by default. */
  readonly limit?: number | undefined;
  /** How many questions are under way at a time; 1 by default. */
  readonly concurrency?: number | undefined;
  /** Opens what makes the vectors; it is closed after the run. Without it, hash features make them. */
  readonly openVectors?: (() => Promise<Vectors>) | undefined;
  /** How a user gets a resource that a flow names and that there is none of, by the kind of resource. */
  readonly hints?: Readonly<Record<string, string>>;
  /** The operators that flows may name; by default those of the catalogue. */
  readonly operators?: readonly AnyOperator[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How flows are run, and by which model. */
interface MeasuringSettings extends Omit<FlowSettings, "limit"> {
  /** The model "model"; it is not closed. */
  readonly model?: LanguageModel | undefined;
}

interface FlowRuns extends MeasuringSettings, Pick<FlowSettings, "limit"> {
  /** The file that keeps the results of a flow, by its name; without one they are kept in memory. */
  readonly outOf: (flow: string) => string | undefined;
}

/** Whether an operator searches: those of the retrieval module do, but for those that tune a retriever. */
function retrieves(name: string): boolean {
  const about = catalogue.get(name)?.operator.about;
  return about?.module === "retrieval" && about.submodule !== "retriever fine-tuning";
}

/** What flows are measured with: one data set and its resources. */
export interface Measuring {
  /** Makes a flow ready. @throws TesseraError INVALID_FLOW */
  compile(document: FlowDocument, cache?: Cache): Promise<CompiledFlow>;
  /** The results of some questions in their order, as `evaluate` gives them. */
  measure(
    flow: CompiledFlow,
    questions: readonly Question[],
    options?: Pick<EvaluationOptions, "out" | "progress">,
  ): Promise<QuestionResult[]>;
}

/** Opens the resources of a data set for some work, and closes them behind it. @throws TesseraError as `openVectors` does */
export async function withMeasuring<T>(
  output: Output,
  { passages, questions }: DataSet,
  { model, openVectors, hints = {}, concurrency, signal, operators = catalogueOperators }: MeasuringSettings,
  work: (measuring: Measuring) => Promise<T>,
): Promise<T> {
  const ids = new Set(passages.map(({ id }) => id));
  const vectors = await openVectors?.();
  // the stores follow from the data set and from how these encode it
  const space = vectors ? vectors.encoderOver(undefined, "text").space({}) : new HashEncoder().space();
  const revision = sha256([revisionOf({ passages, questions }), space, model?.revision ?? ""].join(" "));
  const progress = (done: number): void => output.progress("embed", done, passages.length);
  // the model is lent: other data sets may be asked of it
  const lent = model && { model: { model: { ...model, close: async () => {} } } };
  const host = new ResourceHost({ ...corpusResources(passages, { vectors, signal, progress }), ...lent }, hints);
  try {
    return await work({
      compile: (document, cache) => compile(document, { operators, host, cache }),
      measure: (flow, asked, options) =>
        evaluate(flow, asked, {
          ...{ revision, concurrency, signal, retrieves, corpusHas: (id: string) => ids.has(id) },
          ...options,
        }),
    });
  } finally {
    await host.close();
    await vectors?.close();
  }
}

/** The first questions of a data set. @throws TesseraError BAD_SOURCE where there is none */
export function questionsOf({ questions }: DataSet, limit: number | undefined): readonly Question[] {
  const asked = questions.slice(0, limit);
  if (asked.length > 0) return asked;
  throw new TesseraError("BAD_SOURCE", "the data set has no question", {
    path: "questions.jsonl",
    hint: 'a line is {"id": "1", "question": "…"}, with answers and gold where there are any',
  });
}

/**
 * Runs flows over one data set, one after the other, on the same resources.
 * @returns a list of results for each flow, in the order of the questions.
 * @throws TesseraError BAD_SOURCE where there is no question, INVALID_FLOW; else as `openVectors` does.
 */
export async function runFlows(
  output: Output,
  documents: readonly FlowDocument[],
  dataSet: DataSet,
  { outOf, limit, ...settings }: FlowRuns,
): Promise<QuestionResult[][]> {
  const asked = questionsOf(dataSet, limit);
  return withMeasuring(output, dataSet, settings, async ({ compile, measure }) => {
    const all: QuestionResult[][] = [];
    for (const document of documents) {
      const progress = ({ done }: { done: number }) => output.progress(document.name, done, asked.length);
      all.push(await measure(await compile(document), asked, { out: outOf(document.name), progress }));
      output.clear();
    }
    return all;
  });
}

/** Prints how many questions failed, and of what. */
export function printFailures(output: Output, results: readonly QuestionResult[]): void {
  const reasons = new Map<string, number>();
  for (const { error } of results)
    if (error) {
      const reason = `${error.code}${error.path ? ` at ${error.path}` : ""}: ${error.message}`;
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
  if (reasons.size === 0) return;
  const failed = [...reasons.values()].reduce((sum, count) => sum + count, 0);
  output.say(output.style.red(`${failed} of ${results.length} questions failed and are in no mean:`));
  for (const [reason, count] of reasons) output.say(`  ${count} × ${reason}`);
  for (const [reason, count] of reasons) output.line({ failed: count, questions: results.length, reason });
}

/** Prints the figures of a flow for machines. */
export function printLines(output: Output, data: string, { questions, failed, figures }: Summary): void {
  for (const figure of figures) output.line({ data, ...figure, questions, failed });
}

/** The mean of a measure with its interval, or a dash where the flow has none. */
export function showMetric({ figures }: Summary, metric: string): string {
  const figure = figures.find((one) => one.metric === metric);
  return figure ? showInterval(figure) : "–";
}

/** One flow, and the data set that it is measured on. */
export interface FlowEvaluation extends FlowSettings {
  readonly document: FlowDocument;
  /** The name of the data set, as it is printed. */
  readonly data: string;
  readonly dataSet: DataSet;
  readonly model?: LanguageModel | undefined;
  /** The file that keeps the results. */
  readonly out?: string | undefined;
}

/**
 * Measures one flow on one data set and prints its figures.
 * @returns the exit code: 1 where every question failed.
 * @throws TesseraError as `runFlows` does.
 */
export async function evaluateFlow(
  output: Output,
  { document, data, dataSet, out, ...settings }: FlowEvaluation,
): Promise<number> {
  const [results] = await runFlows(output, [document], dataSet, { ...settings, outOf: () => out });
  const summary = summarise(results!);
  if (output.json) printLines(output, data, summary);
  else {
    output.say(`${summary.flow} on ${data}, ${summary.questions} questions; 95 % intervals by bootstrap`);
    output.table(
      ["metric", "mean", "questions"],
      summary.figures.map((figure) => [figure.metric, showInterval(figure), figure.count]),
    );
  }
  printFailures(output, results!);
  return summary.failed === summary.questions ? 1 : 0;
}
