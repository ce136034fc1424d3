import { type Command, InvalidArgumentError } from "commander";
import { type LanguageModelOptions, languageModelOptions, openLanguageModel } from "../../language-model.js";
import type { Terminal } from "../../terminal.js";
import { measureRows, type RowCheck } from "./check.js";
import { flows } from "./flows.js";
import { evaluateGuards } from "./guards.js";
import { indexing } from "./indexing.js";
import { query } from "./query.js";
import { reading } from "./reading.js";
import { retrieval } from "./retrieval.js";
import { routing } from "./routing.js";

/** The checks of rows that need data, by row. */
export const rowChecks: readonly RowCheck[] = [indexing, query, retrieval, reading, routing, flows]
  .flat()
  .sort((a, b) => a.row - b.row);

function rowOf(text: string, before: readonly number[] = []): number[] {
  const row = Number(text);
  if (rowChecks.some((check) => check.row === row)) return [...before, row];
  throw new InvalidArgumentError(`It is one of ${rowChecks.map((check) => check.row).join(", ")}.`);
}

interface RowsOptions extends LanguageModelOptions {
  readonly limit?: number;
}

/** Adds `rows` and `guards` below `tessera eval`. */
export function rowCommands(
  command: Command,
  action: (
    work: (terminal: Terminal, ...args: never[]) => number | Promise<number>,
  ) => (...args: unknown[]) => Promise<void>,
  { folder, positive, signal }: { folder: () => string; positive: (text: string) => number; signal: AbortSignal },
): void {
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
  command
    .command("guards")
    .description("try every known way to write on the guards of text-to-SQL and text-to-Cypher")
    .action(action((terminal) => evaluateGuards(terminal)));
}
