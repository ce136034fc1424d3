import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type FlowDocument, messageOf, TesseraError } from "@tessera/core";
import { type DataSet, type GridCell, htmlReport, type QuestionResult, reported, summarise } from "@tessera/eval";
import { readFlow } from "../documents.js";
import type { Terminal } from "../terminal.js";

export interface GridOptions {
  readonly flows: string;
  readonly data: string;
  readonly out: string;
  readonly report?: string;
  /** The models that answer, as the figures name them; flows that ask none are run once. */
  readonly model?: string;
  readonly cassette?: string;
}

/** What evaluate.ts lends: data sets by name or folder, and runs of flows over one of them. */
export interface Evaluating {
  readonly dataSetOf: (nameOrFolder: string) => Promise<DataSet>;
  readonly run: (
    documents: readonly FlowDocument[],
    dataSet: DataSet,
    outOf: (flow: string) => string,
    model: string | undefined,
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
function baselines(model: boolean): FlowDocument[] {
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

const show = (value: number): string => value.toFixed(Math.abs(value) >= 10 ? 1 : 3);

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
  const models = listOf(options.model ?? "");
  // a recorded model has the name of its recording
  if (models.length === 0 && options.cassette !== undefined) models.push(`recorded: ${basename(options.cassette)}`);
  const silent = [...(models.length === 0 ? baselines(false) : []), ...chosen.filter((flow) => !asksModel(flow))];
  const asking = [...baselines(true), ...chosen.filter(asksModel)];
  if (models.length === 0 && chosen.some(asksModel))
    throw new TesseraError("BAD_ARGUMENT", `"${chosen.find(asksModel)!.name}" asks a model, and there is none`, {
      hint: "give --endpoint and --model, or --cassette",
    });
  const cells: GridCell[] = [];
  for (const data of listOf(options.data)) {
    const dataSet = await dataSetOf(data);
    const name = basename(data);
    for (const model of [undefined, ...models]) {
      const documents = model === undefined ? silent : asking;
      if (documents.length === 0) continue;
      const label = model ?? "none";
      const file = (flow: string) => join(options.out, `${name}-${flow}-${label.replace(/[^\w.-]+/g, "_")}.jsonl`);
      const all = await run(documents, dataSet, file, options.model === undefined ? undefined : model);
      for (const [index, results] of all.entries())
        cells.push({ data: name, flow: documents[index]!.name, model: label, summary: summarise(results), results });
    }
  }
  for (const { data, flow, model, summary } of cells) {
    const { questions, failed } = summary;
    if (terminal.json)
      for (const figure of summary.figures)
        process.stdout.write(`${JSON.stringify({ ...figure, data, flow, model, questions, failed })}\n`);
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
          return figure ? `${show(figure.mean)} [${show(figure.low)}, ${show(figure.high)}]` : "–";
        }),
      ]),
    );
  }
  const note =
    models.length === 0
      ? "No language model was asked: answers are quoted from passages, and retrieval figures are the ones to read. Bars are 95 % intervals by bootstrap over questions."
      : "Answers are by the models named. Bars are 95 % intervals by bootstrap over questions.";
  const path = options.report ?? join(options.out, "report.html");
  try {
    await writeFile(path, htmlReport(cells, { title: "Evaluation", note, against: "plain-rag" }));
  } catch (cause) {
    throw new TesseraError("STORE_FAILED", `the report cannot be written: ${messageOf(cause)}`, { path, cause });
  }
  terminal.say(`\n${path}`);
  return cells.every(({ summary }) => summary.failed === summary.questions) ? 1 : 0;
}
