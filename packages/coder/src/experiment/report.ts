import { type Figures, figuresOf, type ScoredSample } from "./score.js";
import { type Interval, pairedBootstrap } from "./statistics.js";

/** One arm's means over problems and seeds. */
export interface ArmReport extends Readonly<Record<Exclude<keyof Figures, "hiddenFail">, number>> {
  readonly arm: string;
  readonly hiddenFail: number;
  /** By round, the published measure. */
  readonly passAt1ByRound: number[];
}

/** An arm against another at equal samples, paired by problem. */
export interface Comparison {
  readonly left: string;
  readonly right: string;
  readonly measure: "passAt1" | "selectOne" | "selectConsensus";
  readonly difference: Interval;
  readonly relative: Interval;
}

const mean = (list: readonly number[]): number =>
  list.length === 0 ? Number.NaN : list.reduce((sum, value) => sum + value, 0) / list.length;

/** Per arm and problem, figures averaged over seeds. */
function table(scored: readonly ScoredSample[], lastRound: number): Map<string, Map<string, Figures[]>> {
  const groups = new Map<string, ScoredSample[]>();
  for (const one of scored) {
    const key = JSON.stringify([one.arm, one.problem, one.seed]);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const result = new Map<string, Map<string, Figures[]>>();
  for (const [key, samples] of groups) {
    const [arm, problem] = JSON.parse(key) as [string, string];
    const problems = result.get(arm) ?? new Map<string, Figures[]>();
    problems.set(problem, [...(problems.get(problem) ?? []), figuresOf(samples, lastRound)]);
    result.set(arm, problems);
  }
  return result;
}

/** The round with the best mean pass@1 of an arm: to be chosen on development problems alone. */
export function bestRound(scored: readonly ScoredSample[], arm: string): number {
  const own = scored.filter((one) => one.arm === arm);
  const last = Math.max(0, ...own.map(({ round }) => round));
  const byRound = Array.from({ length: last + 1 }, (_, round) => meanOf(own, arm, round));
  return byRound.indexOf(Math.max(...byRound));
}

const meanOf = (scored: readonly ScoredSample[], arm: string, round: number): number =>
  mean([...(table(scored, round).get(arm)?.values() ?? [])].map((list) => mean(list.map(({ passAt1 }) => passAt1))));

/** What every arm reaches up to a round. */
export function reportArms(scored: readonly ScoredSample[], lastRound: number): ArmReport[] {
  return [...table(scored, lastRound)].map(([arm, problems]) => {
    const of = (read: (figures: Figures) => number | undefined) =>
      mean(
        [...problems.values()].flatMap((list) => {
          const known = list.map(read).filter((value) => value !== undefined);
          return known.length > 0 ? [mean(known)] : [];
        }),
      );
    return {
      arm,
      passAt1: of(({ passAt1 }) => passAt1),
      selectOne: of(({ selectOne }) => selectOne),
      selectConsensus: of(({ selectConsensus }) => selectConsensus),
      coverage: of(({ coverage }) => coverage),
      hiddenFail: of(({ hiddenFail }) => hiddenFail),
      extractable: of(({ extractable }) => extractable),
      tokens: of(({ tokens }) => tokens),
      samples: of(({ samples }) => samples),
      passAt1ByRound: Array.from({ length: lastRound + 1 }, (_, round) => meanOf(scored, arm, round)),
    };
  });
}

/** An arm against another, with the intervals of a bootstrap over the problems that both have. */
export function compareArms(
  scored: readonly ScoredSample[],
  left: string,
  right: string,
  measure: Comparison["measure"],
  lastRound: number,
): Comparison {
  const arms = table(scored, lastRound);
  const [ours, theirs] = [arms.get(left) ?? new Map(), arms.get(right) ?? new Map<string, Figures[]>()];
  const shared = [...ours.keys()].filter((problem) => theirs.has(problem));
  const values = (of: ReadonlyMap<string, Figures[]>) =>
    shared.map((problem) => mean(of.get(problem)!.map((figures) => figures[measure])));
  const pairs = [values(ours), values(theirs)] as const;
  return {
    ...{ left, right, measure },
    difference: pairedBootstrap(...pairs),
    relative: pairedBootstrap(...pairs, { kind: "relative" }),
  };
}
