// internal: arms, Arm
import { type Context, type Encoder, type LanguageModel, type Message, TesseraError } from "@tessera/core";
import { assembled } from "../assemble.js";
import { behaviours } from "../behaviour.js";
import { clustersOf, distinct, representativesOf } from "../cluster.js";
import { electedOf } from "../elect.js";
import { modulesOf } from "../extract.js";
import type { CodeModule, Sample } from "../problem.js";
import { debugPrompt, directPrompt, modularPrompt, revisePrompt, type Style } from "../prompts.js";
import { behaviourVector, embeddedText } from "../represent.js";
import { draw } from "../sample.js";
import type { Sandbox } from "../sandbox/sandbox.js";
import type { LoggedSample, Task } from "./score.js";

/**
 * The arms of the comparison. Each has rounds × count samples. "direct" and "modular" only sample again (blind resampling),
 * and are what best-of-n, the filter and consensus choose from, so that those cost nothing more.
 */
export const arms = [
  "direct",
  "modular",
  "codechain",
  "no-clustering",
  "no-filter",
  "placebo",
  "whole",
  "oracle",
  "behaviour",
  "modules",
  "self-debug",
] as const;
export type Arm = (typeof arms)[number];

export interface ArmSettings {
  readonly model: LanguageModel;
  readonly sandbox: Sandbox;
  readonly encoder: Encoder;
  /** Clusters of each revision; as many as there are revisions: [4, 2, 1]. */
  readonly clusters: readonly number[];
  readonly count: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly style: Style;
  readonly characters: number;
  /** Modules of other problems, for the placebo. */
  readonly foreign: readonly CodeModule[];
}

/** A sample with the tokens of its prompt and its answer. */
interface PaidSample extends Sample {
  readonly tokens: number;
}

/** A round of samples, tested. */
export interface Round {
  readonly samples: readonly PaidSample[];
  /** Programs made of the round's modules without a call of the model, tested; chosen from, but no samples. */
  readonly assembled?: readonly Sample[];
}

/** What arms share on a problem: as many rounds as an arm has, sampled without a look at what came before. */
type Pools = Readonly<Record<"direct" | "modular", readonly Round[]>>;

const inputs = 24;

/** The first `count` of a list in a seeded order. */
function pick<T>(list: readonly T[], count: number, random: () => number): T[] {
  const rest = [...list];
  return Array.from(
    { length: Math.min(count, list.length) },
    () => rest.splice(Math.floor(random() * rest.length), 1)[0]!,
  );
}

const asModule = (task: Task, name: string, code: string): CodeModule => ({
  ...{ sample: task.id, name, parameters: 1, header: "", code, program: code },
});

/** What an arm shows in a revision; `undefined` where the problem is frozen. */
async function shown(
  arm: Arm,
  task: Task,
  rounds: readonly Round[],
  k: number,
  settings: ArmSettings,
  context: Context,
): Promise<CodeModule[] | undefined> {
  const { sandbox, encoder, foreign } = settings;
  const passes = ({ verdict }: Sample) => verdict?.passed === true;
  const kept = rounds.findLast(({ samples }) => samples.some(passes))?.samples.filter(passes) ?? [];
  const modules = async (samples: readonly Sample[]) =>
    (await Promise.all(samples.map((one) => modulesOf(one, task.language, task.entry)))).flatMap(
      (modules) => modules ?? [],
    );
  const clustered = async (list: readonly CodeModule[], vectors: readonly (readonly number[])[]) =>
    representativesOf(clustersOf(list, vectors, k, 0));
  const embedded = async (list: readonly CodeModule[]) =>
    list.length === 0
      ? []
      : (await encoder.encode(list.map(embeddedText), { kind: "code" }, context.signal)).map((one) => Array.from(one));

  switch (arm) {
    case "oracle":
      return pick(task.modules, k, context.random).map((code) => asModule(task, "module", code));
    case "modules": {
      const list = await modules(rounds.at(-1)!.samples);
      return (await electedOf(sandbox, list, task, { modules: k, inputs, examples: true }, context.signal)).map(
        ({ representative }) => representative,
      );
    }
    case "no-filter": {
      const list = await modules(rounds.at(-1)!.samples);
      return clustered(list, await embedded(list));
    }
  }
  if (kept.length === 0) return undefined;
  if (arm === "whole") return pick(kept, 1, context.random).map(({ code }) => asModule(task, "program", code));
  const list = await modules(kept);
  if (arm === "no-clustering") return distinct(pick(list, list.length, context.random)).slice(0, k);
  if (arm === "placebo") return pick(foreign, Math.min(k, list.length), context.random);
  if (arm === "behaviour") {
    const outputs = await behaviours(sandbox, list, task, inputs, context.signal);
    return clustered(
      list,
      outputs.map((output) => behaviourVector(output, inputs)),
    );
  }
  return clustered(list, await embedded(list));
}

