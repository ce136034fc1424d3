import { TesseraError } from "@tessera/core";
import { mean } from "@tessera/core/internal";
import {
  type BootstrapSettings,
  bootstrap,
  type Interval,
  type PairedInterval,
  pairedBootstrap,
} from "../measures/statistics.js";
import type { QuestionResult } from "../runs/results.js";

/** The mean of a measure over the questions that have it, with its interval. */
export interface Figure extends Interval {
  readonly flow: string;
  readonly metric: string;
}

/** What a flow reached: a figure a measure, in the order of first sight. Failed questions are in no mean but counted. */
export interface Summary {
  readonly flow: string;
  readonly questions: number;
  readonly failed: number;
  readonly figures: readonly Figure[];
}

const metricsOf = (results: readonly QuestionResult[]): string[] => [
  ...new Set(results.flatMap(({ measures }) => Object.keys(measures))),
];

/** The figures of one flow's results. @throws TesseraError BAD_ARGUMENT where there are none, or of several flows. */
export function summarise(results: readonly QuestionResult[], settings?: BootstrapSettings): Summary {
  const flow = flowOf(results, "results");
  const figures = metricsOf(results).map((metric) => ({
    flow,
    metric,
    ...bootstrap(
      results.map(({ measures }) => measures[metric]).filter((value) => value !== undefined),
      settings,
    ),
  }));
  return { flow, questions: results.length, failed: results.filter(({ error }) => error).length, figures };
}

/** A question on which two flows differ. */
interface QuestionDifference {
  readonly id: string;
  readonly question: string;
  readonly left: number;
  readonly right: number;
  /** right − left */
  readonly difference: number;
}

/** A measure of two flows on the questions that both answered. */
export interface Difference {
  readonly metric: string;
  readonly left: number;
  readonly right: number;
  /** right − left, by paired bootstrap. */
  readonly difference: PairedInterval;
  /** On how many questions the right one has the larger value, the smaller, the same. */
  readonly larger: number;
  readonly smaller: number;
  readonly equal: number;
  /** Those on which they differ, the largest difference first. */
  readonly questions: readonly QuestionDifference[];
}

export interface Comparison {
  readonly left: string;
  readonly right: string;
  /** Questions that one side lacks or failed on: they are in no pair. */
  readonly unpaired: number;
  readonly differences: readonly Difference[];
}

/**
 * What changes from one flow (or one version of it) to another, question by question.
 * @throws TesseraError BAD_ARGUMENT where a side holds no results or those of several flows, or no question is common.
 */
export function compare(
  left: readonly QuestionResult[],
  right: readonly QuestionResult[],
  settings?: BootstrapSettings,
): Comparison {
  const names = { left: flowOf(left, "the left results"), right: flowOf(right, "the right results") };
  const others = new Map(right.filter(({ error }) => !error).map((result) => [result.id, result]));
  const pairs = left
    .filter(({ id, error }) => !error && others.has(id))
    .map((result) => [result, others.get(result.id)!] as const);
  if (pairs.length === 0)
    throw new TesseraError("BAD_ARGUMENT", "no question was answered by both", {
      hint: "compare results on the same data set",
    });
  const inBoth = new Set(metricsOf(right));
  const differences = metricsOf(left)
    .filter((metric) => inBoth.has(metric))
    .flatMap((metric) => {
      const both = pairs.filter(([a, b]) => a.measures[metric] !== undefined && b.measures[metric] !== undefined);
      return both.length > 0 ? [differenceOf(metric, both, settings)] : [];
    });
  const all = new Set([...left, ...right].map(({ id }) => id));
  return { ...names, unpaired: all.size - pairs.length, differences };
}

function differenceOf(
  metric: string,
  pairs: readonly (readonly [QuestionResult, QuestionResult])[],
  settings: BootstrapSettings | undefined,
): Difference {
  const questions = pairs.map(([{ id, question, measures }, { measures: others }]) => {
    const [left, right] = [measures[metric]!, others[metric]!];
    return { id, question, left, right, difference: right - left };
  });
  const [left, right] = [questions.map((one) => one.left), questions.map((one) => one.right)];
  const unequal = questions.filter(({ difference }) => difference !== 0);
  return {
    metric,
    left: mean(left),
    right: mean(right),
    difference: pairedBootstrap(right, left, settings),
    larger: unequal.filter(({ difference }) => difference > 0).length,
    smaller: unequal.filter(({ difference }) => difference < 0).length,
    equal: questions.length - unequal.length,
    questions: unequal.sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference)),
  };
}

function flowOf(results: readonly QuestionResult[], what: string): string {
  const [first] = results;
  if (!first) throw new TesseraError("BAD_ARGUMENT", `${what}: there are none`);
  const versions = new Set(results.map(({ hash, revision }) => `${hash} ${revision}`));
  if (versions.size > 1)
    throw new TesseraError("BAD_ARGUMENT", `${what} are of ${versions.size} flows, data sets or versions of them`, {
      hint: "keep the results of each in a file of its own",
    });
  return first.flow;
}
