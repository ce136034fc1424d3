import type { Interval } from "@tessera/eval";
import { bootstrap, pairedBootstrap } from "@tessera/eval";
import type { Terminal } from "../../terminal.js";

/** A mean with its 95 % interval, as the tables show it. */
export const show = ({ mean, low, high }: Interval): string =>
  `${mean.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;

/** What each system reached on each question, by measure. */
export type Outcomes = Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;

/**
 * Prints a table of means with intervals, and the paired differences of one system from the others; with `--json` a line
 * for each figure. Every system has a value for every question.
 */
export function printOutcomes(terminal: Terminal, data: string, outcomes: Outcomes, against: string): void {
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
  if (terminal.json) {
    const line = (value: object) => void process.stdout.write(`${JSON.stringify(value)}\n`);
    for (const system of systems)
      for (const measure of measures) line({ data, system, measure, ...bootstrap(outcomes[system]![measure]!) });
    for (const { measure, ...difference } of differences)
      line({ data, measure: `difference of ${measure}`, ...difference });
    return;
  }
  terminal.table(
    ["", ...systems],
    measures.map((measure) => [measure, ...systems.map((system) => show(bootstrap(outcomes[system]![measure]!)))]),
  );
  terminal.say();
  terminal.table(
    ["", "measure", "difference (paired bootstrap)"],
    differences.map((one) => [`${one.right} − ${one.left}`, one.measure, show(one)]),
  );
}
