import { showInterval } from "../../measures/statistics.js";
import type { Output } from "../../reports/output.js";
import type { QuestionResult } from "../../runs/results.js";
import type { TwinFigure } from "./tasks.js";

/** The results of an operator that asks a model, and of the one that stands in its place without. */
export interface TwinResults {
  readonly model: readonly QuestionResult[];
  readonly rule: readonly QuestionResult[];
}

interface TwinNames {
  readonly task: string;
  readonly model: string;
  readonly rule: string;
  /** The model whose recorded answers these are, so that times say nothing. */
  readonly by?: string | undefined;
}

/** The middle of what the questions took, in milliseconds. */
export const medians = ({ model, rule }: TwinResults) => ({ model: median(model), rule: median(rule) });

function median(results: readonly QuestionResult[]): number {
  const times = results.flatMap(({ measures: { milliseconds } }) => milliseconds ?? []).sort((a, b) => a - b);
  return times[times.length >> 1] ?? 0;
}

/** Prints each figure of two operators with its interval, their medians of time, and what failed. */
export function printTwins(
  output: Output,
  { task, model, rule, by }: TwinNames,
  figures: readonly TwinFigure[],
  results: TwinResults,
): void {
  const times = medians(results);
  const took = ["milliseconds, median", times.model.toFixed(1), times.rule.toFixed(1), ""];
  const operators = { model, rule };
  for (const figure of figures) output.line({ task, operators, ...(by !== undefined && { by }), ...figure });
  const who = by === undefined ? "" : ` by ${by}`;
  output.say(`\n${output.style.bold(task)}, ${results.model.length} questions${who}; 95 % intervals by bootstrap\n`);
  output.table(
    ["", model, rule, "difference, paired"],
    [
      ...figures.map(({ measure, model, rule, difference }) => [
        measure,
        showInterval(model),
        showInterval(rule),
        showInterval(difference),
      ]),
      ...(by === undefined ? [took] : []),
    ],
  );
  noteFailures(output, results.model);
}

function noteFailures(output: Output, results: readonly QuestionResult[]): void {
  const errors = results.flatMap(({ error }) => error ?? []);
  if (errors.length === 0) return;
  const kinds = [...new Set(errors.map(({ code, message }) => `${code}: ${message}`))];
  output.say(
    output.style.red(`${errors.length} of ${results.length} questions failed and count as wrong: ${kinds[0]}`),
  );
}
