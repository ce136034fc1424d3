// internal: AnswersStudy, evaluateAnswers
import { fileURLToPath } from "node:url";
import { type FlowDocument, type Hit, type LanguageModel, type Passage, TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { type CompiledFlow, compile } from "@tessera/graph";
import { operators } from "@tessera/tessera";
import { ResourceHost } from "@tessera/tessera/internal";
import { converters } from "../../data-sets/converters/catalogue.js";
import { type DataSet, type Question, readDataSet } from "../../data-sets/data-set.js";
import type { Output } from "../../reports/output.js";
import { corpusResources } from "../../runs/corpus.js";
import { read } from "../../runs/evaluate.js";
import type { QuestionResult } from "../../runs/results.js";
import { ruleFlows } from "../model-operators/flows.js";
import { questionsOf, type Task, tasks, twinFigures } from "../model-operators/tasks.js";
import { printTwins } from "../model-operators/twins.js";
import { Recording, Speaker } from "./recording.js";

const dataOf = (name: string): string => fileURLToPath(new URL(`../../../data/${name}`, import.meta.url));

/** What a real model answered, as it comes with the repository. */
const recorded = dataOf("answers/smollm2-135m-instruct.jsonl");

export interface AnswersStudy {
  /** The folder of the published data. */
  readonly folder: string;
  /** Opens the model that answers what is not recorded; the study closes it. Without it, only what is recorded is measured. */
  readonly openModel?: (() => Promise<LanguageModel>) | undefined;
  /** The name of that model, for people. */
  readonly model?: string | undefined;
  /** The file of answers; with a model a new one may begin. By default, without a model, the one that comes with the repository. */
  readonly recording?: string | undefined;
  /** The names of the sets that are asked, separated by commas; by default all. */
  readonly sets?: string | undefined;
  /** The first so many questions of each set. */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Questions of one kind, with what is measured of their answers. */
interface AnswerSet extends Pick<Task, "measure" | "decisive"> {
  readonly name: string;
  /** How many are asked where no limit is given. */
  readonly usual: number;
  open(folder: string): Promise<DataSet>;
  /** The questions of a data set, each with its passages as hits in `metadata.hits` where it names them. */
  questions(dataSet: DataSet): readonly Question[];
}

const answerTask = tasks.find(({ name }) => name === "answer")!;

const sets: readonly AnswerSet[] = [
  {
    name: "held-out",
    usual: 312,
    open: () => readDataSet(dataOf("language-model")),
    questions: (dataSet) => questionsOf(dataSet, answerTask),
    measure: answerTask.measure,
    decisive: answerTask.decisive,
  },
  {
    name: "nq",
    usual: 200,
    open: (folder) => converters.get("nq")!.read(folder),
    questions: ({ questions }) => questions,
    measure: ({ measures }) => ({
      "accepted answer": measures.accuracy ?? 0,
      "right citation": measures["cites gold first"] ?? 0,
      "ROUGE-L": measures["ROUGE-L"] ?? 0,
      refuses: measures.refuses ?? 0,
    }),
    decisive: ["accepted answer"],
  },
];

const about = { query: "text", hits: "hits" } as const;
const output = { answer: "answer.answer" } as const;
const ports = { query: "input.query", hits: "input.hits" } as const;

/** What is compared: the answer of flow `rag`, with room for a small model, and that of flow `hybrid`, from the same hits. */
const byModel: FlowDocument = {
  version: 1,
  name: "answer",
  input: about,
  nodes: {
    answer: { run: "generator.answer", with: { model: "model", maxTokens: 64, contextTokens: 700 }, in: ports },
  },
  output,
};
const byRule: FlowDocument = {
  version: 1,
  name: "extract",
  input: about,
  nodes: { answer: { run: "generator.extract", in: ports } },
  output,
};

/**
 * Answers of a model beside quotations without one, from the same passages: right citations, right refusals and words. Each
 * answer is kept as the model gave it, and read anew by every later run, which then needs no model.
 */
export async function evaluateAnswers(out: Output, options: AnswersStudy): Promise<number> {
  const { openModel, model: name = "model" } = options;
  if (openModel && options.recording === undefined)
    throw new TesseraError("BAD_ARGUMENT", "the answers of a model are kept in a file, and none is named", {
      hint: "name one with --recording; it is gone on with where it was",
    });
  const chosen = setsOf(options.sets);
  const recording = await Recording.open(options.recording ?? recorded, openModel !== undefined);
  const model = await openModel?.();
  try {
    if (model && recording.head && recording.head.revision !== model.revision)
      throw new TesseraError("BAD_ARGUMENT", `the recording is of another model: ${recording.head.model}`, {
        path: recording.path,
        hint: "name another file, or leave --model out",
      });
    const head = model && {
      recording: 1 as const,
      model: name,
      revision: model.revision,
      ...(model.scripted && { scripted: true }),
    };
    const speaker = new Speaker(recording, model && { model, head: head! });
    let failed = false;
    for (const set of chosen) failed = (await measureSet(out, set, { ...options, recording, speaker })) || failed;
    const { same, other } = speaker.requests;
    if (other > 0)
      out.alert(`${other} of ${same + other} answers were given to a prompt that is worded or filled otherwise today`);
    return failed ? 1 : 0;
  } finally {
    await model?.close?.();
  }
}

function setsOf(names: string | undefined): readonly AnswerSet[] {
  if (names === undefined) return sets;
  return names.split(",").map((name) => {
    const set = sets.find((one) => one.name === name.trim());
    if (set) return set;
    throw new TesseraError("BAD_ARGUMENT", `there are no questions "${name.trim()}"`, {
      hint: `they are ${sets.map((one) => one.name).join(", ")}`,
    });
  });
}

interface Measured extends Omit<AnswersStudy, "recording"> {
  readonly recording: Recording;
  readonly speaker: Speaker;
}

/** @returns whether every question failed */
async function measureSet(out: Output, set: AnswerSet, options: Measured): Promise<boolean> {
  const { recording, speaker, openModel, signal, limit } = options;
  const dataSet = await set.open(options.folder);
  // without a model those that are recorded are asked
  const all = set.questions(dataSet).filter(({ id }) => openModel !== undefined || recording.find(set.name, id));
  const questions = all.slice(0, limit ?? (openModel ? set.usual : undefined));
  if (questions.length === 0) {
    out.say(`\n${out.style.bold(set.name)}: nothing is recorded`);
    return false;
  }
  const host = new ResourceHost({
    ...corpusResources(dataSet.passages, { signal }),
    model: { model: speaker.resource },
  });
  try {
    const opened = (document: FlowDocument): Promise<CompiledFlow> => compile(document, { operators, host });
    const [model, rule] = [await opened(byModel), await opened(byRule)];
    let search: Promise<CompiledFlow> | undefined;
    const found = async (query: string): Promise<readonly Hit[]> => {
      search ??= opened(ruleFlows.rewrite);
      return (await (await search).run({ query })).output.hits as Hit[];
    };
    const passages = new Map(dataSet.passages.map((passage) => [passage.id, passage]));
    const results: { model: QuestionResult[]; rule: QuestionResult[] } = { model: [], rule: [] };
    for (const [index, question] of questions.entries()) {
      signal?.throwIfAborted();
      out.progress(set.name, index, questions.length);
      const said = recording.find(set.name, question.id);
      const shown = question.metadata?.hits as unknown as Hit[] | undefined;
      const hits = said ? hitsOf(said.passages, passages) : (shown ?? (await found(question.question)));
      const ids = hits.map(({ passage }) => passage.id);
      speaker.about(set.name, question.id, ids);
      results.model.push(await answered(model, question, hits, signal));
      results.rule.push(await answered(rule, question, hits, signal));
    }
    out.clear();
    const names = { task: set.name, model: "generator.answer", rule: "generator.extract" };
    const figures = twinFigures(set, questions, results.model, results.rule);
    printTwins(out, { ...names, by: recording.head?.model }, figures, results);
    return results.model.every(({ error }) => error !== undefined);
  } finally {
    await host.close();
  }
}

const hitsOf = (ids: readonly string[], passages: ReadonlyMap<string, Passage>): Hit[] =>
  ids.flatMap((id, index): Hit[] => {
    const passage = passages.get(id);
    return passage ? [{ passage, score: ids.length - index, provenance: [] }] : [];
  });

/** What one flow answers, measured; a question that fails is one that was answered wrongly. */
async function answered(
  flow: CompiledFlow,
  question: Question,
  hits: readonly Hit[],
  signal: AbortSignal | undefined,
): Promise<QuestionResult> {
  const result = {
    flow: flow.document.name,
    hash: flow.hash,
    revision: "",
    id: question.id,
    question: question.question,
  };
  const start = performance.now();
  try {
    const ran = await flow.run({ query: question.question, hits } as never, { signal });
    return { ...result, ...read(ran.output, question, { retrievals: 0, ...ran.spent }, performance.now() - start) };
  } catch (error) {
    signal?.throwIfAborted();
    const code = TesseraError.is(error) ? error.code : "NODE_FAILED";
    return { ...result, measures: {}, error: { code, message: messageOf(error) } };
  }
}
