import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { mean } from "@tessera/core/internal";
import { lineChart } from "@tessera/eval/internal";
import { type CodeEncoder, findModel, openCodeEncoder } from "@tessera/models";
import { indexEncoder } from "@tessera/models/internal";
import { closer } from "@tessera/reranker";
import { dense } from "@tessera/retriever";
import {
  type AdaptiveSet,
  context,
  hostOf,
  measureAdaptive,
  type Reached,
  storeOf,
} from "./measure/adaptive-retrieval.js";
import { data } from "./measure/data.js";
import type { Report } from "./measure/report.js";
import { milliseconds, percentile, processorMilliseconds } from "./measure/rounds.js";

const questions = Number(process.env.TESSERA_QUESTIONS ?? 150);
const passages = Number(process.env.TESSERA_PASSAGES ?? 1500);
const depths = [0, 10, 20, 50, 100];
const budget = 300;

/** The first questions of a development set, and passages: every gold one, then others in their order. */
function some(
  kind: AdaptiveSet["kind"],
  texts: readonly string[],
  asked: readonly { text: string; gold: number }[],
): AdaptiveSet {
  const chosen = asked.slice(0, questions);
  const golden = new Set(chosen.map(({ gold }) => gold));
  const others = [...texts.keys()].filter((place) => !golden.has(place)).slice(0, Math.max(0, passages - golden.size));
  const kept = [...golden, ...others].sort((a, b) => a - b);
  const places = new Map(kept.map((place, at) => [place, at]));
  return {
    ...{ kind, passages: kept.map((place) => texts[place]!) },
    questions: chosen.map(({ text, gold }) => ({ text, gold: places.get(gold)! })),
  };
}

const sets: Readonly<Record<string, () => AdaptiveSet>> = {
  CoSQA() {
    const functions = data<Record<string, number>>("cosqa/code_idx_map.json");
    const places = new Map(Object.values(functions).map((number, place) => [number, place]));
    const asked = data<{ doc: string; retrieval_idx: number }[]>("cosqa/dev-500.json");
    return some(
      "code",
      Object.keys(functions),
      asked.map(({ doc, retrieval_idx: gold }) => ({ text: doc, gold: places.get(gold)! })),
    );
  },
  NQ() {
    const corpus = data<{ title: string; text: string }[]>("nq/corpus.json");
    const asked = data<{ question: string; gold: number }[]>("nq/dev.json");
    return some(
      "text",
      corpus.map(({ title, text }) => `${title}\n${text}`),
      asked.map(({ question, gold }) => ({ text: question, gold })),
    );
  },
};

/**
 * Quality against cost of adaptive retrieval by the encoder that ships, or the one that TESSERA_ENCODER names: every index
 * exit, query exit and depth of the closer look, on TESSERA_QUESTIONS (150) questions and TESSERA_PASSAGES (1,500) passages
 * of CoSQA's and NQ's development sets; how many candidates fit the budget of time; what a question takes before and after
 * deep vectors are known. TESSERA_PLOT names a file for the drawing. Times are of the processor but where "clock" stands.
 */
export default async function adaptive(report: Report): Promise<void> {
  report.say(`load of this machine: ${loadavg()[0]!.toFixed(1)}`);
  const encoder = await openCodeEncoder(await findModel(process.env.TESSERA_ENCODER));
  try {
    const lines: { name: string; points: { x: number; y: number; label?: string }[] }[] = [];
    for (const [name, read] of Object.entries(sets)) {
      const set = read();
      const reached = await measureAdaptive(encoder, set, depths, (line) => report.say(`${name}: ${line}`));
      table(report, name, reached, encoder);
      lines.push(...linesOf(name, reached));
      await asTheProductAsks(report, name, encoder, set);
    }
    await fits(report, encoder);
    if (process.env.TESSERA_PLOT !== undefined) writeFileSync(process.env.TESSERA_PLOT, drawing(lines));
  } finally {
    await encoder.close();
  }
}

const lastOf = (encoder: CodeEncoder): number => encoder.model.exits.at(-1)!.layer;

