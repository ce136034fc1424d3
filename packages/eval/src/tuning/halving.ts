import { TesseraError } from "@tessera/core";
import { mean } from "@tessera/core/internal";

/** One rung of a search: how many candidates still take part, and how many questions each has been asked after it. */
interface Rung {
  readonly candidates: number;
  readonly questions: number;
}

/** The whole search, laid out before it begins. */
export interface SearchPlan {
  readonly rungs: readonly Rung[];
  /** The most runs of a flow on a question: of the rungs, of the flow that is tuned, and of the comparison at the end. */
  readonly runs: number;
}

interface PlanSettings {
  /** How many combinations of values there are. */
  readonly combinations: number;
  /** How many questions are for choosing, and how many for the comparison at the end. */
  readonly choosing: number;
  readonly unseen: number;
  /** The most runs; by default 40 % of asking every combination every question for choosing, if so few are enough. */
  readonly runs?: number | undefined;
}

/** Each rung keeps a third of the candidates and asks three times as many questions. */
const factor = 3;
/** A rung asks no fewer questions than this: the order of candidates on fewer is chance. */
const fewest = 8;
/** The share of a whole grid's runs that a search may take where no budget is given. */
const share = 0.4;
/** The most candidates of a search where no budget is given. */
const mostCandidates = 1000;

const ceiling = (value: number, power: number): number => Math.ceil(value / factor ** power);

/** The rungs of a search that asks every remaining candidate all questions after `halvings` reductions. */
const rungsOf = (candidates: number, questions: number, halvings: number): Rung[] =>
  Array.from({ length: halvings + 1 }, (_, index) => ({
    candidates: ceiling(candidates, index),
    questions: Math.min(questions, Math.max(Math.min(fewest, questions), ceiling(questions, halvings - index))),
  }));

const runsOf = (rungs: readonly Rung[]): number =>
  rungs.reduce(
    (sum, { candidates, questions }, index) => sum + candidates * (questions - (rungs[index - 1]?.questions ?? 0)),
    0,
  );

/**
 * Lays out a search by successive halving (Jamieson and Talwalkar 2016): all candidates are asked a few questions, the best
 * third of them more, and so on, until those that are left have been asked all. It takes as few reductions as the runs
 * permit, since each is a chance to lose the best one, and as many candidates as fit.
 * @throws TesseraError BAD_ARGUMENT where the runs are too few for one candidate.
 */
export function planSearch({ combinations, choosing, unseen, runs }: PlanSettings): SearchPlan {
  const fixed = choosing + 2 * unseen;
  const total = (rungs: readonly Rung[]): SearchPlan => ({ rungs, runs: runsOf(rungs) + fixed });
  const plans = (candidates: number): SearchPlan[] => {
    const most = Math.ceil(Math.log(Math.max(1, candidates)) / Math.log(factor));
    return Array.from({ length: most + 1 }, (_, halvings) => total(rungsOf(candidates, choosing, halvings)));
  };
  if (runs === undefined) {
    const candidates = Math.min(combinations, mostCandidates);
    const laid = plans(candidates);
    return laid.find((plan) => runsOf(plan.rungs) + choosing <= share * candidates * choosing) ?? cheapest(laid);
  }
  const fits = (candidates: number) => plans(candidates).find((plan) => plan.runs <= runs);
  let [low, high] = [0, combinations];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  const plan = low > 0 ? fits(low) : undefined;
  if (plan) return plan;
  throw new TesseraError("BAD_ARGUMENT", `${runs} runs are too few for this search`, {
    hint: `one candidate takes ${cheapest(plans(1)).runs}; give more runs or fewer questions`,
  });
}

const cheapest = (plans: readonly SearchPlan[]): SearchPlan =>
  plans.reduce((best, plan) => (plan.runs < best.runs ? plan : best));

/** What a candidate has reached so far. */
export interface Standing<C> {
  readonly candidate: C;
  /** The values of the questions that it has been asked, in their order; larger is better. */
  readonly values: readonly number[];
  /** Why it takes no further part, although it was not the worst: a question failed. */
  readonly failure?: string | undefined;
}

/** Asks a candidate the first `count` questions and gives all its values, or says why that failed. */
type AskCandidate<C> = (
  candidate: C,
  count: number,
) => Promise<{ values: readonly number[]; failure?: string | undefined }>;

/**
 * Runs a search as it was laid out. Candidates of equal means stay in their given order.
 * @returns every candidate, the best first: those asked most questions before those that left earlier.
 */
export async function halve<C>(
  candidates: readonly C[],
  { rungs }: SearchPlan,
  ask: AskCandidate<C>,
): Promise<Standing<C>[]> {
  let remaining: Standing<C>[] = candidates.map((candidate) => ({ candidate, values: [] }));
  const left: Standing<C>[] = [];
  for (const { candidates: places, questions } of rungs) {
    // the places of those that failed go to nobody: what they saved is saved
    left.unshift(...remaining.splice(places));
    const asked: Standing<C>[] = [];
    for (const { candidate } of remaining) asked.push({ candidate, ...(await ask(candidate, questions)) });
    remaining = asked.filter(({ failure }) => failure === undefined).sort((a, b) => mean(b.values) - mean(a.values));
    left.push(...asked.filter(({ failure }) => failure !== undefined));
  }
  return [...remaining, ...left];
}
