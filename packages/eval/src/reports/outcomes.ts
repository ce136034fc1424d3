import { mean } from "@tessera/core/internal";
import { bootstrap, pairedBootstrap, showInterval } from "../measures/statistics.js";
import type { Output } from "./output.js";

/** What each system reached on each question, by measure. */
export type Outcomes = Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;

/**
 * Prints a table of means with intervals, and the paired differences of one system from the others; with `--json` a line
 * for each figure. Every system has a value for every question.
 */
export function printOutcomes(output: Output, data: string, outcomes: Outcomes, against: string): void {
  const systems = Object.keys(outcomes);
  const measures = Object.keys(outcomes[systems[0]!]!);
  const differences = systems
    .filter((system) => system !== against)
    .flatMap((system) =>
      measures.map((measure) => ({
        ...{ left: system, right: against, measure },
        ...pairedBootstrap(outcomes[against]![measure]!, outcomes[system]![measure]!),
      })),
    );
  if (output.json) {
    for (const system of systems)
      for (const measure of measures) output.line({ data, system, measure, ...bootstrap(outcomes[system]![measure]!) });
    for (const { measure, ...difference } of differences)
      output.line({ data, measure: `difference of ${measure}`, ...difference });
    return;
  }
  output.table(
    ["", ...systems],
    measures.map((measure) => [
      measure,
      ...systems.map((system) => showInterval(bootstrap(outcomes[system]![measure]!))),
    ]),
  );
  output.say();
  output.table(
    ["", "measure", "difference (paired bootstrap)"],
    differences.map((one) => [`${one.right} − ${one.left}`, one.measure, showInterval(one)]),
  );
}

/**
 * Chooses of each group the system with the best mean on every second question, and gives what all reached on the others:
 * what is chosen is never judged on the questions that it was chosen on.
 */
export function chosenOn(
  outcomes: Outcomes,
  worth: (measures: Readonly<Record<string, readonly number[]>>) => readonly number[],
  groups: readonly (readonly string[])[],
): { chosen: string[]; development: Outcomes; judged: Outcomes } {
  const half = (parity: 0 | 1): Outcomes =>
    Object.fromEntries(
      Object.entries(outcomes).map(([system, measures]) => [
        system,
        Object.fromEntries(
          Object.entries(measures).map(([measure, values]) => [
            measure,
            values.filter((_, index) => index % 2 === parity),
          ]),
        ),
      ]),
    );
  const [development, judged] = [half(0), half(1)];
  const value = (system: string): number => mean(worth(development[system]!));
  const chosen = groups.map((group) => group.reduce((best, next) => (value(next) > value(best) ? next : best)));
  return { chosen, development, judged };
}
