import { converters, evaluateGuards, measureRows, rowChecks, studies } from "@tessera/eval/internal";
import { InvalidArgumentError, Option } from "commander";
import { defaultEncoder } from "../codebase.js";
import { type EncoderOptions, engineOption, openNamed } from "../engine.js";
import { type LanguageModelOptions, languageModelOptions, openLanguageModel } from "../language-model.js";
import { type EvaluationCommands, positive, vectorsOpener } from "./evaluation.js";

interface StudyOptions extends EncoderOptions {
  readonly data: string;
  readonly limit?: number;
}

/** Adds the studies of single operators. */
export function studyCommands({ command, action, signal }: EvaluationCommands, folder: () => string): void {
  for (const [name, study] of studies) {
    const added = command.command(name).description(study.about);
    if (study.data === "any")
      added.addOption(new Option("--data <name>", "the data set").choices([...converters.keys()]).default("nq"));
    added
      .option("--encoder <name>", "a model's name or folder, or hash+<model>")
      .addOption(engineOption())
      .option("--limit <number>", "only so many questions", positive)
      .action(
        action((terminal, { data, limit, ...options }: StudyOptions) => {
          const open =
            study.encoder === "trained"
              ? () => openNamed(terminal, { encoder: defaultEncoder, ...options })
              : undefined;
          const settings = { limit, signal, openVectors: open ?? vectorsOpener(terminal, options) };
          return study.run(terminal, { folder: folder(), data, ...settings });
        }),
      );
  }
}

function rowOf(text: string, before: readonly number[] = []): number[] {
  const row = Number(text);
  if (rowChecks.some((check) => check.row === row)) return [...before, row];
  throw new InvalidArgumentError(`It is one of ${rowChecks.map((check) => check.row).join(", ")}.`);
}

interface RowsOptions extends LanguageModelOptions {
  readonly limit?: number;
}

export function rowsCommand({ command, action, signal }: EvaluationCommands, folder: () => string): void {
  languageModelOptions(
    command
      .command("rows")
      .description("the rows of Modular RAG that name data, each figure beside its bar (docs/modular-rag.md)")
      .argument("[rows...]", "only these", rowOf),
  )
    .option("--limit <number>", "only so many questions", positive)
    .action(
      action(async (terminal, chosen: number[], { limit, ...options }: RowsOptions) => {
        const model = await openLanguageModel(terminal, options);
        const checks = rowChecks.filter(({ row }) => chosen.length === 0 || chosen.includes(row));
        try {
          return await measureRows(terminal, checks, { folder: folder(), limit, signal, model });
        } finally {
          await model?.close?.();
        }
      }),
    );
}

export function guardsCommand({ command, action }: EvaluationCommands): void {
  command
    .command("guards")
    .description("try every known way to write on the guards of text-to-SQL and text-to-Cypher")
    .action(action((terminal) => evaluateGuards(terminal)));
}
