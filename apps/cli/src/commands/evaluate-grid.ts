import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type FlowDocument, type LanguageModel, messageOf, TesseraError } from "@tessera/core";
import {
  type DataSet,
  type GridCell,
  htmlReport,
  type QuestionResult,
  reported,
  showInterval,
  summarise,
} from "@tessera/eval";
import type { EngineKind } from "@tessera/models";
import { readFlow } from "../documents.js";
import { openLanguageModel } from "../language-model.js";
import type { Terminal } from "../terminal.js";

export interface GridOptions {
  readonly flows: string;
  readonly data: string;
  readonly out: string;
  readonly report?: string;
  /** The models that answer: names, or cassettes; flows that ask none are run once. */
  readonly model?: string;
  readonly cassette?: string;
  readonly endpoint?: string;
  readonly engine?: EngineKind;
}

/** What evaluate.ts lends: data sets by name or folder, and runs of flows over one of them. */
export interface Evaluating {
  readonly dataSetOf: (nameOrFolder: string) => Promise<DataSet>;
  readonly run: (
    documents: readonly FlowDocument[],
    dataSet: DataSet,
    outOf: (flow: string) => string,
    model: LanguageModel | undefined,
  ) => Promise<QuestionResult[][]>;
}

const listOf = (text: string): string[] =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);

const asksModel = ({ nodes }: FlowDocument): boolean =>
  Object.values(nodes).some(({ run, with: settings }) =>
    typeof run === "string" ? typeof settings === "object" && settings !== null && "model" in settings : asksModel(run),
  );

/** The rows that every grid has: an answer without retrieval, and plain RAG; by a model where there is one. */
export function baselines(model: boolean): FlowDocument[] {
  const writer = model ? { run: "generator.answer", with: { model: "model" } } : { run: "generator.extract" };
  const input = { query: "text" } as const;
  const closed: Pick<FlowDocument, "nodes" | "output"> = model
    ? {
        nodes: { answer: { run: "generator.continue", with: { model: "model" }, in: { query: "input.query" } } },
        output: { text: "answer.text" },
      }
    : {
        nodes: { answer: { ...writer, in: { query: "input.query", hits: { value: [] } } } },
        output: { answer: "answer.answer" },
      };
  return [
    { version: 1, name: "no-retrieval", input, ...closed },
    {
      ...{ version: 1, name: "plain-rag", input },
      nodes: {
        retrieve: { run: "retriever.sparse", with: { store: "sparse", top: 20 }, in: { query: "input.query" } },
        answer: { ...writer, in: { query: "input.query", hits: "retrieve.hits" } },
      },
      output: { answer: "answer.answer", hits: "retrieve.hits" },
    },
  ];
}

/** The models one after the other, each opened while it is needed, as figures name it. */
async function* modelsOf(
  terminal: Terminal,
  { model = "", cassette, endpoint, engine }: GridOptions,
): AsyncGenerator<{ label: string; model: LanguageModel }> {
  const isFile = (name: string) => endpoint === undefined && name.endsWith(".jsonl");
  const asked = listOf(model).map((name) => (isFile(name) ? { cassette: name } : { model: name, endpoint, cassette }));
  // without a model to record, a cassette is one itself
  if (asked.length === 0 && cassette !== undefined) asked.push({ cassette });
  for (const one of asked) {
    const opened = (await openLanguageModel(terminal, { ...one, engine }))!;
    const recording = "model" in one ? undefined : basename(one.cassette);
    const name = recording === undefined ? (one as { model: string }).model : `recorded: ${recording}`;
    try {
      yield { label: opened.scripted ? `scripted: ${recording ?? name}` : name, model: opened };
    } finally {
      await opened.close?.();
    }
  }
}

/**
 * Runs flows × data sets × models, always with the rows `no-retrieval` and `plain-rag`, and keeps a file of results for
 * each cell in the folder `out`: run again, it takes up where it was.
 */
export async function evaluateGrid(
  terminal: Terminal,
  options: GridOptions,
  { dataSetOf, run }: Evaluating,
): Promise<number> {
  const chosen = await Promise.all(listOf(options.flows).map(readFlow));
  const dataSets = await Promise.all(
    listOf(options.data).map(async (data) => ({ name: basename(data), dataSet: await dataSetOf(data) })),
  );
  const cells: GridCell[] = [];
  const measure = async (documents: readonly FlowDocument[], label: string, model: LanguageModel | undefined) => {
    for (const { name, dataSet } of dataSets) {
      const file = (flow: string) => join(options.out, `${name}-${flow}-${label.replace(/[^\w.-]+/g, "_")}.jsonl`);
      const all = await run(documents, dataSet, file, model);
      for (const [index, results] of all.entries())
        cells.push({ data: name, flow: documents[index]!.name, model: label, summary: summarise(results), results });
    }
  };
  await measure([...baselines(false), ...chosen.filter((flow) => !asksModel(flow))], "none", undefined);
  const models: string[] = [];
  for await (const { label, model } of modelsOf(terminal, options)) {
    models.push(label);
    await measure([...baselines(true), ...chosen.filter(asksModel)], label, model);
  }
  if (models.length === 0 && chosen.some(asksModel))
    throw new TesseraError("BAD_ARGUMENT", `"${chosen.find(asksModel)!.name}" asks a model, and there is none`, {
      hint: "give --model, with --endpoint where it is a service's, or --cassette",
    });
  for (const { data, flow, model, summary } of cells) {
    const { questions, failed } = summary;
    for (const figure of summary.figures) terminal.line({ ...figure, data, flow, model, questions, failed });
  }
  for (const data of new Set(cells.map((cell) => cell.data))) {
    const here = cells.filter((cell) => cell.data === data);
    const metrics = reported.filter((metric) =>
      here.some(({ summary }) => summary.figures.some((one) => one.metric === metric)),
    );
    terminal.say(`\n${data}, ${here[0]!.summary.questions} questions; 95 % intervals by bootstrap\n`);
    terminal.table(
      ["", ...here.map(({ flow, model }) => (model === "none" ? flow : `${flow} · ${model}`))],
      metrics.map((metric) => [
        metric,
        ...here.map(({ summary }) => {
          const figure = summary.figures.find((one) => one.metric === metric);
          return figure ? showInterval(figure) : "–";
        }),
      ]),
    );
  }
  const note = [
    'Rows without a model quote sentences of passages ("plain-rag" is BM25 there).',
    models.length > 0 && `Others are answers by the models named: ${models.join(", ")}.`,
    models.some((label) => label.startsWith("scripted")) &&
      "What is scripted was written by hand: it shows that a flow runs, and is no measure of quality.",
    "Bars are 95 % intervals by bootstrap over questions.",
  ];
  const path = options.report ?? join(options.out, "report.html");
  try {
    await writeFile(
      path,
      htmlReport(cells, { title: "Evaluation", note: note.filter(Boolean).join(" "), against: "plain-rag" }),
    );
  } catch (cause) {
    throw new TesseraError("STORE_FAILED", `the report cannot be written: ${messageOf(cause)}`, { path, cause });
  }
  terminal.say(`\n${path}`);
  return cells.every(({ summary }) => summary.failed === summary.questions) ? 1 : 0;
}
