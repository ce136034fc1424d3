import { basename, join } from "node:path";
import type { DataSet } from "@tessera/eval";
import {
  type AnswersStudy,
  evaluateAnswers,
  evaluateEncoder,
  evaluateGrid,
  evaluateLanguageModel,
  type GridModel,
  type ModelOperatorStudy,
  tasks,
} from "@tessera/eval/internal";
import { defaultLanguageModel } from "@tessera/models";
import { readFlow } from "../documents.js";
import { type EncoderOptions, engineOption } from "../engine.js";
import { type LanguageModelOptions, languageModelOptions, openLanguageModel } from "../language-model.js";
import { resourceHints as hints } from "../resource-hints.js";
import { settingsFor } from "../settings.js";
import type { Terminal } from "../terminal.js";
import { type EvaluationCommands, positive, vectorsOpener } from "./evaluation.js";

interface EncoderStudyOptions {
  readonly encoder?: string;
  readonly pairs?: string;
  readonly development?: string;
  readonly plot?: string;
  readonly limit: number;
}

const mined = (name: string): string => join(process.env.TESSERA_MINE ?? "", "pairs", name);

export function encoderCommand({ command, action, signal }: EvaluationCommands): void {
  command
    .command("encoder")
    .description("measure an encoder on functions of repositories that no training saw")
    .option("--encoder <name>", "the encoder; by default the one that ships")
    .option("--pairs <file>", "mined pairs; by default $TESSERA_MINE/pairs/held-out.jsonl")
    .option("--development <file>", "pairs of other repositories, on which the weight of the fusion is chosen")
    .option("--plot <file>", "draws quality against cost (SVG)")
    .option("--limit <number>", "so many pairs", positive, 5000)
    .action(
      action((terminal, options: EncoderStudyOptions) => {
        const { pairs = mined("held-out.jsonl"), development = mined("development.jsonl") } = options;
        return evaluateEncoder(terminal, { ...options, pairs, development, signal });
      }),
    );
}

type LanguageModelStudyOptions = LanguageModelOptions & Pick<ModelOperatorStudy, "data" | "tasks" | "out" | "limit">;

export function languageModelCommand({ command, action, signal }: EvaluationCommands): void {
  languageModelOptions(
    command
      .command("language-model")
      .alias("generator")
      .description(
        "each operator that our language model runs beside its twin without a model, on code that no training saw",
      ),
  )
    .option("--data <folder>", "the data set; by default the one that comes with the repository")
    .option("--tasks <names>", `only these, separated by commas: ${tasks.map(({ name }) => name).join(", ")}`)
    .option("--out <folder>", "keeps a file of results a flow, and takes up from there when run again")
    .option("--limit <number>", "only the first questions of each task", positive)
    .addOption(engineOption())
    .action(
      action((terminal, options: LanguageModelStudyOptions) => {
        const own = options.cassette === undefined ? defaultLanguageModel : undefined;
        const openModel = async () => (await openLanguageModel(terminal, { ...options, model: options.model ?? own }))!;
        return evaluateLanguageModel(terminal, { ...options, openModel, signal });
      }),
    );
}

interface AnswersOptions extends LanguageModelOptions, Pick<AnswersStudy, "recording" | "sets" | "limit"> {}

export function answersCommand({ command, action, signal }: EvaluationCommands, folder: () => string): void {
  languageModelOptions(
    command
      .command("answers")
      .description(
        "answers of a model beside quotations from the same passages; without a model, what a small one once answered",
      ),
  )
    .option("--recording <file>", "keeps the answers of the model, goes on where it was, and is enough by itself later")
    .option("--sets <names>", "only these questions, separated by commas: held-out, nq")
    .option("--limit <number>", "only the first questions of each", positive)
    .addOption(engineOption())
    .action(
      action((terminal, { recording, sets, limit, ...options }: AnswersOptions) => {
        const isNamed = [options.model, options.endpoint, options.cassette].some((one) => one !== undefined);
        const openModel = async () => (await openLanguageModel(terminal, options))!;
        const model = options.model && basename(options.model);
        const settings = { recording, sets, limit, model, signal, folder: folder() };
        return evaluateAnswers(terminal, { ...settings, ...(isNamed && { openModel }) });
      }),
    );
}

interface GridOptions extends EncoderOptions, LanguageModelOptions {
  readonly flows: string;
  readonly data: string;
  readonly out: string;
  readonly report?: string;
  readonly concurrency?: number;
  readonly limit?: number;
}

export function gridCommand(
  { command, action, signal }: EvaluationCommands,
  dataSetOf: (nameOrFolder: string) => Promise<DataSet>,
): void {
  languageModelOptions(
    command
      .command("grid")
      .description(
        "flows × data sets × models, always beside no retrieval and plain RAG, as tables and an HTML report",
      ),
    { several: true },
  )
    .requiredOption("--flows <names or files>", "the flows, separated by commas")
    .requiredOption("--data <names or folders>", "published data sets, or folders, separated by commas")
    .requiredOption("--out <folder>", "keeps a file of results a cell, and takes up from there when run again")
    .option("--report <file>", "where the report goes; report.html in that folder by default")
    .option("--encoder <name>", "what makes the vectors: hash (the default), a model's name or folder, or hash+<model>")
    .addOption(engineOption())
    .option("--concurrency <number>", "questions under way at a time", positive, 1)
    .option("--limit <number>", "only the first questions", positive)
    .action(
      action(async (terminal, { out, report, concurrency, limit, ...options }: GridOptions) => {
        const { flows: own } = await settingsFor(terminal);
        const flows = await Promise.all(listOf(options.flows).map((one) => readFlow(one, own)));
        const dataSets = await Promise.all(
          listOf(options.data).map(async (data) => ({ name: basename(data), dataSet: await dataSetOf(data) })),
        );
        const settings = { concurrency, limit, signal, hints, openVectors: vectorsOpener(terminal, options) };
        return evaluateGrid(terminal, { flows, dataSets, models: modelsOf(terminal, options), out, report }, settings);
      }),
    );
}

const listOf = (text: string): string[] =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);

/** The models one after the other, each opened while it is needed. */
async function* modelsOf(
  terminal: Terminal,
  { model = "", cassette, endpoint, engine }: LanguageModelOptions,
): AsyncGenerator<GridModel> {
  const isFile = (name: string) => endpoint === undefined && name.endsWith(".jsonl");
  const asked = listOf(model).map((name) => (isFile(name) ? { cassette: name } : { model: name, endpoint, cassette }));
  // without a model to record, a cassette is one itself
  if (asked.length === 0 && cassette !== undefined) asked.push({ cassette });
  for (const one of asked) {
    const opened = (await openLanguageModel(terminal, { ...one, engine }))!;
    const recording = "model" in one ? undefined : basename(one.cassette);
    const name = recording === undefined ? (one as { model: string }).model : `recorded: ${recording}`;
    try {
      yield { label: opened.scripted ? `scripted: ${recording ?? name}` : name, model: opened };
    } finally {
      await opened.close?.();
    }
  }
}
