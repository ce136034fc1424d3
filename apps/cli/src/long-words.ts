import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * Characters of a command line that are kept on it. A native library reads the arguments of its process with a pattern that
 * recurses over them, and some kilobytes overflow its stack.
 */
const most = 1_000;
const mark = "--words-on-descriptor-3";

/** The words of this call: those of the process, or what another process of ours has sent. */
export function wordsOf(given: readonly string[]): readonly string[] {
  return given.length === 1 && given[0] === mark ? (JSON.parse(readFileSync(3, "utf8")) as string[]) : given;
}

/**
 * Runs a call with a long command line in a process whose own is short.
 * @returns its exit code; `undefined` where the command line is short already
 */
export function runShort(program: string, given: readonly string[]): Promise<number> | undefined {
  if (given.reduce((sum, word) => sum + word.length + 1, 0) <= most) return undefined;
  const child: ChildProcess = spawn(process.execPath, [...process.execArgv, program, mark], {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
  });
  const words = child.stdio[3] as NodeJS.WritableStream;
  words.on("error", () => {}); // it ended before it read them
  words.end(JSON.stringify(given));
  const pass = (signal: NodeJS.Signals) => void child.kill(signal);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, pass);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? (signal ? 128 : 1)));
  });
}
