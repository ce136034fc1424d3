// internal: tasks
import type { Capability, FlowDocument, Hit, Passage } from "@tessera/core";
import type { DataSet, Question } from "../../data-sets/data-set.js";
import { bootstrap, type Interval, type PairedInterval, pairedBootstrap } from "../../measures/statistics.js";
import type { QuestionResult } from "../../runs/results.js";
import { likelihood, modelFlows, ruleFlows } from "./flows.js";

/** What is measured of one question, by name; a measure that does not apply to it is left out. */
type Measures = Readonly<Record<string, number>>;

/** An operator that asks a model, beside what stands in its place without one. */
export interface Task {
  readonly name: string;
  /** Names of the operators, as they are printed. */
  readonly model: string;
  readonly rule: string;
  readonly flows: { readonly model: FlowDocument; readonly rule: FlowDocument };
  /** The kind of question, `metadata.task`. */
  readonly asks: string;
  readonly only?: (question: Question) => boolean;
  /** What the model must be able to do; the task is left out for one that is not. */
  readonly needs?: Capability;
  readonly measure: (result: QuestionResult, question: Question) => Measures;
  /** The measures in all of which the model must be better for it to be the default. */
  readonly decisive: readonly string[];
}

const shows = ({ gold = [] }: Question): boolean => gold.length > 0;

const answered = ({ answer, measures }: QuestionResult, question: Question): Measures => {
  const right = Number((answer?.refused ?? false) !== shows(question) && answer !== undefined);
  return shows(question)
    ? {
        "right citation": measures["cites gold first"] ?? 0,
        "right refusal": right,
        "ROUGE-L": measures["ROUGE-L"] ?? 0,
        "answers what is shown": right,
      }
    : { "right refusal": right, "refuses what is withheld": right };
};

/** The share that is right, of all and of each right choice. */
const chosen =
  (choiceOf: (answer: NonNullable<QuestionResult["answer"]>) => string) =>
  ({ answer }: QuestionResult, { answers: [wanted] = [] }: Question): Measures => {
    const right = Number(answer !== undefined && choiceOf(answer) === wanted);
    return { accuracy: right, [`of "${wanted}"`]: right };
  };

const found = ({ measures }: QuestionResult): Measures =>
  Object.fromEntries(["recall@1", "recall@5", "MRR"].map((name) => [name, measures[name] ?? 0]));

const flowsOf = (name: keyof typeof modelFlows) => ({ model: modelFlows[name], rule: ruleFlows[name] });

/** Every operator that our language model runs. */
export const tasks: readonly Task[] = [
  {
    name: "answer",
    model: "generator.answer",
    rule: "generator.extract",
    flows: flowsOf("answer"),
    asks: "answer",
    measure: answered,
    decisive: ["right citation", "right refusal", "ROUGE-L"],
  },
  {
    name: "verify",
    model: "generator.verify",
    rule: "generator.support",
    flows: flowsOf("verify"),
    asks: "verify",
    measure: chosen(({ text }) => text),
    decisive: ["accuracy"],
  },
  {
    name: "judge",
    model: "router.model-judge",
    rule: "generator.extract", // where it refuses, its judgement is no
    flows: flowsOf("judge"),
    asks: "judge",
    measure: chosen(({ text, refused }) => (refused || text === "no" ? "no" : "yes")),
    decisive: ["accuracy"],
  },
  {
    name: "likelihood",
    model: "reranker.likelihood",
    rule: "generator.extract",
    flows: { model: likelihood, rule: ruleFlows.answer },
    asks: "answer",
    only: shows,
    needs: "score",
    // what the rule cites first, and what the model puts first
    measure: ({ measures }) => ({ "right passage": measures["cites gold first"] ?? measures["recall@1"] ?? 0 }),
    decisive: ["right passage"],
  },
  ...(["rewrite", "hyde"] as const).map(
    (name): Task => ({
      name,
      model: `query.${name}`,
      rule: "the question itself",
      flows: flowsOf(name),
      asks: "answer",
      only: shows,
      measure: found,
      decisive: ["recall@5", "MRR"],
    }),
  ),
];

/** The questions of a task, with the passages that they show as hits, best first. */
export function questionsOf({ passages, questions }: DataSet, { asks, only = () => true }: Task): Question[] {
  const byId = new Map(passages.map((passage) => [passage.id, passage]));
  return questions
    .filter((question) => question.metadata?.task === asks && only(question))
    .map((question) => {
      const shown = (question.metadata?.shown ?? []) as string[];
      const hits = shown.flatMap((id, i): Hit[] => {
        const passage: Passage | undefined = byId.get(id);
        return passage ? [{ passage, score: shown.length - i, provenance: [] }] : [];
      });
      return { ...question, metadata: { ...question.metadata, hits: hits as never } };
    });
}

/** One measure of an operator and its rule twin. */
export interface TwinFigure {
  readonly measure: string;
  readonly model: Interval;
  readonly rule: Interval;
  /** model − rule, paired by question. */
  readonly difference: PairedInterval;
}

/** Every measure on the questions that have it, the decisive ones first. A question that failed counts as answered wrongly. */
export function twinFigures(
  { measure, decisive }: Pick<Task, "measure" | "decisive">,
  questions: readonly Question[],
  model: readonly QuestionResult[],
  rule: readonly QuestionResult[],
): TwinFigure[] {
  const pairs = questions.map((question, i) => [measure(model[i]!, question), measure(rule[i]!, question)] as const);
  const named = new Set(pairs.flatMap(([left]) => Object.keys(left)));
  const names = [
    ...decisive.filter((name) => named.has(name)),
    ...[...named].filter((name) => !decisive.includes(name)),
  ];
  return names.map((name) => {
    const having = pairs.filter(([left]) => left[name] !== undefined);
    const [left, right] = [having.map(([one]) => one[name]!), having.map(([, other]) => other[name]!)];
    return {
      measure: name,
      model: bootstrap(left),
      rule: bootstrap(right),
      difference: pairedBootstrap(left, right),
    };
  });
}

/** Which of the two is to be the default, and the measures that say so: the model only where all intervals are above 0. */
export function decide(
  { decisive }: Pick<Task, "decisive">,
  figures: readonly TwinFigure[],
): { readonly chosen: "model" | "rule"; readonly because: readonly TwinFigure[] } {
  const telling = figures.filter(({ measure }) => decisive.includes(measure));
  const short = telling.filter(({ difference }) => !(difference.low > 0));
  return short.length === 0 ? { chosen: "model", because: telling } : { chosen: "rule", because: short };
}