/** The figures of each combination, a column for each depth of the look; the last table is about the default, beside full depth. */
function table(report: Report, name: string, reached: readonly Reached[], encoder: CodeEncoder): void {
  const last = lastOf(encoder);
  const of = (index: number, query: number, depth: number) =>
    reached.find((one) => one.index === index && one.query === query && one.depth === depth)!;
  const quality = report.part(`${name}, MRR`);
  const cost = report.part(`${name}, a question whose hits have no deep vectors yet`);
  for (const { index, query, depth, reciprocals, asking } of reached) {
    const [system, what] = [`closer look at ${depth}`, `index exit ${index}, query exit ${query}`];
    quality.add(system, what, mean(reciprocals), "");
    cost.add(system, what, asking, "ms");
  }
  const full = of(last, last, 0);
  const shares = report.part(`${name}, of an index at full depth`);
  for (const { layer: index } of encoder.model.exits)
    for (const depth of index === last ? [0] : [0, 50]) {
      const { indexing, reciprocals } = of(index, last, depth);
      const what = `index exit ${index}, query exit ${last}, closer look at ${depth}`;
      shares.add("MRR", what, mean(reciprocals) / mean(full.reciprocals), "share");
      shares.add("time to index", what, indexing / full.indexing, "share");
    }
}

/** A line for each index exit: queries of its best exit, by depth of the look. */
function linesOf(name: string, reached: readonly Reached[]) {
  const last = Math.max(...reached.map(({ index }) => index));
  return [...new Set(reached.map(({ index }) => index))].map((index) => ({
    name: `${name}, index ${index}`,
    points: reached
      .filter((one) => one.index === index && one.query === last)
      .map(({ asking, reciprocals, depth }) => ({ x: asking, y: mean(reciprocals), label: `${depth}` })),
  }));
}

const drawing = (lines: Parameters<typeof lineChart>[0]["lines"]): string =>
  lineChart({
    title: "Quality against cost: index exit and depth of the closer look, queries of the last exit",
    x: "milliseconds of a processor for a question, no deep vector known",
    y: "MRR",
    lines,
  });

/** A question through the operators as `npm start` sets them: the first hits, the look within its budget, and asked again. */
async function asTheProductAsks(report: Report, name: string, encoder: CodeEncoder, set: AdaptiveSet): Promise<void> {
  const store = await storeOf(
    set,
    await encoder.encode(set.passages, { kind: set.kind, exit: 0 }),
    encoder.space({ exit: 0 }),
  );
  const taken: Record<string, { clock: number[]; processor: number[] }> = {};
  const timed = async <T>(what: string, work: () => T | PromiseLike<T>): Promise<T> => {
    let given: T;
    let clock = 0;
    const processor = await processorMilliseconds(async () => {
      clock = await milliseconds(async () => {
        given = await work();
      });
    });
    taken[what] ??= { clock: [], processor: [] };
    taken[what].clock.push(clock);
    taken[what].processor.push(processor);
    return given!;
  };
  const looked: number[] = [];
  for (const { text: query } of set.questions.slice(0, 30)) {
    // it remembers deep vectors: each question finds it empty
    const indexed = indexEncoder(encoder, set.kind);
    const host = hostOf({ "encoder/main": indexed, "store/dense": store });
    const search = await dense.setup(dense.config.parse({ store: "dense", encoder: "main", top: 50 }), host);
    const look = await closer.setup(closer.config.parse({ encoder: "main", budget }), host);
    const { hits } = await timed("first hits", () => search({ query }, context));
    const cold = await timed(`closer look within ${budget} ms, cold`, () => look({ query, hits }, context));
    looked.push(Object.keys(cold.similarities).length);
    await indexed.encode(
      hits.map(({ passage }) => passage.text),
      { kind: "text", ...indexed.closer },
    );
    await timed("asked again, warm", async () =>
      look({ query, hits: (await search({ query }, context)).hits }, context),
    );
  }
  const part = report.part(`${name}, as the product asks`);
  for (const [what, { clock, processor }] of Object.entries(taken)) {
    part.add("processor", `${what}: p50`, percentile(processor, 0.5), "ms");
    part.add("clock", `${what}: p50`, percentile(clock, 0.5), "ms");
  }
  part.add("clock", `candidates looked at within ${budget} ms, cold: p50`, percentile(looked, 0.5), "of 50");
}

/** How many passages of a length the last exit reads within the budget, by processor time and by the clock. */
async function fits(report: Report, encoder: CodeEncoder): Promise<void> {
  const exit = lastOf(encoder);
  const part = report.part(`passages that exit ${exit} reads in ${budget} ms`);
  for (const tokens of [64, 128, 256]) {
    const texts = Array.from({ length: 8 }, () => "value ".repeat(tokens - 2));
    const [clock, processor]: number[][] = [[], []];
    for (let round = 0; round < 7; round++)
      processor!.push(
        await processorMilliseconds(async () => {
          clock!.push(await milliseconds(() => encoder.encode(texts, { kind: "text", exit })));
        }),
      );
    for (const [by, times] of [
      ["processor", processor!],
      ["clock", clock!],
    ] as const) {
      const one = percentile(times, 0.5) / texts.length;
      part.add(`of ${tokens} tokens`, `by the ${by}`, Math.floor(budget / one), "passages");
    }
  }
}
