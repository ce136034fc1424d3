// internal: measureRows
import { type LanguageModel, TesseraError } from "@tessera/core";
import { bootstrap, type Interval, showInterval } from "../../measures/statistics.js";
import type { Output, Style } from "../../reports/output.js";

/** What one figure of a row is, beside what it must reach. */
export interface RowFigure {
  readonly what: string;
  /** One value a question, of which the mean is the figure; or a number that was not sampled. */
  readonly values: readonly number[] | number;
  /** The least it must be. */
  readonly least?: number;
  /** The most it may be. */
  readonly most?: number;
  /** What it must be, exactly. */
  readonly exactly?: number;
}

/** What a check may use. */
export interface CheckContext {
  /** The folder of all published data. */
  readonly folder: string;
  /** The first so many questions; all, or as many as the row says, by default. */
  readonly limit: number | undefined;
  readonly signal: AbortSignal;
  progress(done: number, total: number): void;
  /** The language model. @throws TesseraError MISSING_CAPABILITY where none was named: the row is then not measured. */
  model(): LanguageModel;
}

/** The part of a row of Modular RAG's table that needs published data, or a database made here. */
export interface RowCheck {
  readonly row: number;
  readonly about: string;
  measure(context: CheckContext): Promise<RowFigure[]>;
}

type Outcome = RowFigure & { readonly row: number; readonly interval: Interval; readonly reached: boolean | undefined };

function outcomeOf(row: number, figure: RowFigure): Outcome {
  const { values, least, most, exactly } = figure;
  const interval =
    typeof values === "number" ? { mean: values, low: values, high: values, count: 1 } : bootstrap(values);
  const bars = [
    ...(least === undefined ? [] : [interval.mean >= least]),
    ...(most === undefined ? [] : [interval.mean <= most]),
    ...(exactly === undefined ? [] : [interval.mean === exactly]),
  ];
  return { ...figure, row, interval, reached: bars.length === 0 ? undefined : bars.every(Boolean) };
}

const number = (value: number): string => (Number.isInteger(value) ? `${value}` : value.toFixed(3));

const barOf = ({ least, most, exactly }: RowFigure): string =>
  Object.entries({ "≥": least, "≤": most, "=": exactly })
    .flatMap(([sign, bar]) => (bar === undefined ? [] : `${sign} ${number(bar)}`))
    .join(", ");

const verdictOf = (reached: boolean | undefined, { green, red }: Style): string =>
  reached === undefined ? "" : reached ? green("reached") : red("missed");

/**
 * Measures the rows one after the other and prints each figure beside its bar. Missing data is said aloud and is a
 * failure; a row that needs a language model and has none is named as not measured.
 * @returns the exit code: 1 where data is missing or a bar is missed.
 */
export async function measureRows(
  output: Output,
  checks: readonly RowCheck[],
  { model, ...context }: Omit<CheckContext, "model" | "progress"> & { model: LanguageModel | undefined },
): Promise<number> {
  const demandModel = (): LanguageModel => {
    if (model) return model;
    throw new TesseraError("MISSING_CAPABILITY", "it needs a language model", {
      hint: "--endpoint and --model name a service, --cassette recorded answers",
    });
  };
  const [outcomes, unmeasured]: [Outcome[], string[]] = [[], []];
  let failed = false;
  for (const { row, about, measure } of checks) {
    const progress = (done: number, total: number): void => output.progress(`row ${row}`, done, total);
    try {
      for (const figure of await measure({ ...context, progress, model: demandModel })) {
        const outcome = outcomeOf(row, figure);
        outcomes.push(outcome);
        if (outcome.reached === false) failed = true;
        const { values: _, interval, ...rest } = outcome;
        output.line({ ...rest, ...interval });
      }
    } catch (error) {
      if (!TesseraError.is(error) || !["BAD_SOURCE", "MISSING_CAPABILITY"].includes(error.code)) throw error;
      if (error.code === "BAD_SOURCE") failed = true;
      unmeasured.push(`row ${row} (${about}) is NOT MEASURED: ${error.message}${error.path ? ` (${error.path})` : ""}`);
      if (error.hint) unmeasured.push(`  ${error.hint}`);
    } finally {
      output.clear();
    }
  }
  const figureOf = ({ values, interval }: Outcome) =>
    typeof values === "number" ? number(values) : showInterval(interval);
  if (outcomes.length > 0)
    output.table(
      ["row", "of", "figure", "bar", ""],
      outcomes.map((outcome) => [
        outcome.row,
        `${outcome.what}${typeof outcome.values === "number" ? "" : ` (${outcome.values.length})`}`,
        figureOf(outcome),
        barOf(outcome),
        verdictOf(outcome.reached, output.style),
      ]),
    );
  for (const line of unmeasured) output.alert(output.style.red(line));
  return failed ? 1 : 0;
}