/**
 * Runs an arm on a problem and gives its rounds, tested. The first round is that of its pool ("direct" for direct and
 * self-debug, else "modular"). Where a round has nothing to show (a frozen problem) the arm samples blindly with the modular
 * prompt, which is what its pool holds, and where a program needs no repair its share of the samples is drawn anew: so
 * every arm has the same samples, and such rounds cost no model.
 * @throws TesseraError ABORTED, MODEL_FAILED, BAD_ARGUMENT for an arm that does not exist.
 */
export async function runArm(
  arm: Arm,
  task: Task,
  pools: Pools,
  settings: ArmSettings,
  context: Context,
): Promise<readonly Round[]> {
  if (!arms.includes(arm))
    throw new TesseraError("BAD_ARGUMENT", `there is no arm "${arm}"`, { hint: `known: ${arms.join(", ")}` });
  if (arm === "direct" || arm === "modular") return pools[arm];
  const { style, characters, count } = settings;
  const rounds: Round[] = [pools[arm === "self-debug" ? "direct" : "modular"][0]!];
  for (const [turn, k] of settings.clusters.entries()) {
    if (arm === "self-debug") {
      const before = rounds.at(-1)!.samples;
      const failing = before.filter(({ verdict }) => !verdict?.passed);
      const prompts = failing.map((one) => debugPrompt(task, one, style, characters));
      const repaired = (await sampled(prompts, task, settings, context)).samples.values();
      const fresh = pools.direct[turn + 1]!.samples;
      rounds.push({
        samples: before.map(({ verdict }, place) => (verdict?.passed ? fresh[place]! : repaired.next().value!)),
      });
      continue;
    }
    const modules = (await shown(arm, task, rounds, k, settings, context)) ?? [];
    if (arm === "modules") {
      const round = rounds.pop()!;
      rounds.push({ ...round, assembled: await assembledAndTested(round, modules, task, settings, context) });
    }
    rounds.push(
      modules.length === 0
        ? { samples: pools.modular[turn + 1]!.samples }
        : await sampled(Array(count).fill(revisePrompt(task, modules, style, characters)), task, settings, context),
    );
  }
  return rounds;
}

async function assembledAndTested(
  { samples }: Round,
  modules: readonly CodeModule[],
  task: Task,
  { sandbox }: ArmSettings,
  { signal }: Context,
): Promise<Sample[]> {
  const made = await assembled(samples, modules, task);
  return Promise.all(
    made.map(async (one) => ({ ...one, verdict: await sandbox.judge(one.code, task.tests, task.language, signal) })),
  );
}

/** The pools of a problem. */
export async function poolsOf(
  task: Task,
  settings: ArmSettings,
  context: (pool: keyof Pools) => Context,
): Promise<Pools> {
  const { clusters, count, style, characters } = settings;
  const pool = async (messages: Message[], own: Context): Promise<Round[]> => {
    const { samples } = await sampled(Array((clusters.length + 1) * count).fill(messages), task, settings, own);
    return [0, ...clusters].map((_, round) => ({ samples: samples.slice(round * count, (round + 1) * count) }));
  };
  const [direct, modular] = await Promise.all([
    pool(directPrompt(task, style, characters), context("direct")),
    pool(modularPrompt(task, style, characters), context("modular")),
  ]);
  return { direct, modular };
}

/**
 * The pools that a log holds of a problem under a seed, tested again; `undefined` where a round of them is missing. A log holds
 * programs alone, so that answers of more than a program (the headers of the "full" style) have to be drawn again.
 */
export async function loggedPools(
  log: readonly LoggedSample[],
  task: Task,
  seed: number,
  { clusters, sandbox }: Pick<ArmSettings, "clusters" | "sandbox">,
): Promise<Pools | undefined> {
  const own = log.filter((one) => one.problem === task.id && one.seed === seed);
  const pool = (arm: keyof Pools): Promise<Round[]> =>
    Promise.all(
      [0, ...clusters].map(async (_, round) => ({
        samples: await Promise.all(
          own
            .filter((one) => one.arm === arm && one.round === round)
            .map(async ({ code, tokens }, place) => ({
              ...{ id: `${task.id}/${arm}:${round}.${place}`, text: code, code, headers: [], tokens },
              verdict: await sandbox.judge(code, task.tests, task.language),
            })),
        ),
      })),
    );
  const [direct, modular] = await Promise.all([pool("direct"), pool("modular")]);
  return [...direct, ...modular].every(({ samples }) => samples.length > 0) ? { direct, modular } : undefined;
}

/** Draws samples and runs their public tests. */
async function sampled(
  prompts: readonly Message[][],
  task: Task,
  { model, sandbox, maxTokens, temperature }: ArmSettings,
  context: Context,
): Promise<Round> {
  const samples = await Promise.all(
    prompts.map(async (messages, place): Promise<PaidSample> => {
      let tokens = 0;
      const own: Context = {
        ...context,
        path: `${context.path}:${place}`,
        spend(use) {
          tokens += use.tokens ?? 0;
          context.spend(use);
        },
      };
      const [one] = await draw(model, [messages], task, { maxTokens, temperature }, own);
      const verdict = await sandbox.judge(one!.code, task.tests, task.language, context.signal);
      return { ...one!, verdict, tokens };
    }),
  );
  return { samples };
}
