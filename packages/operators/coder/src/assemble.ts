// public: assemble
import { operator } from "@tessera/core";
import { z } from "zod";
import { type CodeModule, codeModules, codeSamples, type Problem, problem, type Sample } from "./problem.js";
import { functionsIn } from "./syntax.js";

/** The programs that come of putting modules in the place of their namesakes; those that were there already are left out. */
export async function assembled(
  samples: readonly Sample[],
  representatives: readonly CodeModule[],
  { language, entry }: Pick<Problem, "language" | "entry">,
  signal?: AbortSignal,
): Promise<Sample[]> {
  const elected = new Map(representatives.filter(({ name }) => name !== entry).map((module) => [module.name, module]));
  const seen = new Set(samples.map(({ code }) => code));
  const made: Sample[] = [];
  const read = await Promise.all(samples.map(({ code }) => functionsIn(code, language, signal)));
  for (const [index, { id, code, text, headers }] of samples.entries()) {
    const replaced = (read[index] ?? []).reduce((program, { name, parameters, code: own }) => {
      const module = elected.get(name);
      return module && module.parameters === parameters ? swap(program, own, module) : program;
    }, code);
    if (seen.has(replaced)) continue;
    seen.add(replaced);
    made.push({ id: `${id}+`, text, code: replaced, headers });
  }
  return made;
}

/**
 * Puts elected modules in the place of the functions of their names in every sample: programs that no model wrote as a
 * whole, made of parts that were voted for one by one. Programs that come out as they were, or twice, are left out.
 */
export const assemble = operator({
  name: "coder.assemble",
  version: 1,
  about: {
    module: "code",
    submodule: "revision",
    summary: "Replaces the functions of samples by the elected ones of their names.",
  },
  config: z.strictObject({}),
  ports: {
    input: { problem, samples: codeSamples, representatives: codeModules },
    output: { samples: codeSamples },
  },
  effects: "none",
  setup:
    () =>
    async ({ problem, samples, representatives }, { signal }) => ({
      samples: await assembled(samples, representatives, problem, signal),
    }),
});

/** Replaces one function; a function that is not found as it was read stays. */
function swap(program: string, own: string, module: CodeModule): string {
  const at = program.indexOf(own);
  return at < 0 ? program : program.slice(0, at) + module.code + program.slice(at + own.length);
}
