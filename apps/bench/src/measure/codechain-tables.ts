import {
  type ArmReport,
  bestRound,
  budgetOf,
  type Comparison,
  compareArms,
  type Groups,
  grouped,
  reportArms,
  type ScoredSample,
  type Side,
  type Task,
} from "@tessera/coder/internal";
import type { Report } from "./report.js";

const percent = (value: number): string => (Number.isNaN(value) ? "–" : (100 * value).toFixed(1));
const interval = ({ value, low, high }: Comparison["difference"]): string =>
  `${signed(value)} [${signed(low)}, ${signed(high)}]`;
const signed = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`;

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

/** The page's figures: arms, comparisons with intervals, and the same by kind of problem. */
export function tablesOf(tasks: readonly Task[], scored: readonly ScoredSample[], report: Report): string {
  const ids = (holds: (task: Task) => boolean) => new Set(tasks.filter(holds).map(({ id }) => id));
  const of = (problems: ReadonlySet<string>) => scored.filter(({ problem }) => problems.has(problem));
  const development = grouped(of(ids(({ split }) => split === "development")));
  const tested = ids(({ split }) => split !== "development");
  const groups = grouped(of(tested));
  const last = scored.reduce((most, { round }) => Math.max(most, round), 0);
  const chosen = new Map(
    [...groups.keys()].map((arm) => [arm, development.has(arm) ? bestRound(development, arm) : last]),
  );
  const seeds = [...new Set(scored.map(({ seed }) => seed))].sort((a, b) => a - b);
  const arms = reportArms(groups, last);
  for (const { arm, passAt1ByRound: _, ...figures } of arms)
    for (const [metric, value] of Object.entries(figures)) report.add(arm, metric, value, "");

  const pass1 = (arm: string): Side =>
    arm === "direct" || arm === "modular"
      ? { arm, measure: "passAll", round: last }
      : { arm, measure: "passAt1", round: chosen.get(arm)! };
  const filter = (arm: string): Side => ({ arm, measure: "selectOne", round: last });
  const consensus = (arm: string): Side => ({ arm, measure: "selectConsensus", round: last });
  const sides = [
    pass1("modular"),
    pass1("codechain"),
    filter("modular"),
    consensus("modular"),
    consensus("codechain"),
    consensus("modules"),
  ];
  const kinds: [string, (task: Task) => boolean][] = [
    ...[...new Set(tasks.filter(({ id }) => tested.has(id)).map(({ split }) => split))].map(
      (split): [string, (task: Task) => boolean] => [split, (one) => one.split === split],
    ),
    ["text leaves a step out", ({ vague }) => vague],
    ["text is complete", ({ vague }) => !vague],
  ];
  const development1 = reportArms(development, last).find(({ arm }) => arm === "modular")?.passAll ?? Number.NaN;

  return [
    `${tested.size} test problems and ${tasks.length - tested.size} development problems, ${seeds.length} sampling seed${seeds.length > 1 ? "s" : ""} (the problems of each stand under "By seed"), ${arms[0]?.samples ?? 0} samples an arm and problem. pass@1 of modular samples on the development problems: ${percent(development1)} %. All figures in %, intervals of a paired bootstrap over problems, a problem's figure being its mean over seeds (95 %, 10,000 resamples).`,
    "### Arms, on the test problems",
    armTable(arms, chosen),
    "Rounds are chosen on the development problems. `filter`: one program drawn from those that pass the public tests, its expectation; `consensus`: one of the largest group of those that behaves alike. Both choose from all rounds. Tokens are thousands a problem, prompts counted for each sample.",
    ...comparisons(groups, { pass1, filter, consensus }),
    "### By kind of problem",
    partTable(
      kinds.map(([name, holds]) => [name, of(ids((one) => tested.has(one.id) && holds(one)))]),
      sides,
    ),
    "### By seed",
    partTable(
      seeds.map((seed) => [`seed ${seed}`, of(tested).filter((one) => one.seed === seed)]),
      sides,
    ),
  ].join("\n\n");
}

