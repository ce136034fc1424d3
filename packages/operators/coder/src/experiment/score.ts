// internal: task, Task, LoggedSample, ScoredSample, scoreSamples
import type { Json } from "@tessera/core";
import { z } from "zod";
import { publicArguments, signature, similarArguments } from "../behaviour.js";
import { problem } from "../problem.js";
import { type Sandbox, test } from "../sandbox/sandbox.js";
import { equalValues } from "../sandbox/values.js";
import { passAtK } from "./statistics.js";

/** A problem of an experiment: what a flow may see, and the hidden tests that only scoring sees. */
export const task = problem.extend({
  id: z.string(),
  hidden: z.union([z.string(), z.array(test).min(1)]),
  /** The true modules, for the arm that shows them. */
  modules: z.array(z.string()).default([]),
  /** "development" where rounds and settings may be chosen on it. */
  split: z.string().default("test"),
  /** Whether its text leaves a step out. */
  vague: z.boolean().default(false),
});
export type Task = z.infer<typeof task>;

/** A sample as it is logged; scoring needs nothing else, so that a log replays without a model. */
const loggedSample = z.object({
  problem: z.string(),
  arm: z.string(),
  /** 0 for what the arm began with. */
  round: z.number(),
  seed: z.number(),
  code: z.string(),
  /** Prompt and completion. */
  tokens: z.number(),
  /** Made of modules without a call of the model: chosen from, but no sample. */
  assembled: z.boolean().optional(),
});
export type LoggedSample = z.infer<typeof loggedSample>;

export interface ScoredSample extends LoggedSample {
  /** Whether there was code in the answer. */
  readonly extractable: boolean;
  readonly passesPublic: boolean;
  readonly passesHidden: boolean;
  /** Equal texts are equal behaviour on the public inputs and variations of them. */
  readonly behaviour: string;
}

const behaviourInputs = 32;

type Score = Omit<ScoredSample, keyof LoggedSample>;
const unscored: Score = { extractable: false, passesPublic: false, passesHidden: false, behaviour: "" };

/**
 * Runs every different program once, on the inputs of public tests, hidden tests and variations of the public ones, and
 * gives the samples in their order. Tests that are not all calls of the entry are checked on their own.
 */
export async function scoreSamples(
  sandbox: Sandbox,
  tasks: readonly Task[],
  samples: readonly LoggedSample[],
  signal?: AbortSignal,
): Promise<ScoredSample[]> {
  const byId = new Map(tasks.map((one) => [one.id, one]));
  const scores = new Map<string, Promise<Score>>();
  const scoreOf = async (one: Task | undefined, code: string): Promise<Score> =>
    one && code !== "" ? score(sandbox, one, code, signal) : { ...unscored, extractable: code !== "" };
  return Promise.all(
    samples.map(async (sample) => {
      const key = JSON.stringify([sample.problem, sample.code]);
      const known = scores.get(key) ?? scoreOf(byId.get(sample.problem), sample.code);
      scores.set(key, known);
      return { ...sample, ...(await known) };
    }),
  );
}

async function score(sandbox: Sandbox, one: Task, code: string, signal: AbortSignal | undefined): Promise<Score> {
  const { language, entry, tests, hidden } = one;
  const similar = similarArguments(publicArguments(one), behaviourInputs, 0);
  const given = callsOf(tests, entry);
  const unseen = callsOf(hidden, entry);
  if (entry === undefined || !given || !unseen) {
    const [seen, last, outcomes] = await Promise.all([
      sandbox.judge(code, tests, language, signal),
      sandbox.judge(code, hidden, language, signal),
      entry === undefined ? [] : sandbox.call(code, entry, similar, language, signal),
    ]);
    return {
      ...{ extractable: true, passesPublic: seen.passed, passesHidden: last.passed },
      behaviour: JSON.stringify(signature(outcomes)),
    };
  }
  const calls = [...given, ...unseen];
  const lists: Json[][] = [...calls.map((call) => call.arguments), ...similar];
  const outcomes = await sandbox.call(code, entry, lists, language, signal);
  const passes = (start: number, list: readonly Call[]) =>
    list.length > 0 &&
    list.every(({ expected }, place) => {
      const outcome = outcomes[start + place]!;
      return "value" in outcome && equalValues(outcome.value, expected);
    });
  return {
    extractable: true,
    passesPublic: passes(0, given),
    passesHidden: passes(given.length, unseen),
    behaviour: JSON.stringify(signature(outcomes.slice(calls.length))),
  };
}

