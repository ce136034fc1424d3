import type { Context } from "@tessera/core";
import { modulesOf } from "../extract.js";
import type { CodeModule } from "../problem.js";
import { directPrompt, modularPrompt } from "../prompts.js";
import { type Arm, type ArmSettings, arms, type Round, runArm, sampled } from "./arms.js";
import type { LoggedSample, Task } from "./score.js";

export interface ExperimentSettings extends Omit<ArmSettings, "foreign"> {
  readonly arms?: readonly Arm[];
  readonly seeds?: readonly number[];
  /** The run's own context for a task, an arm and a seed: its randomness must depend on nothing else. */
  readonly context: (task: string, arm: string, seed: number) => Context;
}

const fromDirect: ReadonlySet<Arm> = new Set(["direct", "self-debug"]);

/**
 * Runs arms over problems and gives every sample to log. For each problem and seed the first round of direct and of modular
 * samples is drawn once and shared by the arms; every arm then spends as many samples as there are clusters × count. The
 * placebo shows modules of the problem before. A log holds all that scoring needs.
 */
export async function* runExperiment(
  tasks: readonly Task[],
  settings: ExperimentSettings,
): AsyncGenerator<LoggedSample> {
  const { model, sandbox, style, characters, count, context, seeds = [0] } = settings;
  for (const seed of seeds) {
    let foreign: CodeModule[] = await modulesIn(tasks.at(-1));
    for (const task of tasks) {
      const first = async (arm: "direct" | "modular"): Promise<Round> => {
        const prompt = arm === "direct" ? directPrompt : modularPrompt;
        const prompts = Array(count).fill(prompt(task, style, characters));
        return sampled(prompts, task, model, sandbox, settings, context(task.id, `first ${arm}`, seed));
      };
      const pools = { direct: await first("direct"), modular: await first("modular") };
      for (const arm of settings.arms ?? arms) {
        const pool = fromDirect.has(arm) ? pools.direct : pools.modular;
        const later = await runArm(arm, task, pool, { ...settings, foreign }, context(task.id, arm, seed));
        for (const [round, { samples, tokens }] of [pool, ...later].entries())
          for (const { code } of samples)
            yield { problem: task.id, arm, round, seed, code, tokens: tokens / samples.length };
      }
      foreign = await modulesIn(task);
    }
  }
}

/** The true modules of a task: what the placebo shows of another problem. */
async function modulesIn(task: Task | undefined): Promise<CodeModule[]> {
  if (!task) return [];
  const samples = task.modules.map((code, n) => ({ id: `${task.id}:${n}`, text: code, code, headers: [] }));
  return (await Promise.all(samples.map((one) => modulesOf(one, task.language, undefined)))).flat();
}
