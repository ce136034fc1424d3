// public: Problem, Sample
import { z } from "zod";
import { language } from "./sandbox/language.js";
import { tests, verdict } from "./sandbox/sandbox.js";

/** What is asked for: a function (or, without `entry`, a program that reads and prints). */
export const problem = z.object({
  id: z.string().optional(),
  /** The statement, in words. */
  text: z.string(),
  language,
  /** The name of the function that the tests call. */
  entry: z.string().optional(),
  /** The signature that the program must keep, or its beginning. */
  starter: z.string().optional(),
  /** The public tests: the only ones that a flow may see. */
  tests,
});
/** A task for generated code: its text, its language, the name of the function, and its tests. */
export type Problem = z.infer<typeof problem>;

/** An answer of the model, read as a program. */
const codeSample = z.object({
  /** Unique in its run: "round.index". */
  id: z.string(),
  /** What the model wrote. */
  text: z.string(),
  /** The program in it, or "" where there is none. */
  code: z.string(),
  /** The headers of its modules: signature and docstring, as its first step lists them. */
  headers: z.array(z.string()),
  /** What the public tests said, once they ran. */
  verdict: verdict.optional(),
});
/** A program that was drawn for a problem. */
export type Sample = z.infer<typeof codeSample>;
export const codeSamples = z.array(codeSample);

/** A function of a sample. */
const codeModule = z.object({
  /** The id of the sample it was taken from. */
  sample: z.string(),
  name: z.string(),
  /** How many parameters it takes. */
  parameters: z.number(),
  /** Its signature and docstring, without its body. */
  header: z.string(),
  /** The whole function, with its docstring. */
  code: z.string(),
  /** The program it stands in, which has what it calls. */
  program: z.string(),
});
export type CodeModule = z.infer<typeof codeModule>;
export const codeModules = z.array(codeModule);

/** A group of modules that stand for one another. */
export const codeCluster = z.object({
  representative: codeModule,
  /** How many modules are in the group, the representative included. */
  size: z.number(),
  /** The samples they were taken from. */
  samples: z.array(z.string()),
});
export type Cluster = z.infer<typeof codeCluster>;
