import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { didYouMean, type FlowDocument, type LanguageModel, sha256, TesseraError } from "@tessera/core";
import {
  type DataSet,
  evaluate,
  type Question,
  type QuestionResult,
  readDataSet,
  revisionOf,
  showInterval,
} from "@tessera/eval";
import { compile } from "@tessera/graph";
import { defaultGenerator } from "@tessera/models";
import { operators, ResourceHost } from "@tessera/tessera";
import { colors } from "../colors.js";
import { corpusResources } from "../corpus.js";
import { decide, questionsOf, type Task, type TwinFigure, tasks, twinFigures } from "../generator-figures.js";
import { type LanguageModelOptions, openLanguageModel } from "../language-model.js";
import type { Terminal } from "../terminal.js";

/** Questions about code of repositories that no training saw; its README says whose they are. */
const heldOut = fileURLToPath(new URL("../../data/generator", import.meta.url));

export interface GeneratorEvaluation extends LanguageModelOptions {
  /** A data set as apps/train/questions.py writes it; by default the one that comes with the repository. */
  readonly data?: string;
  /** The operators that are measured, by task, separated by commas; all by default. */
  readonly tasks?: string;
  /** Keeps a file of results a flow. */
  readonly out?: string;
  /** The first so many questions of each task. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/** Each operator that a model runs beside its twin without one, and which of the two is to be the default. */
export async function evaluateGenerator(terminal: Terminal, options: GeneratorEvaluation): Promise<number> {
  const wanted = tasksOf(options.tasks);
  const dataSet = await readDataSet(options.data ?? heldOut);
  const own = options.cassette === undefined ? defaultGenerator : undefined;
  const model = (await openLanguageModel(terminal, { ...options, model: options.model ?? own }))!;
  try {
    return await measureGenerator(terminal, model, dataSet, wanted, options);
  } finally {
    await model.close?.();
  }
}

function tasksOf(names: string | undefined): readonly Task[] {
  return (
    names?.split(",").map((name) => {
      const task = tasks.find((one) => one.name === name.trim());
      if (task) return task;
      const known = tasks.map((one) => one.name);
      throw new TesseraError("BAD_ARGUMENT", `there is no task "${name}"`, {
        hint: didYouMean(name, known) ?? `tasks are ${known.join(", ")}`,
      });
    }) ?? tasks
  );
}

/** As `evaluateGenerator`, with a model and a data set that are open. Exit code 1 where every question of a task failed. */
export async function measureGenerator(
  terminal: Terminal,
  model: LanguageModel,
  dataSet: DataSet,
  wanted: readonly Task[],
  { out, limit, signal }: Pick<GeneratorEvaluation, "out" | "limit" | "signal">,
): Promise<number> {
  const host = new ResourceHost({
    ...corpusResources(dataSet.passages, { signal }),
    model: { model: { ...model, close: async () => {} } },
  });
  const data = revisionOf(dataSet);
  const known = new Map<string, QuestionResult[]>();
  const run = async (document: FlowDocument, questions: readonly Question[], revision: string) => {
    const key = JSON.stringify([document.name, questions.map(({ id }) => id)]);
    const before = known.get(key);
    if (before) return before;
    const flow = await compile(document, { operators, host });
    const results = await evaluate(flow, questions, {
      revision: sha256(revision),
      out: out === undefined ? undefined : join(out, `${document.name}.jsonl`),
      signal,
      progress: ({ done }) => terminal.progress(document.name, done, questions.length),
    });
    terminal.clear();
    known.set(key, results);
    return results;
  };
  let failed = false;
  try {
    for (const task of wanted) {
      const questions = questionsOf(dataSet, task).slice(0, limit);
      if (questions.length === 0)
        throw new TesseraError("BAD_SOURCE", `the data set asks nothing of the task "${task.name}"`, {
          hint: "apps/train/questions.py writes one that does",
        });
      const byModel = await run(task.flows.model, questions, `${data} ${model.revision}`);
      const byRule = await run(task.flows.rule, questions, data);
      print(terminal, task, twinFigures(task, questions, byModel, byRule), { byModel, byRule });
      failed ||= byModel.every(({ error }) => error !== undefined);
    }
  } finally {
    await host.close();
  }
  return failed ? 1 : 0;
}

function print(
  terminal: Terminal,
  task: Task,
  figures: readonly TwinFigure[],
  { byModel, byRule }: Record<"byModel" | "byRule", readonly QuestionResult[]>,
): void {
  const { chosen, because } = decide(task, figures);
  const names = { model: task.model, rule: task.rule };
  const milliseconds = { model: median(byModel), rule: median(byRule) };
  for (const figure of figures) terminal.line({ task: task.name, operators: names, ...figure });
  terminal.line({
    task: task.name,
    default: names[chosen],
    because: because.map(({ measure }) => measure),
    questions: byModel.length,
    failed: byModel.filter(({ error }) => error).length,
    milliseconds,
  });
  terminal.say(`\n${colors.bold(task.name)}, ${byModel.length} questions; 95 % intervals by bootstrap\n`);
  terminal.table(
    ["", task.model, task.rule, "difference, paired"],
    [
      ...figures.map(({ measure, model, rule, difference }) => [
        measure,
        showInterval(model),
        showInterval(rule),
        showInterval(difference),
      ]),
      ["milliseconds, median", milliseconds.model.toFixed(1), milliseconds.rule.toFixed(1), ""],
    ],
  );
  noteFailures(terminal, byModel);
  const reasons = because.map(({ measure, difference }) => `${measure} ${showInterval(difference)}`);
  const why = chosen === "model" ? "better with an interval above 0" : "not better with an interval above 0";
  terminal.say(`${colors.bold(`default: ${names[chosen]}`)} because ${names.model} is ${why} in ${reasons.join("; ")}`);
}

function median(results: readonly QuestionResult[]): number {
  const times = results.flatMap(({ measures: { milliseconds } }) => milliseconds ?? []).sort((a, b) => a - b);
  return times[times.length >> 1] ?? 0;
}

function noteFailures(terminal: Terminal, results: readonly QuestionResult[]): void {
  const errors = results.flatMap(({ error }) => error ?? []);
  if (errors.length === 0) return;
  const kinds = [...new Set(errors.map(({ code, message }) => `${code}: ${message}`))];
  terminal.say(colors.red(`${errors.length} of ${results.length} questions failed and count as wrong: ${kinds[0]}`));
}
