import { type Command, InvalidArgumentError } from "commander";
import { type EncoderOptions, openNamed } from "../engine.js";
import type { Terminal } from "../terminal.js";

/** The command `tessera eval`, and how the commands below it run. */
export interface EvaluationCommands {
  readonly command: Command;
  /** Runs a command with a terminal; the result is the exit code. */
  readonly action: (
    work: (terminal: Terminal, ...args: never[]) => number | Promise<number>,
  ) => (...args: unknown[]) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Reads a whole number above 0. @throws InvalidArgumentError */
export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("It is a whole number above 0.");
  return value;
}

/** Opens what was named to make the vectors; undefined where nothing was, so that hash features make them. */
export const vectorsOpener = (terminal: Terminal, options: EncoderOptions) =>
  options.encoder === undefined ? undefined : () => openNamed(terminal, options);
