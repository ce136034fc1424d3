// public: TuneSettings, Trial, TunedFlow, Tuning, tune
// internal: SearchSettings, searchSettings
import { join } from "node:path";
import { type FlowDocument, type LanguageModel, TesseraError } from "@tessera/core";
import { canonicalJson, didYouMean, hashDocument, mean, mulberry32 } from "@tessera/core/internal";
import { type CompiledFlow, memoryRecords } from "@tessera/graph";
import type { DataSet, Question } from "../data-sets/data-set.js";
import { type PairedInterval, pairedBootstrap } from "../measures/statistics.js";
import type { Output } from "../reports/output.js";
import { type FlowSettings, type Measuring, questionsOf, withMeasuring } from "../runs/flows.js";
import type { QuestionResult } from "../runs/results.js";
import { halve, planSearch, type SearchPlan, type Standing } from "./halving.js";
import {
  combination,
  combinationsOf,
  type SettingChange,
  settingOf,
  type TunedSetting,
  withSettings,
} from "./tuned-settings.js";

/** What is tuned, by which measure, and what the search may cost. */
export interface TuneSettings extends FlowSettings {
  readonly document: FlowDocument;
  readonly dataSet: DataSet;
  readonly settings: readonly TunedSetting[];
  /** The name of a measure, such as "MRR" or "tokens"; every measure of `evaluate` is one. */
  readonly metric: string;
  /** Whether a smaller value is better; by default only for calls, tokens and milliseconds. */
  readonly smaller?: boolean | undefined;
  /** The most runs of the flow on a question, those of the comparison at the end included. */
  readonly runs?: number | undefined;
  /** The most calls of a model. They are counted by the bound of the flow, so that fewer are made. */
  readonly calls?: number | undefined;
  /** Divides the questions into two halves, and chooses the combinations that are tried where not all fit; 0 by default. */
  readonly seed?: number | undefined;
  /** The model "model"; it is not closed. */
  readonly model?: LanguageModel | undefined;
  /** A folder that keeps a file of results for each candidate: run again, the search takes up where it was. */
  readonly out?: string | undefined;
}

/** What a search over questions needs, where somebody else opened the resources. */
export interface SearchSettings
  extends Pick<TuneSettings, "document" | "settings" | "metric" | "smaller" | "runs" | "calls" | "seed" | "out"> {
  readonly questions: readonly Question[];
  /** Hears how the search is laid out, once every value was checked and before anything runs. */
  readonly planned?: ((plan: Pick<Tuning, "plan" | "grid" | "questions" | "smaller">) => void) | undefined;
  /** Hears how many runs are done. */
  readonly progress?: ((done: number, planned: number) => void) | undefined;
  /** Hears what a candidate has reached, each time that it was asked. */
  readonly tried?: ((trial: Trial) => void) | undefined;
}

/** A combination of values that was tried. */
export interface Trial {
  readonly changes: readonly SettingChange[];
  /** The content hash of its document. */
  readonly hash: string;
  /** How many questions for choosing it was asked, and the mean of the measure over them. */
  readonly questions: number;
  readonly mean: number;
  /** Why it took no further part: a question failed. */
  readonly failure?: string | undefined;
}

/** The best trial, beside the flow as it was. */
export interface TunedFlow {
  readonly document: FlowDocument;
  readonly changes: readonly SettingChange[];
  /** The difference on the questions that chose it; it flatters, since the best of many was taken. */
  readonly choosing: PairedInterval;
  /** The difference on the questions that the search never saw. */
  readonly unseen: PairedInterval;
  /** On how many of those it failed. They are in no mean. */
  readonly failed: number;
}

