// public: extract
import { number, operator } from "@tessera/core";
import { z } from "zod";
import { type CodeModule, codeModules, codeSamples, problem, type Sample } from "./problem.js";
import type { Language } from "./sandbox/language.js";
import { type FunctionDefinition, functionsIn } from "./syntax.js";

const programs = /^(main|solve|solution|test|tests|check)$/i;

// each is run and compared: a program of ten thousand functions would keep a flow for hours
const mostModules = 64;

/** The functions that the entry needs, directly or through others; where it is broken or there is none, all others. */
function reachable(functions: readonly FunctionDefinition[], entry: string | undefined): FunctionDefinition[] {
  const byName = new Map(functions.map((one) => [one.name, one]));
  const root = entry === undefined ? undefined : byName.get(entry);
  if (!root) return functions.filter(({ name }) => name !== entry && !programs.test(name));
  const reached = new Set([root]);
  for (const one of reached)
    for (const name of one.identifiers) {
      const next = byName.get(name);
      if (next) reached.add(next);
    }
  return functions.filter((one) => one !== root && reached.has(one));
}

/** The name that a header declares. */
const declared = (header: string): string | undefined =>
  /(?:\b(?:def|function\*?|const|let|var)\s+|^\s*(?:async\s+)?)([\p{L}$_][\p{L}\p{N}$_]*)\s*(?:=|\()/mu.exec(
    header.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, ""),
  )?.[1];

/**
 * The modules of a sample: the functions its entry uses, the first 64, each with the docstring it was announced with;
 * `undefined` where the parser cannot read the program.
 */
export async function modulesOf(
  sample: Sample,
  language: Language,
  entry: string | undefined,
  signal?: AbortSignal,
): Promise<CodeModule[] | undefined> {
  if (sample.code === "") return [];
  const functions = await functionsIn(sample.code, language, signal);
  if (!functions) return undefined;
  const announced = new Map(sample.headers.map((header) => [declared(header), header]));
  return reachable(functions, entry)
    .slice(0, mostModules)
    .map(({ name, parameters, header, code }) => {
      const bare = !/\/\*|\/\/|"""|'''/.test(header);
      return {
        ...{ sample: sample.id, name, parameters, code, program: sample.code },
        header: (bare && announced.get(name)) || header,
      };
    });
}

/** Takes the functions that a program's entry uses out of each sample; a broken program gives those that are whole. */
export const extract = operator({
  name: "coder.extract",
  version: 2,
  about: {
    module: "code",
    submodule: "extraction",
    paper: "CodeChain, section 3.2",
    summary: "Takes the functions of sampled programs apart, with their docstrings.",
  },
  config: z.strictObject({}),
  ports: {
    input: { problem, samples: codeSamples },
    output: { modules: codeModules, /** How many samples the parser could not read. */ unread: number },
  },
  effects: "none",
  setup:
    () =>
    async ({ problem: { language, entry }, samples }, { signal }) => {
      const read = await Promise.all(samples.map((sample) => modulesOf(sample, language, entry, signal)));
      return { modules: read.flatMap((modules) => modules ?? []), unread: read.filter((modules) => !modules).length };
    },
});
