import { resolve } from "node:path";
import { TesseraError } from "@tessera/core";
import { didYouMean } from "@tessera/core/internal";
import { type DataSet, evaluateFlow, type FlowSettings, readDataSet, writeDataSet } from "@tessera/eval";
import {
  type ComparisonOptions,
  type Converter,
  compareFiles,
  converters,
  evaluatePublished,
} from "@tessera/eval/internal";
import type { Command } from "commander";
import { readFlow } from "../documents.js";
import { type EncoderOptions, engineOption } from "../engine.js";
import { type LanguageModelOptions, languageModelOptions, openLanguageModel } from "../language-model.js";
import { resourceHints as hints } from "../resource-hints.js";
import { settingsFor } from "../settings.js";
import type { Terminal } from "../terminal.js";
import { answersCommand, encoderCommand, gridCommand, languageModelCommand } from "./evaluate-models.js";
import { placesCommand } from "./evaluate-places.js";
import { guardsCommand, rowsCommand, studyCommands } from "./evaluate-studies.js";
import { type EvaluationCommands, positive, vectorsOpener } from "./evaluation.js";

/** The folder of all published data: $TESSERA_DATA, or "shared/data" beside the working directory. */
const dataFolder = (): string => resolve(process.env.TESSERA_DATA ?? "../shared/data");

/** Adds the commands below `tessera eval`. */
export function evaluationCommands(command: Command, action: EvaluationCommands["action"], signal: AbortSignal): void {
  command
    .description("measure flows on data sets: folders of corpus.jsonl and questions.jsonl")
    // "run" may be left out, so that a misspelt name would be taken for its argument
    .hook("preSubcommand", ({ args: [word = "-"], commands }) => {
      const names = commands.map((one) => one.name());
      if (!word.startsWith("-") && !names.includes(word))
        command.error(`error: there is no "eval ${word}"; ${didYouMean(word, names)}`);
    });
  const commands = { command, action, signal };
  runCommand(commands);
  diffCommand(commands);
  encoderCommand(commands);
  languageModelCommand(commands);
  answersCommand(commands, dataFolder);
  gridCommand(commands, dataSetOf);
  convertCommand(commands);
  studyCommands(commands, dataFolder);
  rowsCommand(commands, dataFolder);
  guardsCommand(commands);
  placesCommand(commands);
  publishedCommands(commands);
}

interface RunOptions extends EncoderOptions, LanguageModelOptions, Pick<FlowSettings, "limit" | "concurrency"> {
  readonly flow: string;
  readonly data: string;
  readonly questions?: string;
  readonly out?: string;
}

function runCommand({ command, action, signal }: EvaluationCommands): void {
  languageModelOptions(
    command
      .command("run", { isDefault: true })
      .description("measure a flow on a folder; with --json one line a metric"),
  )
    .requiredOption("--flow <name or file>", "the flow")
    .requiredOption("--data <folder>", "the data set")
    .option("--questions <folder>", "asks the questions of another data set, which this one should refuse")
    .option("--out <file>", "keeps a line a question, and takes up from there when run again")
    .option("--encoder <name>", "what makes the vectors: hash (the default), a model's name or folder, or hash+<model>")
    .addOption(engineOption())
    .option("--concurrency <number>", "questions under way at a time", positive, 1)
    .option("--limit <number>", "only the first questions", positive)
    .action(action((terminal, options: RunOptions) => evaluateFolder(terminal, options, signal)));
}

async function evaluateFolder(
  terminal: Terminal,
  { flow, data, questions, out, limit, concurrency, ...options }: RunOptions,
  signal: AbortSignal,
): Promise<number> {
  const { flows, operators } = await settingsFor(terminal);
  const document = await readFlow(flow, flows);
  const dataSet = await folderOf(data, questions);
  const model = await openLanguageModel(terminal, options);
  try {
    const settings = { operators, limit, concurrency, signal, hints, openVectors: vectorsOpener(terminal, options) };
    return await evaluateFlow(terminal, { document, data, dataSet, model, out, ...settings });
  } finally {
    await model?.close?.();
  }
}

/** Reads a folder, or its corpus with the questions of another, which have neither gold passages nor answers there. */
async function folderOf(data: string, strange: string | undefined): Promise<DataSet> {
  const dataSet = await readDataSet(data);
  if (strange === undefined) return dataSet;
  const { questions } = await readDataSet(strange);
  return { passages: dataSet.passages, questions: questions.map(({ id, question }) => ({ id, question })) };
}

function diffCommand({ command, action }: EvaluationCommands): void {
  command
    .command("diff")
    .description("compare two files of results, question by question")
    .argument("<left>")
    .argument("<right>")
    .option("--metric <name>", "whose questions are listed")
    .option("--top <number>", "how many questions are listed", positive, 20)
    .action(
      action((terminal, left: string, right: string, options: ComparisonOptions) =>
        compareFiles(terminal, { left, right }, options),
      ),
    );
}

function converterOf(name: string): Converter {
  const converter = converters.get(name);
  if (converter) return converter;
  throw new TesseraError("BAD_ARGUMENT", `there is no converter "${name}"`, {
    hint: didYouMean(name, converters.keys()),
  });
}

/** Reads a published data set by its name, or a folder. */
export const dataSetOf = (nameOrFolder: string): Promise<DataSet> =>
  converters.get(nameOrFolder)?.read(dataFolder()) ?? readDataSet(nameOrFolder);

function convertCommand({ command, action }: EvaluationCommands): void {
  command
    .command("convert")
    .description(`write a published data set of $TESSERA_DATA as a folder: ${[...converters.keys()].join(", ")}`)
    .argument("<name>")
    .argument("<folder>")
    .action(action((terminal, name: string, folder: string) => convert(terminal, name, folder)));
}

/** Writes a published data set as a folder that any flow can be measured on. */
async function convert(terminal: Terminal, name: string, folder: string): Promise<number> {
  const dataSet = await converterOf(name).read(dataFolder());
  await writeDataSet(folder, dataSet);
  const counts = { passages: dataSet.passages.length, questions: dataSet.questions.length };
  terminal.result({ name, folder, ...counts });
  terminal.say(`${name}: ${counts.passages} passages and ${counts.questions} questions in ${folder}`);
  return 0;
}

interface PublishedOptions extends EncoderOptions {
  readonly out?: string;
  readonly limit?: number;
}

/** Adds a command for each published data set. Where a study has the name of its data set, the study is the command. */
function publishedCommands({ command, action, signal }: EvaluationCommands): void {
  const known = new Set(command.commands.map((one) => one.name()));
  for (const converter of [...converters.values()].filter((one) => !known.has(one.name)))
    command
      .command(converter.name)
      .description(converter.about)
      .option("--out <folder>", "keeps a file of results a flow, and takes up from there when run again")
      .option("--limit <number>", "only the first questions", positive)
      .option(
        "--encoder <name>",
        "what makes the vectors: hash (the default), a model's name or folder, or hash+<model>",
      )
      .addOption(engineOption())
      .action(
        action((terminal, { out, limit, ...options }: PublishedOptions) => {
          const settings = { limit, signal, hints, openVectors: vectorsOpener(terminal, options) };
          return evaluatePublished(terminal, { converter, folder: dataFolder(), out, ...settings });
        }),
      );
}