/** What a search came to. */
export interface Tuning {
  readonly flow: string;
  readonly metric: string;
  readonly smaller: boolean;
  /** The mean of the flow as it was, on the questions for choosing. */
  readonly before: number;
  /** All that was tried, the best first. */
  readonly trials: readonly Trial[];
  /** The best trial; undefined where none was better than the flow as it was on the questions for choosing. */
  readonly best?: TunedFlow | undefined;
  /** Whether the best is better on unseen questions too: it failed on none, and the whole 95 % interval is on its side. */
  readonly confirmed: boolean;
  readonly questions: { readonly choosing: number; readonly unseen: number };
  readonly plan: SearchPlan;
  /** How many combinations there are, and the runs that asking each of them every question for choosing would take. */
  readonly grid: { readonly combinations: number; readonly runs: number };
  /** Runs of a flow on a question, model calls and tokens. What did not change between trials was not computed again. */
  readonly spent: { readonly runs: number; readonly calls: number; readonly tokens: number };
}

/** Measures of cost: a result from a cache has none, so each run computes everything. */
const costs = ["retrievals", "calls", "tokens", "milliseconds"];

/**
 * Searches values for some settings of a flow. The questions are divided in two halves. On the first half, successive
 * halving finds the best combination; on the other, which the search never saw, it is compared with the flow as it was.
 * Every candidate is asked the same questions in the same order, and steps whose input and settings are equal are computed once.
 * A measure that the flow has for some questions only is taken over those.
 * @throws TesseraError BAD_ARGUMENT for a setting, measure or budget that cannot be used, INVALID_FLOW where a value does not fit
 * its operator, BAD_SOURCE for too few questions; else what the flow as it was throws.
 */
export async function tune(output: Output, settings: TuneSettings): Promise<Tuning> {
  const { dataSet, limit, ...search } = settings;
  const questions = questionsOf(dataSet, limit);
  assertSearchable({ ...search, questions });
  const progress = (done: number, planned: number): void => output.progress("tune", done, planned);
  return withMeasuring(output, dataSet, settings, async (measuring) => {
    try {
      return await searchSettings(measuring, { ...search, questions, progress });
    } finally {
      output.clear();
    }
  });
}

/** As `tune`, on what the caller opened. @throws TesseraError as `tune` does */
export async function searchSettings(measuring: Measuring, settings: SearchSettings): Promise<Tuning> {
  const { combinations, choosing, unseen } = assertSearchable(settings);
  return new Search(measuring, settings).over(combinations, choosing, unseen);
}

/** What of a search can be told before anything is opened. @throws TesseraError BAD_ARGUMENT, BAD_SOURCE */
function assertSearchable({ document, settings, questions, seed = 0 }: SearchSettings) {
  const combinations = combinationsOf(settings);
  for (const { at } of settings) settingOf(document, at);
  const [choosing, unseen] = halves(questions, seed);
  return { combinations, choosing, unseen };
}

const leastQuestions = 4;

/** Two halves by chance. @throws TesseraError BAD_SOURCE where a half would be too small to say anything */
function halves(questions: readonly Question[], seed: number): [Question[], Question[]] {
  if (questions.length < 2 * leastQuestions)
    throw new TesseraError(
      "BAD_SOURCE",
      `tuning needs ${2 * leastQuestions} questions, there are ${questions.length}`,
      {
        hint: "half of them choose, and half of them judge the choice",
      },
    );
  const shuffled = [...questions];
  const random = mulberry32(seed);
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[other]] = [shuffled[other]!, shuffled[last]!];
  }
  const middle = Math.ceil(shuffled.length / 2);
  return [shuffled.slice(0, middle), shuffled.slice(middle)];
}

interface Candidate {
  readonly changes: readonly SettingChange[];
  readonly document: FlowDocument;
  readonly hash: string;
}

class Search {
  private readonly cache: ReturnType<typeof memoryRecords> | undefined;
  private readonly flows = new Map<string, Promise<CompiledFlow>>();
  private readonly results = new Map<string, Map<string, QuestionResult>>();
  private readonly spent = { runs: 0, calls: 0, tokens: 0 };
  private readonly sign: 1 | -1;
  private planned = 0;

  constructor(
    private readonly measuring: Measuring,
    private readonly settings: SearchSettings,
  ) {
    const { metric, smaller = costs.includes(metric) } = settings;
    this.sign = smaller ? -1 : 1;
    this.cache = costs.includes(metric) ? undefined : memoryRecords();
  }