/** Ways to make one figure of an arm. */
interface Measures {
  readonly pass1: (arm: string) => Side;
  readonly filter: (arm: string) => Side;
  readonly consensus: (arm: string) => Side;
}

/** The tables that compare arms, with their headings. */
function comparisons(groups: Groups, { pass1, filter, consensus }: Measures): string[] {
  const others = [...groups.keys()].filter((arm) => arm !== "modular");
  return [
    "### pass@1 against modular samples",
    comparisonTable(
      [...others.map(pass1), filter("modular"), consensus("modular")].map((left) =>
        compareArms(groups, left, pass1("modular")),
      ),
    ),
    "### Selecting one program, against filter and consensus over modular samples",
    comparisonTable(
      others
        .flatMap((arm) => [filter(arm), consensus(arm)])
        .map((left) => compareArms(groups, left, consensus("modular"))),
      others
        .flatMap((arm) => [filter(arm), consensus(arm)])
        .map((left) => compareArms(groups, left, consensus("modular"), budgetOf(groups, "modular"))),
    ),
    "`at equal tokens` drops the last samples of an arm where it spent more tokens on the problem than modular sampling.",
    "### What makes the difference",
    comparisonTable(
      (["no-clustering", "no-filter", "placebo", "whole", "oracle", "behaviour", "modules", "self-debug"] as const)
        .filter((arm) => groups.has(arm))
        .map((arm) => compareArms(groups, pass1("codechain"), pass1(arm))),
    ),
  ];
}

function armTable(arms: readonly ArmReport[], chosen: ReadonlyMap<string, number>): string {
  const rounds = arms[0]?.passAt1ByRound.map((_, round) => `pass@1, round ${round}`) ?? [];
  return markdown(
    [
      "arm",
      "problems",
      ...rounds,
      "chosen",
      "pass@5",
      "any right",
      "filter",
      "consensus",
      "fails hidden tests of those that pass",
      "program in answer",
      "tokens",
    ],
    arms.map((one) => [
      one.arm,
      String(one.problems),
      ...one.passAt1ByRound.map(percent),
      String(chosen.get(one.arm)),
      ...[one.passAt5, one.coverage, one.selectOne, one.selectConsensus, one.hiddenFail, one.extractable].map(percent),
      (one.tokens / 1000).toFixed(1),
    ]),
  );
}

const names = { passAt1: "pass@1", passAll: "pass@1", selectOne: "filter", selectConsensus: "consensus" };
const named = ({ arm, measure, round }: Side): string =>
  `${arm}, ${names[measure]}${measure === "passAt1" ? ` of round ${round}` : ""}`;

function comparisonTable(comparisons: readonly Comparison[], atEqualTokens?: readonly Comparison[]): string {
  const right = comparisons[0]?.right;
  const same = comparisons.every((one) => named(one.right) === named(right!));
  return markdown(
    [
      same ? `less ${named(right!)}` : "",
      "problems",
      "difference",
      "relative",
      ...(atEqualTokens ? ["difference at equal tokens"] : []),
    ],
    comparisons.map((one, place) => [
      same ? named(one.left) : `${named(one.left)}, less ${named(one.right)}`,
      String(one.problems),
      interval(one.difference),
      interval(one.relative),
      ...(atEqualTokens ? [interval(atEqualTokens[place]!.difference)] : []),
    ]),
  );
}

/** The main figures on parts of the samples, with the difference that CodeChain makes there. */
function partTable(parts: readonly (readonly [string, readonly ScoredSample[]])[], sides: readonly Side[]): string {
  return markdown(
    ["samples", "problems", ...sides.map(named), "codechain less modular, consensus"],
    parts.map(([name, samples]) => {
      const groups = grouped(samples);
      const values = sides.map(
        (side) => reportArms(groups, side.round).find(({ arm }) => arm === side.arm)?.[side.measure] ?? Number.NaN,
      );
      const consensus = (arm: string): Side => ({ arm, measure: "selectConsensus", round: sides[0]!.round });
      const { problems, difference } = compareArms(groups, consensus("codechain"), consensus("modular"));
      return [name, String(problems), ...values.map(percent), interval(difference)];
    }),
  );
}
