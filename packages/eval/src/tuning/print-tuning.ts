// internal: printTuning
import type { Json } from "@tessera/core";
import { showInterval, showNumber } from "../measures/statistics.js";
import type { Output } from "../reports/output.js";
import type { Trial, Tuning } from "./tune.js";
import type { SettingChange } from "./tuned-settings.js";

const shown = (value: Json | undefined): string => (value === undefined ? "(by default)" : JSON.stringify(value));
const changesOf = (changes: readonly SettingChange[]): string =>
  changes.map(({ at, to }) => `${at} = ${shown(to)}`).join(", ") || "(as it was)";

/** Prints a search: what was tried, the best as a difference of the document, and what the unseen questions say of it. */
export function printTuning(output: Output, tuning: Tuning, top = 20): void {
  const { plan, ...line } = tuning;
  output.line({ ...line, rungs: plan.rungs });
  const { flow, metric, before, trials, questions, grid, spent } = tuning;
  const better = tuning.smaller ? "smaller is better" : "larger is better";
  output.say(`${flow}: ${metric}, ${better}; ${questions.choosing} questions choose, ${questions.unseen} judge\n`);
  const row = ({ changes, questions: asked, mean, failure }: Trial) => [
    ...[changesOf(changes), asked, failure === undefined ? showNumber(mean) : `failed: ${failure}`],
  ];
  output.table(
    ["tried", "questions", metric],
    [["(as it was)", questions.choosing, showNumber(before)], ...trials.slice(0, top).map(row)],
  );
  if (trials.length > top) output.say(`… and ${trials.length - top} more, all in --json`);
  output.say();
  printVerdict(output, tuning);
  const share = Math.round((100 * spent.runs) / Math.max(1, grid.runs));
  output.say(
    `\n${spent.runs} runs of the flow, ${spent.calls} model calls, ${spent.tokens} tokens; asking all ${grid.combinations} combinations every question for choosing takes ${grid.runs} runs (${share} %).`,
  );
}

function printVerdict(output: Output, { best, confirmed, metric }: Tuning): void {
  if (!best)
    return output.say(output.style.bold("No winner: nothing that was tried is better than the flow as it was."));
  const unseen = `${metric} ${signed(best.unseen.mean)}: ${showInterval(best.unseen)}, p ${best.unseen.p.toFixed(3)}`;
  if (confirmed) output.say(output.style.green(`Winner, on questions that the search never saw: ${unseen}`));
  else
    output.say(
      output.style.yellow(
        `No winner: on questions that the search never saw, the interval of the difference holds 0 or worse (${unseen})${best.failed > 0 ? `, and it failed on ${best.failed}` : ""}.`,
      ),
    );
  for (const { at, from, to } of best.changes) output.say(`  ${at}: ${shown(from)} → ${shown(to)}`);
}

const signed = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