  async over(combinations: number, choosing: readonly Question[], unseen: readonly Question[]): Promise<Tuning> {
    const { document, metric } = this.settings;
    const base: Candidate = { changes: [], document, hash: hashDocument(document) };
    const runs = await this.budget(base);
    const plan = planSearch({ combinations, choosing: choosing.length, unseen: unseen.length, runs });
    this.planned = plan.runs;
    const candidates = this.candidates(combinations, plan.rungs[0]!.candidates, base.hash);
    await this.checkAll(candidates);
    const laid = {
      ...{ smaller: this.sign < 0, plan, grid: { combinations, runs: combinations * choosing.length } },
      questions: { choosing: choosing.length, unseen: unseen.length },
    };
    this.settings.planned?.(laid);
    const asked = this.measured(choosing, await this.resultsOf(base, choosing));
    const before = await this.valuesOf(base, asked);
    // questions without the measure are not asked again
    const count = (planned: number) => Math.ceil((planned * asked.length) / choosing.length);
    const standings = await halve(candidates, plan, (candidate, planned) =>
      this.ask(candidate, asked.slice(0, count(planned))),
    );
    const best = await this.judge(base, standings[0], asked, unseen);
    return {
      ...{ flow: document.name, metric, before: this.sign * mean(before), ...laid },
      trials: standings.map((standing) => this.trial(standing)),
      best,
      confirmed: best?.failed === 0 && this.sign * (this.sign > 0 ? best.unseen.low : best.unseen.high) > 0,
      spent: this.spent,
    };
  }

  /** The most runs: as given, or as many as the given calls are enough for. */
  private async budget(base: Candidate): Promise<number | undefined> {
    const { runs, calls } = this.settings;
    const perRun = (await this.flow(base)).bound.calls;
    if (calls === undefined || perRun === 0) return runs;
    return Math.min(runs ?? Number.POSITIVE_INFINITY, Math.floor(calls / perRun));
  }

  /** So many combinations: all, or some by chance; never the flow as it was. */
  private candidates(combinations: number, wanted: number, base: string): Candidate[] {
    const numbers = new Set<number>();
    const random = mulberry32((this.settings.seed ?? 0) + 1);
    if (wanted >= combinations) for (let number = 0; number < combinations; number++) numbers.add(number);
    while (numbers.size < Math.min(wanted, combinations)) numbers.add(Math.floor(random() * combinations));
    const { document, settings } = this.settings;
    const made = [...numbers].map((number): Candidate => {
      const changes = combination(settings, number)
        .map(({ at, to }) => ({ at, from: settingOf(document, at), to }))
        .filter(({ from, to }) => canonicalJson(from ?? null) !== canonicalJson(to) || from === undefined);
      const changed = withSettings(document, changes);
      return { changes, document: changed, hash: hashDocument(changed) };
    });
    // of equal ones, those that change least win
    return made.filter(({ hash }) => hash !== base).sort((a, b) => a.changes.length - b.changes.length);
  }

  /** @throws TesseraError INVALID_FLOW with the values that do not fit */
  private async checkAll(candidates: readonly Candidate[]): Promise<void> {
    for (const candidate of candidates)
      try {
        await this.flow(candidate);
      } catch (error) {
        if (!TesseraError.is(error)) throw error;
        const values = candidate.changes.map(({ at, to }) => `${at} = ${JSON.stringify(to)}`).join(", ");
        throw new TesseraError(error.code, `with ${values}: ${error.message}`, {
          path: error.path,
          hint: error.hint,
          cause: error,
        });
      }
  }

  private flow({ document, hash }: Candidate): Promise<CompiledFlow> {
    let flow = this.flows.get(hash);
    if (!flow) {
      flow = this.measuring.compile(document, this.cache);
      this.flows.set(hash, flow);
    }
    return flow;
  }

