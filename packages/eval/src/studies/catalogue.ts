// internal: studies
import { converters } from "../data-sets/converters/catalogue.js";
import { readChunking } from "../data-sets/converters/chunking.js";
import { readClinc } from "../data-sets/converters/clinc.js";
import type { Output } from "../reports/output.js";
import { chunking } from "./chunking.js";
import { clinc } from "./clinc.js";
import { fusion } from "./fusion.js";
import type { StudyOptions } from "./study.js";
import { tuning } from "./tuning.js";

/** What a study of the catalogue is run on. */
interface StudyRun extends StudyOptions {
  /** The folder of all published data. */
  readonly folder: string;
  /** The published data set, for the studies that take any. */
  readonly data: string;
}

/** A study of single operators. */
interface Study {
  readonly about: string;
  /** "any": of the data sets that have questions with gold passages one is chosen; "own": the study has its own. */
  readonly data: "any" | "own";
  /** "trained": an encoder is opened whether one was named or not; "named": only where one was. */
  readonly encoder: "trained" | "named";
  /** Measures, prints, and gives the exit code. @throws TesseraError BAD_SOURCE where data is missing or too small. */
  run(output: Output, run: StudyRun): Promise<number>;
}

const published = ({ folder, data }: StudyRun) => converters.get(data)!.read(folder);

/** The studies by name. */
export const studies: ReadonlyMap<string, Study> = new Map<string, Study>([
  [
    "chunking",
    {
      data: "own",
      encoder: "named",
      about: "how much of the wanted text is read, by plain windows and by small-to-big, at one budget of characters",
      run: async (output, options) => chunking(output, await readChunking(options.folder), options),
    },
  ],
  [
    "clinc",
    {
      data: "own",
      encoder: "trained",
      about: "routing by meaning to 150 intents and out of scope, beside nearest neighbours on hash features",
      run: async (output, options) => clinc(output, await readClinc(options.folder), options),
    },
  ],
  [
    "fusion",
    {
      data: "any",
      encoder: "named",
      about: "chooses how words and vectors are fused on one half of the questions, and judges it on the other",
      run: async (output, options) => fusion(output, options.data, await published(options), options),
    },
  ],
  [
    "tuning",
    {
      data: "any",
      encoder: "named",
      about: "recall on questions that were held out, before and after an adapter is learnt from others",
      run: async (output, options) => tuning(output, options.data, await published(options), options),
    },
  ],
]);
