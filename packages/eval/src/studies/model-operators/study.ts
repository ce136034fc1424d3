// internal: ModelOperatorStudy, evaluateLanguageModel
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type FlowDocument, type LanguageModel, TesseraError } from "@tessera/core";
import { didYouMean, sha256 } from "@tessera/core/internal";
import { compile } from "@tessera/graph";
import { operators } from "@tessera/tessera";
import { ResourceHost } from "@tessera/tessera/internal";
import { type DataSet, type Question, readDataSet, revisionOf } from "../../data-sets/data-set.js";
import { showInterval } from "../../measures/statistics.js";
import type { Output } from "../../reports/output.js";
import { corpusResources } from "../../runs/corpus.js";
import { evaluate } from "../../runs/evaluate.js";
import type { QuestionResult } from "../../runs/results.js";
import { decide, questionsOf, type Task, type TwinFigure, tasks, twinFigures } from "./tasks.js";
import { medians, printTwins, type TwinResults } from "./twins.js";

/** Questions about code of repositories that no training saw; its README says whose they are. */
const heldOut = fileURLToPath(new URL("../../../data/language-model", import.meta.url));

export interface ModelOperatorStudy {
  /** Opens the language model; the evaluation closes it. */
  readonly openModel: () => Promise<LanguageModel>;
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
export async function evaluateLanguageModel(output: Output, options: ModelOperatorStudy): Promise<number> {
  const wanted = tasksOf(options.tasks);
  const dataSet = await readDataSet(options.data ?? heldOut);
  const model = await options.openModel();
  try {
    return await measureLanguageModel(output, model, dataSet, wanted, options);
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

/** As `evaluateLanguageModel`, with a model and a data set that are open. Exit code 1 where every question of a task failed. */
export async function measureLanguageModel(
  output: Output,
  model: LanguageModel,
  dataSet: DataSet,
  wanted: readonly Task[],
  { out, limit, signal }: Pick<ModelOperatorStudy, "out" | "limit" | "signal">,
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
      progress: ({ done }) => output.progress(document.name, done, questions.length),
    });
    output.clear();
    known.set(key, results);
    return results;
  };
  let failed = false;
  try {
    for (const task of wanted) {
      if (task.needs && !model.capabilities.has(task.needs)) {
        output.say(`\n${output.style.bold(task.name)}: left out, since the model lacks "${task.needs}"`);
        continue;
      }
      const questions = questionsOf(dataSet, task).slice(0, limit);
      if (questions.length === 0)
        throw new TesseraError("BAD_SOURCE", `the data set asks nothing of the task "${task.name}"`, {
          hint: "apps/train/questions.py writes one that does",
        });
      const byModel = await run(task.flows.model, questions, `${data} ${model.revision}`);
      const byRule = await run(task.flows.rule, questions, data);
      print(output, task, twinFigures(task, questions, byModel, byRule), { model: byModel, rule: byRule });
      failed ||= byModel.every(({ error }) => error !== undefined);
    }
  } finally {
    await host.close();
  }
  return failed ? 1 : 0;
}

function print(output: Output, task: Task, figures: readonly TwinFigure[], results: TwinResults): void {
  const { chosen, because } = decide(task, figures);
  const names = { model: task.model, rule: task.rule };
  printTwins(output, { task: task.name, ...names }, figures, results);
  output.line({
    task: task.name,
    default: names[chosen],
    because: because.map(({ measure }) => measure),
    questions: results.model.length,
    failed: results.model.filter(({ error }) => error).length,
    milliseconds: medians(results),
  });
  const reasons = because.map(({ measure, difference }) => `${measure} ${showInterval(difference)}`);
  const why = chosen === "model" ? "better with an interval above 0" : "not better with an interval above 0";
  output.say(
    `${output.style.bold(`default: ${names[chosen]}`)} because ${names.model} is ${why} in ${reasons.join("; ")}`,
  );
}
