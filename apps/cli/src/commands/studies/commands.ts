import { type Converter, converters, convertFrom, readChunking, readClinc } from "@tessera/eval";
import type { Command } from "commander";
import { engineOption } from "../../engine.js";
import type { Terminal } from "../../terminal.js";
import { chunking } from "./chunking.js";
import { clinc } from "./clinc.js";
import { fusion } from "./fusion.js";
import type { StudyOptions } from "./resources.js";
import { tuning } from "./tuning.js";

type Study = (terminal: Terminal, folder: string, options: StudyOptions) => Promise<number>;

const nq = (folder: string) => convertFrom(folder, converters.get("nq") as Converter);

const studies: Readonly<Record<string, readonly [about: string, study: Study]>> = {
  chunking: [
    "how much of the wanted text is read, by plain windows and by small-to-big, at one budget of characters",
    async (terminal, folder, options) => chunking(terminal, await readChunking(folder), options),
  ],
  clinc: [
    "routing by meaning to 150 intents and out of scope, beside nearest neighbours on hash features",
    async (terminal, folder, options) => clinc(terminal, await readClinc(folder), options),
  ],
  fusion: [
    "chooses how words and vectors are fused on one half of Natural Questions, and judges it on the other",
    async (terminal, folder, options) => fusion(terminal, await nq(folder), options),
  ],
  tuning: [
    "recall on questions that were held out, before and after an adapter is learnt from others (Natural Questions)",
    async (terminal, folder, options) => tuning(terminal, await nq(folder), options),
  ],
};

/** Adds the studies of single operators below `tessera eval`. */
export function studyCommands(
  command: Command,
  action: (work: (terminal: Terminal, ...args: never[]) => Promise<number>) => (...args: unknown[]) => Promise<void>,
  { folder, positive, signal }: { folder: () => string; positive: (text: string) => number; signal: AbortSignal },
): void {
  for (const [name, [about, study]] of Object.entries(studies))
    command
      .command(name)
      .description(about)
      .option("--encoder <name>", "one of our encoders")
      .addOption(engineOption())
      .option("--limit <number>", "only so many questions", positive)
      .action(action((terminal, options: StudyOptions) => study(terminal, folder(), { ...options, signal })));
}
