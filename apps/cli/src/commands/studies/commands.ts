import { converters, readChunking, readClinc } from "@tessera/eval";
import { type Command, Option } from "commander";
import { engineOption } from "../../engine.js";
import type { Terminal } from "../../terminal.js";
import { chunking } from "./chunking.js";
import { clinc } from "./clinc.js";
import { fusion } from "./fusion.js";
import type { StudyOptions } from "./resources.js";
import { tuning } from "./tuning.js";

interface PublishedOptions extends StudyOptions {
  /** The published data set, of those that have questions with gold passages. */
  readonly data: string;
}
type Study = (terminal: Terminal, folder: string, options: PublishedOptions) => Promise<number>;

const published = (folder: string, name: string) => converters.get(name)!.read(folder);

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
    "chooses how words and vectors are fused on one half of the questions, and judges it on the other",
    async (terminal, folder, { data, ...options }) => fusion(terminal, data, await published(folder, data), options),
  ],
  tuning: [
    "recall on questions that were held out, before and after an adapter is learnt from others",
    async (terminal, folder, { data, ...options }) => tuning(terminal, data, await published(folder, data), options),
  ],
};

/** Adds the studies of single operators below `tessera eval`. */
export function studyCommands(
  command: Command,
  action: (work: (terminal: Terminal, ...args: never[]) => Promise<number>) => (...args: unknown[]) => Promise<void>,
  { folder, positive, signal }: { folder: () => string; positive: (text: string) => number; signal: AbortSignal },
): void {
  for (const [name, [about, study]] of Object.entries(studies)) {
    const added = command.command(name).description(about);
    if (["fusion", "tuning"].includes(name))
      added.addOption(new Option("--data <name>", "the data set").choices([...converters.keys()]).default("nq"));
    added
      .option("--encoder <name>", "one of our encoders")
      .addOption(engineOption())
      .option("--limit <number>", "only so many questions", positive)
      .action(action((terminal, options: PublishedOptions) => study(terminal, folder(), { ...options, signal })));
  }
}
