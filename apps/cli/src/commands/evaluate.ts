import { join, resolve } from "node:path";
import { didYouMean, type FlowDocument, type LanguageModel, sha256, TesseraError } from "@tessera/core";
import {
  compare,
  converters,
  type DataSet,
  type Difference,
  evaluate,
  type QuestionResult,
  readDataSet,
  readResults,
  revisionOf,
  type Summary,
  showInterval,
  summarise,
  writeDataSet,
} from "@tessera/eval";
import { flows } from "@tessera/flows";
import { compile } from "@tessera/graph";
import { HashEncoder } from "@tessera/models";
import { catalogue, operators, ResourceHost } from "@tessera/tessera";
import { type Command, InvalidArgumentError } from "commander";
import { colors } from "../colors.js";
import { corpusResources } from "../corpus.js";
import { readFlow } from "../documents.js";
import { type EncoderOptions, engineOption, openEncoder } from "../engine.js";
import { tasks } from "../generator-figures.js";
import { type LanguageModelOptions, languageModelOptions, openLanguageModel } from "../language-model.js";
import { resourceHints } from "../resource-hints.js";
import type { Terminal } from "../terminal.js";
import { type EncoderEvaluation, evaluateEncoder } from "./evaluate-encoder.js";
import { evaluateGenerator, type GeneratorEvaluation } from "./evaluate-generator.js";
import { evaluateGrid, type GridOptions } from "./evaluate-grid.js";
import { rowCommands } from "./rows/commands.js";
import { studyCommands } from "./studies/commands.js";

interface Evaluation extends EncoderOptions, LanguageModelOptions {
  /** The first so many questions; all by default. */
  readonly limit?: number;
  readonly concurrency?: number;
  readonly signal?: AbortSignal;
}

const extractive = { run: "generator.extract", in: { query: "input.query", hits: "retrieve.hits" } } as const;

/** Parts of the flows of the catalogue, alone, as rows to compare with. */
const denseAlone: FlowDocument = {
  version: 1,
  name: "dense",
  input: { query: "text" },
  nodes: {
    retrieve: {
      run: "retriever.dense",
      with: { store: "dense", encoder: "encoder", top: 20 },
      in: { query: "input.query" },
    },
    answer: extractive,
  },
  output: { answer: "answer.answer", hits: "retrieve.hits" },
};

/** A walk over the given triples, from the entities that the question names and what words find. */
const walk: FlowDocument = {
  ...denseAlone,
  name: "walk",
  nodes: {
    words: { run: "retriever.sparse", with: { store: "sparse", top: 20 }, in: { query: "input.query" } },
    retrieve: {
      run: "indexer.graph-walk",
      with: { graph: "graph", top: 20 },
      in: { query: "input.query", hits: "words.hits" },
    },
    answer: extractive,
  },
};

/**
 * An oracle, no flow to use: each step of the gold decomposition, with the gold answers of the steps before it, is
 * searched by words, and the rankings are fused.
 */
const goldSteps: FlowDocument = {
  version: 1,
  name: "gold-steps",
  input: { query: "text", steps: { list: "text" } },
  nodes: {
    words: {
      run: "retriever.sparse",
      with: { store: "sparse", top: 20 },
      in: { query: "input.steps" },
      each: { over: "query", max: 4 },
    },
    retrieve: { run: "fuser.rrf", with: { k: 2, top: 20 }, in: { lists: "words.hits" } },
    answer: extractive,
  },
  output: { answer: "answer.answer", hits: "retrieve.hits" },
};

/** What the figures of a data set are about; every other measure is in `--json` and in the files of results. */
const headline = [
  "recall@5",
  "all-gold@5",
  "MRR",
  "cites gold first",
  "cites gold",
  "refuses",
  "milliseconds",
] as const;

const compared = ["recall@5", "all-gold@5", "MRR"] as const;

/** Where every question has one gold passage, all of them are found as often as one. */
const telling = (metric: string, { questions }: DataSet): boolean =>
  metric !== "all-gold@5" || questions.some(({ gold = [] }) => gold.length > 1);

