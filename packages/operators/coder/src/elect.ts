// public: elect
import { operator } from "@tessera/core";
import { z } from "zod";
import { behaviours } from "./behaviour.js";
import { consensus } from "./consensus.js";
import { examplesOf } from "./examples.js";
import { type Cluster, type CodeModule, codeCluster, codeModules, type Problem, problem } from "./problem.js";
import type { Sandbox } from "./sandbox/sandbox.js";
import { equalValues } from "./sandbox/values.js";

interface Election {
  /** How many modules are elected at most. */
  readonly modules: number;
  /** On how many inputs candidates are compared. */
  readonly inputs: number;
  /** Whether candidates are run on the examples of their docstrings first. */
  readonly examples: boolean;
}

/** The elected modules with those who voted for them, the most voted for first. Candidates share name and arity. */
export async function electedOf(
  sandbox: Sandbox,
  modules: readonly CodeModule[],
  problem: Problem,
  election: Election,
  signal: AbortSignal,
): Promise<Cluster[]> {
  const fits = async (module: CodeModule): Promise<boolean> => {
    const examples = examplesOf(module.name, module.header);
    const lists = examples.map((example) => example.arguments);
    const outcomes = await sandbox.call(module.program, module.name, lists, problem.language, signal);
    return examples.every(({ expected }, index) => {
      const outcome = outcomes[index]!;
      return "value" in outcome && equalValues(outcome.value, expected);
    });
  };
  const groups = new Map<string, CodeModule[]>();
  for (const module of modules) {
    const key = `${module.name}/${module.parameters}`;
    groups.set(key, [...(groups.get(key) ?? []), module]);
  }
  const clusters = await Promise.all(
    [...groups.values()].map(async (candidates): Promise<Cluster | undefined> => {
      const fitting = election.examples ? await keep(candidates, fits) : candidates;
      const outputs = await behaviours(sandbox, fitting, problem, election.inputs, signal);
      const winner = consensus(outputs);
      if (!winner) return undefined;
      const alike = winner.alike.map((index) => fitting[index]!);
      return {
        representative: fitting[winner.index]!,
        size: alike.length,
        samples: [...new Set(alike.map(({ sample }) => sample))],
      };
    }),
  );
  return clusters
    .filter((cluster) => cluster !== undefined)
    .sort((a, b) => b.size - a.size)
    .slice(0, election.modules);
}

/**
 * Elects modules one by one, by behaviour, from all samples: the right parts of wrong programs count. The candidates for a
 * module are the functions of its name and number of parameters; they are given the most voted for first.
 */
export const elect = operator({
  name: "coder.elect",
  version: 1,
  about: {
    module: "code",
    submodule: "clustering",
    paper: "FunCoder (Chen et al. 2024), functional consensus",
    summary: "Elects modules by behavioural consensus and by the examples in their docstrings.",
  },
  config: z.strictObject({
    sandbox: z.string().min(1).default("sandbox"),
    modules: z.int().min(1).max(16).default(5),
    inputs: z.int().min(1).max(256).default(24),
    examples: z.boolean().default(true),
  }),
  ports: {
    input: { problem, modules: codeModules },
    output: { representatives: codeModules, clusters: z.array(codeCluster) },
  },
  setup: async ({ sandbox: name, ...election }, host) => {
    const sandbox = await host.resource<Sandbox>("sandbox", name);
    return async ({ problem, modules }, { signal }) => {
      const clusters = await electedOf(sandbox, modules, problem, election, signal);
      return { representatives: clusters.map(({ representative }) => representative), clusters };
    };
  },
});

async function keep<T>(list: readonly T[], holds: (member: T) => Promise<boolean>): Promise<T[]> {
  const held = await Promise.all(list.map(holds));
  return list.filter((_, index) => held[index]);
}
