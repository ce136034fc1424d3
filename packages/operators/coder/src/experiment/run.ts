// internal: runExperiment
import type { Context } from "@tessera/core";
import { modulesOf } from "../extract.js";
import type { CodeModule } from "../problem.js";
import { type Arm, type ArmSettings, arms, loggedPools, poolsOf, type Round, runArm } from "./arms.js";
import type { LoggedSample, Task } from "./score.js";

interface ExperimentSettings extends Omit<ArmSettings, "foreign"> {
  readonly arms?: readonly Arm[];
  readonly seeds?: readonly number[];
  /** What was logged before: pools in it are not drawn again. */
  readonly log?: readonly LoggedSample[];
  /** The run's own context for a task, an arm (or pool) and a seed: its randomness must depend on nothing else. */
  readonly context: (task: string, arm: string, seed: number) => Context;
}

/**
 * Runs arms over problems and gives every sample to log, in the order of problems and arms. All of a seed run at once, so
 * that a model which answers many requests together is asked for them together. The placebo shows modules of the problem
 * before. A log holds all that scoring needs.
 */
export async function* runExperiment(
  tasks: readonly Task[],
  settings: ExperimentSettings,
): AsyncGenerator<LoggedSample> {
  const { context, seeds = [0], log = [] } = settings;
  const truth = await Promise.all(tasks.map(modulesIn));
  for (const seed of seeds) {
    const running = tasks.map(async (task, index) => {
      const own = { ...settings, foreign: truth.at(index - 1)! };
      const pools =
        (await loggedPools(log, task, seed, settings)) ??
        (await poolsOf(task, own, (pool) => context(task.id, `pool ${pool}`, seed)));
      return Promise.all(
        (settings.arms ?? arms).map(async (arm) => ({
          arm,
          rounds: await runArm(arm, task, pools, own, context(task.id, arm, seed)),
        })),
      );
    });
    // one that fails ends the run where it is awaited
    for (const one of running) one.catch(() => {});
    for (const [index, found] of running.entries())
      for (const { arm, rounds } of await found) yield* logged(tasks[index]!.id, arm, seed, rounds);
  }
}

function* logged(problem: string, arm: string, seed: number, rounds: readonly Round[]): Generator<LoggedSample> {
  for (const [round, { samples, assembled = [] }] of rounds.entries()) {
    for (const { code, tokens } of samples) yield { problem, arm, round, seed, code, tokens };
    for (const { code } of assembled) yield { problem, arm, round, seed, code, tokens: 0, assembled: true };
  }
}

/** The true modules of a task: what the placebo shows of another problem. */
async function modulesIn(task: Task): Promise<CodeModule[]> {
  const samples = task.modules.map((code, n) => ({ id: `${task.id}:${n}`, text: code, code, headers: [] }));
  return (await Promise.all(samples.map((one) => modulesOf(one, task.language, undefined)))).flatMap(
    (modules) => modules ?? [],
  );
}