/** Whether an operator searches: those of the retrieval module do, but for those that tune a retriever. */
function retrieves(name: string): boolean {
  const about = catalogue.get(name)?.operator.about;
  return about?.module === "retrieval" && about.submodule !== "retriever fine-tuning";
}

interface Measuring extends Omit<Evaluation, keyof LanguageModelOptions> {
  readonly outOf: (flow: string) => string | undefined;
  readonly model?: LanguageModel | undefined;
}

/** Runs flows over one data set, one after the other, on the same resources. */
async function run(
  terminal: Terminal,
  documents: readonly FlowDocument[],
  { passages, questions }: DataSet,
  { outOf, model, ...settings }: Measuring,
): Promise<QuestionResult[][]> {
  const { limit, concurrency, signal } = settings;
  const asked = questions.slice(0, limit);
  if (asked.length === 0)
    throw new TesseraError("BAD_SOURCE", "the data set has no question", {
      path: "questions.jsonl",
      hint: 'a line is {"id": "1", "question": "…"}, with answers and gold where there are any',
    });
  const ids = new Set(passages.map(({ id }) => id));
  const encoder = settings.encoder === undefined ? undefined : await openEncoder(terminal, settings);
  // the stores follow from the data set and from how these encode it
  const space = encoder ? encoder.space({}) : new HashEncoder().space();
  const revision = sha256([revisionOf({ passages, questions }), space, model?.revision ?? ""].join(" "));
  const progress = (done: number): void => terminal.progress("embed", done, passages.length);
  const host = new ResourceHost(
    {
      ...corpusResources(passages, { encoder, signal, progress }),
      // it is lent: other data sets may be asked of it
      ...(model && { model: { model: { ...model, close: async () => {} } } }),
    },
    resourceHints,
  );
  try {
    const all: QuestionResult[][] = [];
    for (const document of documents) {
      const flow = await compile(document, { operators, host });
      const options = { revision, concurrency, signal, retrieves, corpusHas: (id: string) => ids.has(id) };
      all.push(
        await evaluate(flow, asked, {
          ...options,
          out: outOf(document.name),
          progress: ({ done }) => terminal.progress(document.name, done, asked.length),
        }),
      );
      terminal.clear();
    }
    return all;
  } finally {
    await host.close();
    await encoder?.close?.();
  }
}

