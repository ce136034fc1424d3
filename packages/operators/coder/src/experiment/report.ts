// internal: grouped, ArmReport, Side, Comparison, budgetOf, bestRound, reportArms, compareArms, Groups
import { mean } from "@tessera/core/internal";
import { entry } from "./log.js";
import { type Figures, figuresOf, type ScoredSample } from "./score.js";
import { type Interval, pairedBootstrap } from "./statistics.js";

/** Scored samples by arm, problem and seed, each list in the order of its log. */
export type Groups = ReadonlyMap<string, ReadonlyMap<string, ReadonlyMap<number, readonly ScoredSample[]>>>;

/** Groups what was scored once, for all that is reported of it. */
export function grouped(scored: readonly ScoredSample[]): Groups {
  const arms = new Map<string, Map<string, Map<number, ScoredSample[]>>>();
  for (const one of scored) {
    const problems = entry(arms, one.arm, () => new Map<string, Map<number, ScoredSample[]>>());
    const seeds = entry(problems, one.problem, () => new Map<number, ScoredSample[]>());
    entry(seeds, one.seed, (): ScoredSample[] => []).push(one);
  }
  return arms;
}

/** One arm's means over problems, of means over seeds. */
export interface ArmReport extends Readonly<Record<Exclude<keyof Figures, "hiddenFail">, number>> {
  readonly arm: string;
  /** How many problems it ran on. */
  readonly problems: number;
  readonly hiddenFail: number;
  /** By round, the published measure. */
  readonly passAt1ByRound: number[];
}

/** What is compared: a figure of an arm up to a round. */
export interface Side {
  readonly arm: string;
  readonly measure: "passAt1" | "passAll" | "selectOne" | "selectConsensus";
  readonly round: number;
}

/** An arm against another, paired by problem. */
export interface Comparison {
  readonly left: Side;
  readonly right: Side;
  /** How many problems both have. */
  readonly problems: number;
  readonly difference: Interval;
  readonly relative: Interval;
}

/** The tokens that each problem and seed may spend: what another arm spent on it. */
type Budget = (problem: string, seed: number) => number;

/** Gives every arm what `arm` spent on the same problem under the same seed. */
export const budgetOf = (groups: Groups, arm: string): Budget => {
  const problems = groups.get(arm);
  return (problem, seed) =>
    (problems?.get(problem)?.get(seed) ?? []).reduce((sum, { tokens }) => sum + tokens, 0) || Number.POSITIVE_INFINITY;
};

/** An arm's figures by problem and seed. */
function figures(groups: Groups, arm: string, round: number, budget?: Budget): Map<string, Map<number, Figures>> {
  return new Map(
    [...(groups.get(arm) ?? [])].map(([problem, seeds]) => [
      problem,
      new Map([...seeds].map(([seed, samples]) => [seed, figuresOf(samples, round, budget?.(problem, seed))])),
    ]),
  );
}

const lastRoundOf = (groups: Groups, arm: string): number =>
  [...(groups.get(arm)?.values() ?? [])]
    .flatMap((seeds) => [...seeds.values()].flat())
    .reduce((last, { round }) => Math.max(last, round), 0);

const passAt1Of = (groups: Groups, arm: string, round: number): number =>
  mean(
    [...figures(groups, arm, round).values()].map((seeds) => mean([...seeds.values()].map(({ passAt1 }) => passAt1))),
  );

/** The round with the best mean pass@1 of an arm: to be chosen on development problems alone. */
export function bestRound(groups: Groups, arm: string): number {
  const byRound = Array.from({ length: lastRoundOf(groups, arm) + 1 }, (_, round) => passAt1Of(groups, arm, round));
  return byRound.indexOf(Math.max(...byRound));
}

/** What every arm reaches up to a round, within a budget where there is one. */
export function reportArms(groups: Groups, lastRound: number, budget?: Budget): ArmReport[] {
  return [...groups.keys()].map((arm) => {
    const problems = [...figures(groups, arm, lastRound, budget).values()];
    const of = (read: (figures: Figures) => number | undefined) =>
      mean(
        problems.flatMap((seeds) => {
          const known = [...seeds.values()].map(read).filter((value) => value !== undefined);
          return known.length > 0 ? [mean(known)] : [];
        }),
      );
    return {
      ...{ arm, problems: problems.length },
      passAt1: of(({ passAt1 }) => passAt1),
      passAt5: of(({ passAt5 }) => passAt5),
      passAll: of(({ passAll }) => passAll),
      selectOne: of(({ selectOne }) => selectOne),
      selectConsensus: of(({ selectConsensus }) => selectConsensus),
      coverage: of(({ coverage }) => coverage),
      hiddenFail: of(({ hiddenFail }) => hiddenFail),
      extractable: of(({ extractable }) => extractable),
      tokens: of(({ tokens }) => tokens),
      samples: of(({ samples }) => samples),
      passAt1ByRound: Array.from({ length: lastRound + 1 }, (_, round) => passAt1Of(groups, arm, round)),
    };
  });
}

/**
 * One figure against another, with the intervals of a bootstrap over the problems that both have; a problem's figure is the
 * mean over the seeds that both have.
 */
export function compareArms(groups: Groups, left: Side, right: Side, budget?: Budget): Comparison {
  const ours = figures(groups, left.arm, left.round, budget);
  const theirs = figures(groups, right.arm, right.round, budget);
  const pairs = [...ours].flatMap(([problem, own]) => {
    const seeds = [...own.keys()].filter((seed) => theirs.get(problem)?.has(seed));
    const value = (of: ReadonlyMap<number, Figures>, { measure }: Side) =>
      mean(seeds.map((seed) => of.get(seed)![measure]));
    return seeds.length > 0 ? [[value(own, left), value(theirs.get(problem)!, right)] as const] : [];
  });
  const [lefts, rights] = [pairs.map(([value]) => value), pairs.map(([, value]) => value)];
  return {
    ...{ left, right, problems: pairs.length },
    difference: pairedBootstrap(lefts, rights),
    relative: pairedBootstrap(lefts, rights, { kind: "relative" }),
  };
}
