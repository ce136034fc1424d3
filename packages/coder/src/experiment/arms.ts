import { type Context, type Encoder, type LanguageModel, type Message, TesseraError } from "@tessera/core";
import { behaviours } from "../behaviour.js";
import { clustersOf } from "../cluster.js";
import { electedOf } from "../elect.js";
import { modulesOf } from "../extract.js";
import type { CodeModule, Sample } from "../problem.js";
import { debugPrompt, directPrompt, modularPrompt, revisePrompt, type Style } from "../prompts.js";
import { behaviourVector, embeddedText } from "../represent.js";
import { draw } from "../sample.js";
import type { Sandbox } from "../sandbox/sandbox.js";
import type { Task } from "./score.js";

/**
 * The arms of the comparison. Each spends rounds × count samples; "direct" and "modular" only sample again, and are what
 * best-of-n, the filter and consensus choose from, so that those cost nothing more.
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

/** A round of samples, with the tokens it cost. */
export interface Round {
  readonly samples: Sample[];
  readonly tokens: number;
}

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
  const all = rounds.flatMap(({ samples }) => samples);
  const passes = ({ verdict }: Sample) => verdict?.passed === true;
  const kept = rounds.findLast(({ samples }) => samples.some(passes))?.samples.filter(passes) ?? [];
  const modules = async (samples: readonly Sample[]) =>
    (await Promise.all(samples.map((one) => modulesOf(one, task.language, task.entry)))).flat();
  const clustered = async (list: readonly CodeModule[], vectors: readonly (readonly number[])[]) =>
    clustersOf(list, vectors, k, 0).map(({ representative }) => representative);
  const embedded = async (list: readonly CodeModule[]) =>
    list.length === 0
      ? []
      : (await encoder.encode(list.map(embeddedText), { kind: "code" }, context.signal)).map((one) => Array.from(one));

  switch (arm) {
    case "oracle":
      return pick(task.modules, k, context.random).map((code) => asModule(task, "module", code));
    case "modules": {
      const list = await modules(all);
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
  if (arm === "no-clustering") return pick(list, k, context.random);
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
 * Runs an arm on a problem from a first round that arms share (direct or modular samples, tested), and gives the rounds
 * after it, tested. A frozen problem samples blindly with the modular prompt, so that every arm spends the same samples;
 * its published figure is that of round 0, which scoring can take from the log.
 * @throws TesseraError ABORTED, MODEL_FAILED, BAD_ARGUMENT for an arm that does not exist.
 */
export async function runArm(
  arm: Arm,
  task: Task,
  first: Round,
  settings: ArmSettings,
  context: Context,
): Promise<Round[]> {
  if (!arms.includes(arm))
    throw new TesseraError("BAD_ARGUMENT", `there is no arm "${arm}"`, { hint: `known: ${arms.join(", ")}` });
  const { model, sandbox, style, characters, count, maxTokens, temperature } = settings;
  const rounds: Round[] = [first];
  for (const k of settings.clusters) {
    let prompts: Message[][];
    if (arm === "self-debug")
      // what passes needs no repair: its share of the samples is drawn anew
      prompts = rounds
        .at(-1)!
        .samples.map((one) =>
          one.verdict?.passed ? directPrompt(task, style, characters) : debugPrompt(task, one, style, characters),
        );
    else {
      const modules =
        arm === "direct" || arm === "modular" ? undefined : await shown(arm, task, rounds, k, settings, context);
      const messages =
        arm === "direct"
          ? directPrompt(task, style, characters)
          : modules && modules.length > 0
            ? revisePrompt(task, modules, style, characters)
            : modularPrompt(task, style, characters);
      prompts = Array(count).fill(messages);
    }
    rounds.push(await sampled(prompts, task, model, sandbox, { maxTokens, temperature }, context));
  }
  return rounds.slice(1);
}

/** Draws samples and runs their public tests. */
export async function sampled(
  prompts: readonly Message[][],
  task: Task,
  model: LanguageModel,
  sandbox: Sandbox,
  how: { maxTokens: number; temperature: number },
  context: Context,
): Promise<Round> {
  let tokens = 0;
  const counting: Context = {
    ...context,
    spend(use) {
      tokens += use.tokens ?? 0;
      context.spend(use);
    },
  };
  const drawn = await draw(model, prompts, task, how, counting);
  const samples = await Promise.all(
    drawn.map(async (one) => ({
      ...one,
      verdict: await sandbox.check(one.code, task.tests, task.language, context.signal),
    })),
  );
  return { samples, tokens };
}