/** Says how many questions failed, and of what. */
function noteFailures(terminal: Terminal, results: readonly QuestionResult[]): void {
  const reasons = new Map<string, number>();
  for (const { error } of results)
    if (error) {
      const reason = `${error.code}${error.path ? ` at ${error.path}` : ""}: ${error.message}`;
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
  if (reasons.size === 0) return;
  const failed = [...reasons.values()].reduce((sum, count) => sum + count, 0);
  terminal.say(colors.red(`${failed} of ${results.length} questions failed and are in no mean:`));
  for (const [reason, count] of reasons) terminal.say(`  ${count} × ${reason}`);
  for (const [reason, count] of reasons) terminal.line({ failed: count, questions: results.length, reason });
}

const printLines = (terminal: Terminal, data: string, { questions, failed, figures }: Summary): void => {
  for (const figure of figures) terminal.line({ data, ...figure, questions, failed });
};

/** A folder, or its corpus with the questions of another, which have neither gold passages nor answers there. */
async function dataSetOf(data: string, strange: string | undefined): Promise<DataSet> {
  const dataSet = await readDataSet(data);
  if (strange === undefined) return dataSet;
  const { questions } = await readDataSet(strange);
  return { passages: dataSet.passages, questions: questions.map(({ id, question }) => ({ id, question })) };
}

/** Measures one flow on one folder; exit code 1 where every question failed. */
async function evaluateFolder(
  terminal: Terminal,
  {
    flow,
    data,
    questions,
    out,
    ...options
  }: Evaluation & { flow: string; data: string; questions?: string; out?: string },
): Promise<number> {
  const document = await readFlow(flow);
  const dataSet = await dataSetOf(data, questions);
  const model = await openLanguageModel(terminal, options);
  let results: QuestionResult[] | undefined;
  try {
    [results] = await run(terminal, [document], dataSet, { ...options, model, outOf: () => out });
  } finally {
    await model?.close?.();
  }
  const summary = summarise(results!);
  if (terminal.json) printLines(terminal, data, summary);
  else {
    terminal.say(`${summary.flow} on ${data}, ${summary.questions} questions; 95 % intervals by bootstrap`);
    terminal.table(
      ["metric", "mean", "questions"],
      summary.figures.map((figure) => [figure.metric, showInterval(figure), figure.count]),
    );
  }
  noteFailures(terminal, results!);
  return summary.failed === summary.questions ? 1 : 0;
}

const dataFolder = (): string => resolve(process.env.TESSERA_DATA ?? "../shared/data");

function converterOf(name: string) {
  const converter = converters.get(name);
  if (converter) return converter;
  throw new TesseraError("BAD_ARGUMENT", `there is no converter "${name}"`, {
    hint: didYouMean(name, converters.keys()),
  });
}

/** Writes a published data set as a folder that any flow can be measured on. */
async function convert(terminal: Terminal, name: string, folder: string): Promise<number> {
  const dataSet = await converterOf(name).read(dataFolder());
  await writeDataSet(folder, dataSet);
  const counts = { passages: dataSet.passages.length, questions: dataSet.questions.length };
  terminal.result({ name, folder, ...counts });
  terminal.say(`${name}: ${counts.passages} passages and ${counts.questions} questions in ${folder}`);
  return 0;
}

/** Measures the flows without a model on a published data set, beside each other and their parts. */
async function evaluatePublished(
  terminal: Terminal,
  name: string,
  { out, ...options }: Omit<Evaluation, keyof LanguageModelOptions> & { out?: string },
): Promise<number> {
  const converter = converterOf(name);
  const dataSet = await converter.read(dataFolder());
  const [words, hybrid] = ["linear", "hybrid"].map((flow) => flows.get(flow)!.flow.document);
  const documents = [words!, hybrid!, denseAlone, ...(name === "musique" ? [walk, goldSteps] : [])];
  const results = await run(terminal, documents, dataSet, {
    ...options,
    outOf: (flow) => (out === undefined ? undefined : join(out, `${name}-${flow}.jsonl`)),
  });
  const summaries = results.map((list) => summarise(list));
  const [, fused] = results;
  const pairs = results.filter((list) => list !== fused).map((list) => compare(list, fused!));
  if (terminal.json) {
    for (const summary of summaries) printLines(terminal, name, summary);
    for (const { left, right, differences } of pairs)
      for (const { metric, difference, larger, smaller, equal } of differences)
        terminal.line({
          data: name,
          left,
          right,
          metric: `difference of ${metric}`,
          ...difference,
          larger,
          smaller,
          equal,
        });
    return 0;
  }

  const count = `${summaries[0]!.questions} questions over ${dataSet.passages.length} passages`;
  terminal.say(`${converter.about}\n${count}; 95 % intervals by bootstrap\n`);
  terminal.table(
    ["", ...summaries.map(({ flow }) => flow)],
    headline
      .filter((metric) => telling(metric, dataSet))
      .map((metric) => [
        metric,
        ...summaries.map(({ figures }) => {
          const figure = figures.find((one) => one.metric === metric);
          return figure ? showInterval(figure) : "–";
        }),
      ]),
  );
  for (const list of results) noteFailures(terminal, list);
  terminal.say("\nhybrid against the others, question by question (paired bootstrap)\n");
  terminal.table(
    ["", "metric", "difference", "p", "better", "worse", "same"],
    pairs.flatMap(({ left, differences }) =>
      differences
        .filter(({ metric }) => compared.some((one) => one === metric) && telling(metric, dataSet))
        .map(({ metric, difference, larger, smaller, equal }) => [
          `hybrid − ${left}`,
          metric,
          showInterval(difference),
          difference.p.toFixed(3),
          larger,
          smaller,
          equal,
        ]),
    ),
  );
  return 0;
}

/** What changes from one file of results to another: by measure, and by question. */
async function compareFiles(
  terminal: Terminal,
  left: string,
  right: string,
  { metric, top }: { metric?: string; top: number },
): Promise<number> {
  const comparison = compare(await readResults(left), await readResults(right));
  const { differences, unpaired } = comparison;
  if (terminal.json) {
    for (const { questions, ...difference } of differences) {
      terminal.line(difference);
      if (metric === undefined || metric === difference.metric)
        for (const question of questions) terminal.line({ metric: difference.metric, ...question });
    }
    return 0;
  }
  terminal.say(`${comparison.left} (${left}) → ${comparison.right} (${right}); 95 % intervals by paired bootstrap\n`);
  terminal.table(
    ["metric", "left", "right", "difference", "p", "larger", "smaller", "same"],
    differences.map(({ metric, left, right, difference, larger, smaller, equal }) => [
      metric,
      left.toFixed(3),
      right.toFixed(3),
      showInterval(difference),
      difference.p.toFixed(3),
      larger,
      smaller,
      equal,
    ]),
  );
  if (unpaired > 0) terminal.say(colors.yellow(`${unpaired} questions lack a result on one side and are in no pair.`));
  const chosen = differenceOf(differences, metric);
  if (!chosen) return 0;
  terminal.say(`\n${chosen.metric}: ${chosen.questions.length} questions differ\n`);
  terminal.table(
    ["question", "left", "right", ""],
    chosen.questions
      .slice(0, top)
      .map(({ id, question, left, right }) => [id, left.toFixed(3), right.toFixed(3), question.slice(0, 90)]),
  );
  return 0;
}

/** The measure whose questions are listed: the named one, or the first of which flows are compared by. */
function differenceOf(differences: readonly Difference[], metric: string | undefined): Difference | undefined {
  const find = (name: string) => differences.find((one) => one.metric === name);
  if (metric === undefined) return find("MRR") ?? find("F1") ?? differences[0];
  const found = find(metric);
  if (found) return found;
  throw new TesseraError("BAD_ARGUMENT", `"${metric}" was not measured in both files`, {
    hint: didYouMean(
      metric,
      differences.map((one) => one.metric),
    ),
  });
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("It is a whole number above 0.");
  return value;
}

type Action = (
  work: (terminal: Terminal, ...args: never[]) => number | Promise<number>,
) => (...args: unknown[]) => Promise<void>;

/** Adds the commands below `tessera eval`. */
export function evaluationCommands(command: Command, action: Action, signal: AbortSignal): void {
  command
    .description("measure flows on data sets: folders of corpus.jsonl and questions.jsonl")
    // "run" may be left out, so that a misspelt name would be taken for its argument
    .hook("preSubcommand", ({ args: [word = "-"], commands }) => {
      const names = commands.map((one) => one.name());
      if (!word.startsWith("-") && !names.includes(word))
        command.error(`error: there is no "eval ${word}"; ${didYouMean(word, names)}`);
    });
  languageModelOptions(
    command
      .command("run", { isDefault: true })
      .description("measure a flow on a folder; with --json one line a metric"),
  )
    .requiredOption("--flow <name or file>", "the flow")
    .requiredOption("--data <folder>", "the data set")
    .option("--questions <folder>", "asks the questions of another data set, which this one should refuse")
    .option("--out <file>", "keeps a line a question, and takes up from there when run again")
    .option("--encoder <name>", "one of our encoders for the vectors; the hash encoder by default")
    .addOption(engineOption())
    .option("--concurrency <number>", "questions under way at a time", positive, 1)
    .option("--limit <number>", "only the first questions", positive)
    .action(
      action((terminal, options: Parameters<typeof evaluateFolder>[1]) =>
        evaluateFolder(terminal, { ...options, signal }),
      ),
    );
  command
    .command("diff")
    .description("compare two files of results, question by question")
    .argument("<left>")
    .argument("<right>")
    .option("--metric <name>", "whose questions are listed")
    .option("--top <number>", "how many questions are listed", positive, 20)
    .action(
      action((terminal, left: string, right: string, options: Parameters<typeof compareFiles>[3]) =>
        compareFiles(terminal, left, right, options),
      ),
    );
  command
    .command("encoder")
    .description("measure an encoder on functions of repositories that no training saw")
    .option("--encoder <name>", "the encoder; by default the one that ships")
    .option("--pairs <file>", "mined pairs; by default $TESSERA_MINE/pairs/held-out.jsonl")
    .option("--development <file>", "pairs of other repositories, on which the weight of the fusion is chosen")
    .option("--plot <file>", "draws quality against cost (SVG)")
    .option("--limit <number>", "so many pairs", positive, 5000)
    .action(action((terminal, options: EncoderEvaluation) => evaluateEncoder(terminal, { ...options, signal })));
  languageModelOptions(
    command
      .command("generator")
      .description(
        "each operator that our generator runs beside its twin without a model, on code that no training saw",
      ),
  )
    .option("--data <folder>", "the data set; by default the one that comes with the repository")
    .option("--tasks <names>", `only these, separated by commas: ${tasks.map(({ name }) => name).join(", ")}`)
    .option("--out <folder>", "keeps a file of results a flow, and takes up from there when run again")
    .option("--limit <number>", "only the first questions of each task", positive)
    .addOption(engineOption())
    .action(action((terminal, options: GeneratorEvaluation) => evaluateGenerator(terminal, { ...options, signal })));
  languageModelOptions(
    command
      .command("grid")
      .description(
        "flows × data sets × models, always beside no retrieval and plain RAG, as tables and an HTML report",
      ),
    { several: true },
  )
    .requiredOption("--flows <names or files>", "the flows, separated by commas")
    .requiredOption("--data <names or folders>", "published data sets, or folders, separated by commas")
    .requiredOption("--out <folder>", "keeps a file of results a cell, and takes up from there when run again")
    .option("--report <file>", "where the report goes; report.html in that folder by default")
    .option("--encoder <name>", "one of our encoders for the vectors; the hash encoder by default")
    .addOption(engineOption())
    .option("--concurrency <number>", "questions under way at a time", positive, 1)
    .option("--limit <number>", "only the first questions", positive)
    .action(
      action((terminal, options: Evaluation & GridOptions) =>
        evaluateGrid(terminal, options, {
          dataSetOf: (name) => (converters.has(name) ? converterOf(name).read(dataFolder()) : readDataSet(name)),
          run: (documents, dataSet, outOf, model) =>
            run(terminal, documents, dataSet, { ...options, model, signal, outOf }),
        }),
      ),
    );
  command
    .command("convert")
    .description(`write a published data set of $TESSERA_DATA as a folder: ${[...converters.keys()].join(", ")}`)
    .argument("<name>")
    .argument("<folder>")
    .action(action((terminal, name: string, folder: string) => convert(terminal, name, folder)));
  studyCommands(command, action, { folder: dataFolder, positive, signal });
  rowCommands(command, action, { folder: dataFolder, positive, signal });
  // where a study has the name of its data set, the study is the command
  const known = new Set(command.commands.map((one) => one.name()));
  for (const { name, about } of [...converters.values()].filter((one) => !known.has(one.name)))
    command
      .command(name)
      .description(about)
      .option("--out <folder>", "keeps a file of results a flow, and takes up from there when run again")
      .option("--limit <number>", "only the first questions", positive)
      .option("--encoder <name>", "one of our encoders for the vectors; the hash encoder by default")
      .addOption(engineOption())
      .action(
        action((terminal, options: Parameters<typeof evaluatePublished>[2]) =>
          evaluatePublished(terminal, name, { ...options, signal }),
        ),
      );
}