  /** The results of some questions; those that were asked before are not asked again. */
  private async resultsOf(candidate: Candidate, questions: readonly Question[]): Promise<QuestionResult[]> {
    const known = this.results.get(candidate.hash) ?? new Map<string, QuestionResult>();
    this.results.set(candidate.hash, known);
    const open = questions.filter(({ id }) => !known.has(id));
    const before = this.spent.runs;
    const out = this.settings.out && join(this.settings.out, `${candidate.hash.slice(0, 16)}.jsonl`);
    const results = await this.measuring.measure(await this.flow(candidate), open, {
      out,
      progress: ({ done }) => this.settings.progress?.(before + done, this.planned),
    });
    this.spent.runs += open.length;
    for (const result of results) {
      known.set(result.id, result);
      this.spent.calls += result.measures.calls ?? 0;
      this.spent.tokens += result.measures.tokens ?? 0;
    }
    return questions.map(({ id }) => known.get(id)!);
  }

  /** The questions for which the flow as it was has the measure. @throws what a question failed of, or BAD_ARGUMENT */
  private measured(questions: readonly Question[], results: readonly QuestionResult[]): Question[] {
    const failed = results.find(({ error }) => error)?.error;
    if (failed) {
      const { message, path } = failed;
      throw new TesseraError("NODE_FAILED", `the flow as it was failed on a question: ${message}`, { path });
    }
    const { metric } = this.settings;
    const has = (index: number) => results[index]!.measures[metric] !== undefined;
    const found = questions.filter((_, index) => has(index));
    if (found.length > 0) return found;
    const known = [...new Set(results.flatMap(({ measures }) => Object.keys(measures)))];
    throw new TesseraError("BAD_ARGUMENT", `"${metric}" was not measured`, {
      path: "metric",
      hint: didYouMean(metric, known),
    });
  }

  /** The values of the measure, larger is better. */
  private async valuesOf(candidate: Candidate, questions: readonly Question[]): Promise<number[]> {
    const results = await this.resultsOf(candidate, questions);
    return results.map(({ measures }) => this.sign * (measures[this.settings.metric] ?? 0));
  }

  private async ask(candidate: Candidate, questions: readonly Question[]) {
    const values = await this.valuesOf(candidate, questions);
    const failed = (await this.resultsOf(candidate, questions)).find(({ error }) => error)?.error;
    const reached = { values, failure: failed && `${failed.code}: ${failed.message}` };
    this.settings.tried?.(this.trial({ candidate, ...reached }));
    return reached;
  }

  private trial({ candidate, values, failure }: Standing<Candidate>): Trial {
    const { changes, hash } = candidate;
    return {
      changes,
      hash,
      questions: values.length,
      mean: this.sign * mean(values),
      ...(failure !== undefined && { failure }),
    };
  }

  /** Compares the best with the flow as it was, on questions that the search never saw. */
  private async judge(
    base: Candidate,
    first: Standing<Candidate> | undefined,
    asked: readonly Question[],
    unseen: readonly Question[],
  ): Promise<TunedFlow | undefined> {
    if (!first || first.failure !== undefined) return undefined;
    const { candidate } = first;
    const before = (await this.valuesOf(base, asked)).slice(0, first.values.length);
    if (mean(first.values) <= mean(before)) return undefined;
    const metric = this.settings.metric;
    const [left, right] = [await this.resultsOf(base, unseen), await this.resultsOf(candidate, unseen)];
    const failed = right.filter(({ error }) => error).length;
    const pairs = left
      .map(({ measures }, index) => [measures[metric], right[index]!.measures[metric]] as const)
      .filter((pair): pair is readonly [number, number] => pair.every((value) => value !== undefined));
    if (pairs.length === 0)
      throw new TesseraError("BAD_SOURCE", `no unseen question has the measure "${metric}"`, {
        hint: "give more questions",
      });
    return {
      failed,
      document: candidate.document,
      changes: candidate.changes,
      choosing: pairedBootstrap(
        first.values.map((value) => this.sign * value),
        before.map((value) => this.sign * value),
      ),
      unseen: pairedBootstrap(
        pairs.map(([, after]) => after),
        pairs.map(([was]) => was),
      ),
    };
  }
}