type Call = Extract<z.infer<typeof test>, { call: string }>;

/** The tests as calls of the entry; `undefined` where one is something else. */
function callsOf(tests: Task["tests"], entry: string | undefined): Call[] | undefined {
  if (typeof tests === "string") return undefined;
  const calls = tests.filter((one): one is Call => "call" in one && one.call === entry);
  return calls.length === tests.length ? calls : undefined;
}

/** What one arm reaches on one problem; shares are between 0 and 1. */
export interface Figures {
  /** Of the last round: the published measure. */
  readonly passAt1: number;
  /** One program handed in, drawn from those that pass the public tests (from all programs where none does): its expectation. */
  readonly selectOne: number;
  /** One program handed in from the largest group that behaves alike, of those that pass. */
  readonly selectConsensus: number;
  /** Of all rounds: what a blind arm's pass@1 is, since its rounds are alike. */
  readonly passAll: number;
  /** Of the last round, k = 5: whether one of five samples is right. */
  readonly passAt5: number;
  /** Of all rounds together, k as large as there are samples. */
  readonly coverage: number;
  /** Of those that pass the public tests, the part that fails the hidden ones; `undefined` where none passes. */
  readonly hiddenFail: number | undefined;
  readonly extractable: number;
  readonly tokens: number;
  readonly samples: number;
}

const share = <T>(list: readonly T[], holds: (member: T) => boolean): number =>
  list.length === 0 ? 0 : list.filter(holds).length / list.length;

/** What one may hand in: of those that pass the public tests, where there are any, the largest group that behaves alike. */
function choices(candidates: readonly ScoredSample[]): { pool: ScoredSample[]; largest: ScoredSample[] } {
  const programs = candidates.filter(({ extractable }) => extractable);
  const passing = programs.filter(({ passesPublic }) => passesPublic);
  const pool = passing.length > 0 ? passing : programs;
  const groups = new Map<string, ScoredSample[]>();
  for (const one of pool) groups.set(one.behaviour, [...(groups.get(one.behaviour) ?? []), one]);
  const largest = [...groups.values()].reduce<ScoredSample[]>(
    (best, next) => (next.length > best.length ? next : best),
    [],
  );
  return { pool, largest };
}

/**
 * The figures of one arm on one problem under one seed, up to a round, and within a budget: samples count in their order as
 * long as their tokens together stay within it.
 */
export function figuresOf(all: readonly ScoredSample[], lastRound: number, budget = Number.POSITIVE_INFINITY): Figures {
  let spent = 0;
  const within = all.filter(({ round, tokens }) => {
    spent += tokens;
    return round <= lastRound && spent <= budget;
  });
  const seen = within.filter(({ assembled }) => !assembled);
  const last = seen.filter(({ round }) => round === lastRound);
  const right = ({ passesHidden }: ScoredSample) => passesHidden;
  const { pool, largest } = choices(within);
  const passing = seen.filter(({ passesPublic }) => passesPublic);
  const reach = (list: readonly ScoredSample[], k: number) =>
    list.length === 0 ? 0 : passAtK(list.length, list.filter(right).length, Math.min(k, list.length));
  return {
    passAt1: share(last, right),
    passAt5: reach(last, 5),
    passAll: share(seen, right),
    selectOne: share(pool, right),
    selectConsensus: share(largest, right),
    coverage: reach(seen, seen.length),
    hiddenFail: passing.length === 0 ? undefined : share(passing, (one) => !right(one)),
    extractable: share(seen, ({ extractable }) => extractable),
    tokens: seen.reduce((sum, { tokens }) => sum + tokens, 0),
    samples: seen.length,
  };
}
