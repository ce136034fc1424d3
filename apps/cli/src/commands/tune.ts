import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { type DataSet, tune } from "@tessera/eval";
import { printTuning, readTunedSetting } from "@tessera/eval/internal";
import type { Command } from "commander";
import { readFlow } from "../documents.js";
import { type EncoderOptions, engineOption } from "../engine.js";
import { type LanguageModelOptions, languageModelOptions, openLanguageModel } from "../language-model.js";
import { resourceHints as hints } from "../resource-hints.js";
import { settingsFor } from "../settings.js";
import type { Terminal } from "../terminal.js";
import { type EvaluationCommands, positive, vectorsOpener } from "./evaluation.js";

interface TuneOptions extends EncoderOptions, LanguageModelOptions {
  readonly flow: string;
  readonly data: string;
  readonly set: string[];
  readonly metric: string;
  readonly smaller?: true;
  readonly runs?: number;
  readonly calls?: number;
  readonly seed: number;
  readonly limit?: number;
  readonly concurrency: number;
  readonly out?: string;
  readonly write?: string;
}

/** Adds `tessera tune`. */
export function tuneCommand(
  program: Command,
  { action, signal }: Pick<EvaluationCommands, "action" | "signal">,
  dataSetOf: (nameOrFolder: string) => Promise<DataSet>,
): void {
  languageModelOptions(
    program
      .command("tune")
      .description(
        "search better values for settings of a flow, on one half of a data set, and judge them on the other",
      ),
  )
    .requiredOption("--flow <name or file>", "the flow")
    .requiredOption("--data <name or folder>", "a published data set, or a folder of questions and passages")
    .requiredOption(
      "--set <node.setting=values...>",
      'a setting and its values: "fuse.k=0,20,60", "sparse.top=10..50:5", "a.b=0.01..1:3 log"; may be given again',
    )
    .option("--metric <name>", "the measure that is to become better", "MRR")
    .option("--smaller", "a smaller value is better; so it is for calls, tokens and milliseconds")
    .option("--runs <number>", "the most runs of the flow on a question; by default 40 % of trying all", positive)
    .option("--calls <number>", "the most calls of a model", positive)
    .option("--seed <number>", "divides the questions in halves", positive, 1)
    .option("--limit <number>", "only the first questions", positive)
    .option("--concurrency <number>", "questions under way at a time", positive, 1)
    .option("--out <folder>", "keeps a file of results a candidate, and takes up from there when run again")
    .option("--write <file>", "writes the flow with the best values, if unseen questions confirm them")
    .option("--encoder <name>", "what makes the vectors: hash (the default), a model's name or folder, or hash+<model>")
    .addOption(engineOption())
    .action(
      action(async (terminal, options: TuneOptions) => run(terminal, options, await dataSetOf(options.data), signal)),
    );
}

async function run(terminal: Terminal, options: TuneOptions, dataSet: DataSet, signal: AbortSignal): Promise<number> {
  const { flow, data, set, write, ...search } = options;
  const settings = set.map(readTunedSetting);
  const { flows, operators } = await settingsFor(terminal);
  const document = await readFlow(flow, flows);
  const model = await openLanguageModel(terminal, options);
  try {
    const tuning = await tune(terminal, {
      ...{ document, dataSet, settings, operators, model, hints, signal },
      ...{ metric: search.metric, smaller: search.smaller, runs: search.runs, calls: search.calls, seed: search.seed },
      ...{ limit: search.limit, concurrency: search.concurrency, out: search.out },
      openVectors: vectorsOpener(terminal, options),
    });
    terminal.say(`data: ${basename(data)}`);
    printTuning(terminal, tuning);
    if (write !== undefined && tuning.confirmed) await writeDocument(write, tuning.best!.document);
    return 0;
  } finally {
    await model?.close?.();
  }
}

async function writeDocument(path: string, document: object): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(document, null, 2)}\n`);
  } catch (cause) {
    throw new TesseraError("STORE_FAILED", `the flow cannot be written: ${messageOf(cause)}`, { path, cause });
  }
}
