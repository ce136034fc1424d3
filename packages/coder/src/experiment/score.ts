import type { Json } from "@tessera/core";
import { z } from "zod";
import { publicArguments, signature, similarArguments } from "../behaviour.js";
import { problem } from "../problem.js";
import { type Sandbox, test } from "../sandbox/sandbox.js";
import { passAtK } from "./statistics.js";

/** A problem of an experiment: what a flow may see, and the hidden tests that only scoring sees. */
export const task = problem.extend({
  id: z.string(),
  hidden: z.array(test).min(1),
  /** The true modules, for the arm that shows them. */
  modules: z.array(z.string()).default([]),
});
export type Task = z.infer<typeof task>;

/** A sample as it is logged; scoring needs nothing else, so that a log replays without a model. */
export const loggedSample = z.object({
  problem: z.string(),
  arm: z.string(),
  /** 0 for what the arm began with. */
  round: z.number(),
  seed: z.number(),
  code: z.string(),
  /** Prompt and completion. */
  tokens: z.number(),
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

/** Runs every different program once: public tests, hidden tests, behaviour. Gives the samples in their order. */
export async function scoreSamples(
  sandbox: Sandbox,
  tasks: readonly Task[],
  samples: readonly LoggedSample[],
  signal?: AbortSignal,
): Promise<ScoredSample[]> {
  const byId = new Map(tasks.map((one) => [one.id, one]));
  type Score = Omit<ScoredSample, keyof LoggedSample>;
  const scores = new Map<string, Promise<Score>>();
  const score = async (one: Task | undefined, code: string): Promise<Score> => {
    if (!one || code === "")
      return { extractable: code !== "", passesPublic: false, passesHidden: false, behaviour: "" };
    const { language, entry, tests, hidden } = one;
    const inputs: Json[][] = similarArguments(publicArguments(one), behaviourInputs, 0);
    const [seen, unseen, outcomes] = await Promise.all([
      sandbox.check(code, tests, language, signal),
      sandbox.check(code, hidden, language, signal),
      entry === undefined ? [] : sandbox.call(code, entry, inputs, language, signal),
    ]);
    return {
      extractable: true,
      passesPublic: seen.passed,
      passesHidden: unseen.passed,
      behaviour: JSON.stringify(signature(outcomes)),
    };
  };
  return Promise.all(
    samples.map(async (sample) => {
      const key = JSON.stringify([sample.problem, sample.code]);
      let known = scores.get(key);
      if (!known) {
        known = score(byId.get(sample.problem), sample.code);
        scores.set(key, known);
      }
      return { ...sample, ...(await known) };
    }),
  );
}

/** What one arm reaches on one problem; shares are between 0 and 1. */
export interface Figures {
  /** Of the last round: the published measure. */
  readonly passAt1: number;
  /** One program handed in, drawn from those that pass the public tests (from all programs where none does): its expectation. */
  readonly selectOne: number;
  /** One program handed in from the largest group that behaves alike, of those that pass. */
  readonly selectConsensus: number;
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

/** The figures of one arm on one problem under one seed, up to a round. */
export function figuresOf(samples: readonly ScoredSample[], lastRound: number): Figures {
  const seen = samples.filter(({ round }) => round <= lastRound);
  const right = ({ passesHidden }: ScoredSample) => passesHidden;
  const programs = seen.filter(({ extractable }) => extractable);
  const passing = programs.filter(({ passesPublic }) => passesPublic);
  const pool = passing.length > 0 ? passing : programs;
  const groups = new Map<string, ScoredSample[]>();
  for (const one of pool) groups.set(one.behaviour, [...(groups.get(one.behaviour) ?? []), one]);
  const largest = [...groups.values()].reduce<ScoredSample[]>(
    (best, next) => (next.length > best.length ? next : best),
    [],
  );
  return {
    passAt1: share(
      seen.filter(({ round }) => round === lastRound),
      right,
    ),
    selectOne: share(pool, right),
    selectConsensus: share(largest, right),
    coverage: seen.length === 0 ? 0 : passAtK(seen.length, seen.filter(right).length, seen.length),
    hiddenFail: passing.length === 0 ? undefined : share(passing, (one) => !right(one)),
    extractable: share(seen, ({ extractable }) => extractable),
    tokens: seen.reduce((sum, { tokens }) => sum + tokens, 0),
    samples: seen.length,
  };
}
