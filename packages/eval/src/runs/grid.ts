// internal: GridModel, baselines, evaluateGrid
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type FlowDocument, type LanguageModel, TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import type { DataSet } from "../data-sets/data-set.js";
import { summarise } from "../reports/figures.js";
import type { Output } from "../reports/output.js";
import { type GridCell, htmlReport, reported } from "../reports/report.js";
import { type FlowSettings, runFlows, showMetric } from "./flows.js";

/** A language model of a grid, and the name that figures give it. */
export interface GridModel {
  readonly label: string;
  readonly model: LanguageModel;
}

/** What a grid measures, and where its files go. */
export interface Grid {
  readonly flows: readonly FlowDocument[];
  readonly dataSets: readonly { readonly name: string; readonly dataSet: DataSet }[];
  /** The models that answer, one after the other, each open until the next is asked for. */
  readonly models: AsyncIterable<GridModel>;
  /** The folder that keeps a file of results a cell. */
  readonly out: string;
  /** The file of the report; report.html in the folder `out` by default. */
  readonly report?: string | undefined;
}

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

/**
 * Runs flows × data sets × models, always with the rows `no-retrieval` and `plain-rag`, and keeps a file of results for
 * each cell in the folder `out`: run again, it takes up where it was. Writes the report and prints its tables.
 * @returns the exit code: 1 where every question of every cell failed.
 * @throws TesseraError BAD_ARGUMENT where a flow asks a model and there is none, STORE_FAILED where the report cannot be
 * written.
 */
export async function evaluateGrid(output: Output, grid: Grid, settings: FlowSettings): Promise<number> {
  const { cells, models } = await measureCells(output, grid, settings);
  for (const { data, flow, model, summary } of cells) {
    const { questions, failed } = summary;
    for (const figure of summary.figures) output.line({ ...figure, data, flow, model, questions, failed });
  }
  for (const data of new Set(cells.map((cell) => cell.data)))
    printCells(
      output,
      data,
      cells.filter((cell) => cell.data === data),
    );
  const path = grid.report ?? join(grid.out, "report.html");
  await writeReport(path, cells, models);
  output.say(`\n${path}`);
  return cells.every(({ summary }) => summary.failed === summary.questions) ? 1 : 0;
}

/** Runs the cells, those without a model first, and gives the labels of the models in their order. */
async function measureCells(
  output: Output,
  { flows, dataSets, models, out }: Grid,
  settings: FlowSettings,
): Promise<{ cells: GridCell[]; models: string[] }> {
  const cells: GridCell[] = [];
  const measure = async (documents: readonly FlowDocument[], label: string, model: LanguageModel | undefined) => {
    for (const { name, dataSet } of dataSets) {
      const outOf = (flow: string) => join(out, `${name}-${flow}-${label.replace(/[^\w.-]+/g, "_")}.jsonl`);
      const all = await runFlows(output, documents, dataSet, { ...settings, model, outOf });
      for (const [index, results] of all.entries())
        cells.push({ data: name, flow: documents[index]!.name, model: label, summary: summarise(results), results });
    }
  };
  await measure([...baselines(false), ...flows.filter((flow) => !asksModel(flow))], "none", undefined);
  const labels: string[] = [];
  for await (const { label, model } of models) {
    labels.push(label);
    await measure([...baselines(true), ...flows.filter(asksModel)], label, model);
  }
  if (labels.length === 0 && flows.some(asksModel))
    throw new TesseraError("BAD_ARGUMENT", `"${flows.find(asksModel)!.name}" asks a model, and there is none`, {
      hint: "give --model, with --endpoint where it is a service's, or --cassette",
    });
  return { cells, models: labels };
}

/** Prints the cells of one data set beside each other. */
function printCells(output: Output, data: string, cells: readonly GridCell[]): void {
  const metrics = reported.filter((metric) =>
    cells.some(({ summary }) => summary.figures.some((one) => one.metric === metric)),
  );
  output.say(`\n${data}, ${cells[0]!.summary.questions} questions; 95 % intervals by bootstrap\n`);
  output.table(
    ["", ...cells.map(({ flow, model }) => (model === "none" ? flow : `${flow} · ${model}`))],
    metrics.map((metric) => [metric, ...cells.map(({ summary }) => showMetric(summary, metric))]),
  );
}

async function writeReport(path: string, cells: readonly GridCell[], models: readonly string[]): Promise<void> {
  const note = [
    'Rows without a model quote sentences of passages ("plain-rag" is BM25 there).',
    models.length > 0 && `Others are answers by the models named: ${models.join(", ")}.`,
    models.some((label) => label.startsWith("scripted")) &&
      "What is scripted was written by hand: it shows that a flow runs, and is no measure of quality.",
    "Bars are 95 % intervals by bootstrap over questions.",
  ];
  const html = htmlReport(cells, { title: "Evaluation", note: note.filter(Boolean).join(" "), against: "plain-rag" });
  try {
    await writeFile(path, html);
  } catch (cause) {
    throw new TesseraError("STORE_FAILED", `the report cannot be written: ${messageOf(cause)}`, { path, cause });
  }
}
