// internal: ComparisonOptions, compareFiles
import { TesseraError } from "@tessera/core";
import { didYouMean } from "@tessera/core/internal";
import { showInterval } from "../measures/statistics.js";
import { readResults } from "../runs/results.js";
import { type Comparison, compare, type Difference } from "./figures.js";
import type { Output } from "./output.js";

/** Which questions of a comparison are printed. */
export interface ComparisonOptions {
  /** The measure whose questions are listed; by default the first of MRR and F1 that was measured. */
  readonly metric?: string;
  /** How many questions are listed. */
  readonly top: number;
}

/**
 * Prints what changes from one file of results to another: by measure, and by question.
 * @throws TesseraError BAD_SOURCE where a file cannot be read, BAD_ARGUMENT where `metric` was not measured in both.
 */
export async function compareFiles(
  output: Output,
  files: { readonly left: string; readonly right: string },
  { metric, top }: ComparisonOptions,
): Promise<number> {
  const comparison = compare(await readResults(files.left), await readResults(files.right));
  const { differences, unpaired } = comparison;
  if (output.json) {
    for (const { questions, ...difference } of differences) {
      output.line(difference);
      if (metric === undefined || metric === difference.metric)
        for (const question of questions) output.line({ metric: difference.metric, ...question });
    }
    return 0;
  }
  const names = `${comparison.left} (${files.left}) → ${comparison.right} (${files.right})`;
  output.say(`${names}; 95 % intervals by paired bootstrap\n`);
  printDifferences(output, comparison);
  if (unpaired > 0)
    output.say(output.style.yellow(`${unpaired} questions lack a result on one side and are in no pair.`));
  const chosen = differenceOf(differences, metric);
  if (!chosen) return 0;
  output.say(`\n${chosen.metric}: ${chosen.questions.length} questions differ\n`);
  output.table(
    ["question", "left", "right", ""],
    chosen.questions
      .slice(0, top)
      .map(({ id, question, left, right }) => [id, left.toFixed(3), right.toFixed(3), question.slice(0, 90)]),
  );
  return 0;
}

const printDifferences = (output: Output, { differences }: Comparison): void =>
  output.table(
    ["metric", "left", "right", "difference", "p", "larger", "smaller", "same"],
    differences.map(({ metric, left, right, difference, larger, smaller, equal }) => [
      ...[metric, left.toFixed(3), right.toFixed(3), showInterval(difference), difference.p.toFixed(3)],
      ...[larger, smaller, equal],
    ]),
  );

/** The measure whose questions are listed: the named one, or the first of which flows are compared by. */
function differenceOf(differences: readonly Difference[], metric: string | undefined): Difference | undefined {
  const find = (name: string) => differences.find((one) => one.metric === name);
  if (metric === undefined) return find("MRR") ?? find("F1") ?? differences[0];
  const found = find(metric);
  if (found) return found;
  throw new TesseraError("BAD_ARGUMENT", `"${metric}" was not measured in both files`, {
    hint: didYouMean(
      metric,
      differences.map((one) => one.metric),
    ),
  });
}
