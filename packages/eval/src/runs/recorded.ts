// internal: RecordedRun, measureRecorded
import { messageOf } from "@tessera/core/internal";
import type { Question } from "../data-sets/data-set.js";
import { type Comparison, compare, type Summary, summarise } from "../reports/figures.js";
import { read } from "./evaluate.js";
import type { QuestionResult } from "./results.js";

/** A run that somebody else has made for a question. */
export interface RecordedRun {
  /** The id of the question. */
  readonly id: string;
  /** Nothing where the run failed. */
  readonly output?: Readonly<Record<string, unknown>> | undefined;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
  readonly spent: { readonly calls: number; readonly tokens: number };
  readonly retrievals: number;
  readonly milliseconds: number;
}

/** The runs of one flow over the questions of a set. */
interface RecordedFlow {
  readonly flow: string;
  readonly runs: readonly RecordedRun[];
}

interface MeasuredFlows {
  readonly results: readonly (readonly QuestionResult[])[];
  readonly summaries: readonly Summary[];
  /** Of each flow but the first, beside the first. */
  readonly comparisons: readonly Comparison[];
}

/** Measures runs that were made before, as `evaluate` measures those that it makes. Runs of unknown questions are left out. */
export function measureRecorded(questions: readonly Question[], flows: readonly RecordedFlow[]): MeasuredFlows {
  const known = new Map(questions.map((question) => [question.id, question]));
  const measured = ({ flow, runs }: RecordedFlow): QuestionResult[] =>
    runs.flatMap(({ id, output, error, spent, retrievals, milliseconds }): QuestionResult[] => {
      const question = known.get(id);
      if (!question) return [];
      const result = { flow, hash: flow, revision: "recorded", id, question: question.question };
      if (output === undefined) {
        const why = error ?? { code: "NODE_FAILED", message: "the run gave nothing" };
        return [{ ...result, measures: {}, error: { code: why.code, message: why.message } }];
      }
      try {
        return [{ ...result, ...read(output, question, { retrievals, ...spent }, milliseconds) }];
      } catch (thrown) {
        return [{ ...result, measures: {}, error: { code: "BAD_OUTPUT", message: messageOf(thrown) } }];
      }
    });
  const results = flows.map(measured).filter((list) => list.length > 0);
  const whole = (list: readonly QuestionResult[]) => list.some(({ error }) => !error);
  const [first, ...others] = results;
  return {
    results,
    summaries: results.map((list) => summarise(list)),
    comparisons: first && whole(first) ? others.filter(whole).map((list) => compare(first, list)) : [],
  };
}
