import { readFile } from "node:fs/promises";
import { messageOf } from "@tessera/core/internal";
import { UsageError } from "./terminal.js";

/** All that comes in on standard input. */
async function standardInput(): Promise<string> {
  let text = "";
  for await (const part of process.stdin.setEncoding("utf8")) text += part;
  return text;
}

/**
 * The question of a call: its words, what a file holds, or with "-" what comes in on standard input.
 * @throws UsageError where there is none, or two
 */
export async function questionOf(words: string | undefined, file: string | undefined): Promise<string> {
  if (words !== undefined && file !== undefined)
    throw new UsageError("a question and --question-file exclude each other");
  if (words === undefined && file === undefined)
    throw new UsageError('there is no question; give one, "-" or --question-file <file>');
  const text = words === "-" || file === "-" ? await standardInput() : (words ?? (await textOf(file!)));
  if (text.trim() === "") throw new UsageError("the question is empty");
  return text.trim();
}

const textOf = (file: string): Promise<string> =>
  readFile(file, "utf8").catch((cause: unknown) => {
    throw new UsageError(`--question-file cannot be read: ${messageOf(cause)}`);
  });
