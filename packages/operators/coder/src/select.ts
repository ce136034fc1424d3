// public: select
import { flag, number, operator, text } from "@tessera/core";
import { z } from "zod";
import { publicArguments, signature, similarArguments } from "./behaviour.js";
import { codeSamples, type Problem, problem, type Sample } from "./problem.js";
import type { Sandbox } from "./sandbox/sandbox.js";

/** A group of samples that behave alike. */
interface Agreement {
  readonly members: Sample[];
  readonly score: number;
}

/**
 * Groups samples by what they give on the public tests' inputs and variations of them, as CodeT does with generated tests:
 * score = members × (1 + the public tests' part), so that of groups that pass alike the larger wins. The best come first.
 */
async function agreements(
  sandbox: Sandbox,
  samples: readonly Sample[],
  problem: Problem,
  inputs: number,
  signal: AbortSignal,
): Promise<Agreement[]> {
  const lists = similarArguments(publicArguments(problem), inputs, 0);
  const groups = new Map<string, Sample[]>();
  const keyed = await Promise.all(
    samples.map(async (one) => {
      const outputs =
        problem.entry !== undefined && lists.length > 0
          ? signature(await sandbox.call(one.code, problem.entry, lists, problem.language, signal))
          : [one.code.replace(/\s+/g, " ")];
      return { one, key: JSON.stringify(outputs), silent: outputs.every((output) => output === "!") };
    }),
  );
  for (const { one, key, silent } of keyed) if (!silent) groups.set(key, [...(groups.get(key) ?? []), one]);
  return [...groups.values()]
    .map((members) => ({
      members,
      score: members.length * (members.some(({ verdict }) => verdict?.passed) ? samples.length + 1 : 1),
    }))
    .sort((a, b) => b.score - a.score);
}

/**
 * Chooses the one program that is handed in. "passing": a sample that passes the public tests, drawn by the run's seed;
 * "consensus": the first member of the largest group that behaves alike, passing groups before others. Where nothing
 * passes, one that has code; where there is none, "".
 */
export const select = operator({
  name: "coder.select",
  version: 1,
  about: {
    module: "code",
    submodule: "selection",
    paper: "CodeT (Chen et al. 2022), dual execution agreement",
    summary: "Chooses one program by its public tests, or by agreement of behaviour.",
  },
  config: z.strictObject({
    by: z.enum(["passing", "consensus"]).default("passing"),
    sandbox: z.string().min(1).default("sandbox"),
    inputs: z.int().min(1).max(256).default(32),
  }),
  ports: {
    input: { problem, samples: codeSamples },
    output: {
      code: text,
      /** Whether the chosen program passes the public tests. */
      passed: flag,
      /** How many samples behave as it does; 1 where behaviour was not compared. */
      votes: number,
    },
  },
  setup: async ({ by, sandbox: name, inputs }, host) => {
    const sandbox = by === "consensus" ? await host.resource<Sandbox>("sandbox", name) : undefined;
    return async ({ problem, samples }, { random, signal }) => {
      const give = (chosen: Sample | undefined, votes: number) => ({
        code: chosen?.code ?? "",
        passed: chosen?.verdict?.passed === true,
        votes,
      });
      const programs = samples.filter(({ code }) => code !== "");
      if (sandbox) {
        const [best] = await agreements(sandbox, programs, problem, inputs, signal);
        if (best)
          return give(best.members.find(({ verdict }) => verdict?.passed) ?? best.members[0], best.members.length);
      }
      const passing = programs.filter(({ verdict }) => verdict?.passed);
      const pool = passing.length > 0 ? passing : programs;
      return give(pool[Math.floor(random() * pool.length)], Math.min(1, pool.length));
    };
  },
});
