// internal: evaluateEncoder
import { writeFile } from "node:fs/promises";
import { type CodeEncoder, type CpuEngineSettings, cpuEngine, findModel, openCodeEncoder } from "@tessera/models";
import { type Interval, showInterval } from "../../measures/statistics.js";
import { lineChart } from "../../reports/line-chart.js";
import type { Output } from "../../reports/output.js";
import { chooseShare, findJoined, joinedReciprocals } from "./joined-search.js";
import {
  type CodePair,
  chooseWeight,
  type Encoded,
  encodePairs,
  fuseRanks,
  interval,
  ownReciprocal,
  difference as paired,
  ranksOf,
  readPairs,
  reciprocals,
  searchVectors,
  searchWords,
} from "./search.js";

interface EncoderEvaluation {
  /** The bundle; by default the encoder that ships. */
  readonly encoder?: string;
  /** The file of held-out pairs of the mine. */
  readonly pairs: string;
  /** The file of pairs of other repositories, on which the weight of the fusion is chosen. */
  readonly development: string;
  readonly limit: number;
  /** Writes a drawing of quality against cost (SVG). */
  readonly plot?: string;
  readonly signal?: AbortSignal;
}

interface Row extends Interval {
  readonly system: string;
  readonly figure: string;
}
const row = (system: string, figure: string, found: Interval): Row => ({ system, figure, ...found });

/** What an encoder is measured on. */
interface Questions {
  readonly pairs: readonly CodePair[];
  /** Pairs of other repositories: whatever is chosen is chosen on them. */
  readonly others: readonly CodePair[];
  /** How many codes a query is searched among. */
  readonly pool: number;
  readonly signal: AbortSignal | undefined;
}

/** The vectors of the pairs, and the exits and widths that they come in. */
interface Vectors {
  readonly int8: Encoded;
  readonly fp32: Encoded;
  readonly exits: readonly number[];
  readonly widths: readonly number[];
  readonly hidden: number;
}

const depth = 100;

/**
 * Finding functions by their description in repositories that no training saw: MRR among 1,000 and among all, for every
 * exit, width and precision; queries of each exit on indexes of each; BM25 and the fusion beside; what int8 costs.
 */
export async function evaluateEncoder(output: Output, options: EncoderEvaluation): Promise<number> {
  const { signal, limit } = options;
  const pairs = await readPairs(options.pairs, limit);
  const others = await readPairs(options.development, Math.min(2000, limit));
  const folder = await findModel(options.encoder);
  const questions: Questions = { pairs, others, pool: Math.min(1000, pairs.length), signal };

  const encode = async (encoder: CodeEncoder, precision: "int8" | "fp32"): Promise<Encoded> => {
    const total = 2 * encoder.model.exits.length * pairs.length;
    const progress = (done: number): void => output.progress(`encode ${precision}`, done, total);
    const encoded = await encodePairs(encoder, precision, pairs, progress, signal);
    output.clear();
    return encoded;
  };
  const { int8, model, weight, joined } = await withEncoder(folder, { precision: "int8" }, async (encoder) => ({
    int8: await encode(encoder, "int8"),
    model: encoder.model,
    weight: await weightOfWords(encoder, questions),
    joined: await joinedRows(encoder, questions),
  }));
  const fp32 = await withEncoder(folder, { precision: "fp32" }, (encoder) => encode(encoder, "fp32"));
  const exits = model.exits.map(({ layer }) => layer);
  const vectors: Vectors = { int8, fp32, exits, widths: model.widths, hidden: model.hidden };
  const speed = await queriesPerSecond(folder, exits, pairs);

  const matrix = exitMatrix(vectors, questions);
  const plain = (value: number): Interval => ({ mean: value, low: value, high: value, count: 1 });
  const rows = [
    ...joined,
    ...(await searchRows(vectors, questions, weight)),
    ...matrixRows(matrix, exits, questions),
    ...precisionRows(vectors, questions),
    deepIndexRow(matrix, exits, questions),
    ...exits.map((exit) => row(`exit ${exit}, int8, one thread`, "queries a second", plain(speed.get(exit)!))),
    row("BM25 in the fusion", "weight chosen on other repositories", plain(weight)),
  ];

  if (options.plot) await writeFile(options.plot, qualityAgainstCost(rows, vectors, speed, questions));
  for (const row of rows) output.line(row);
  output.say(`${pairs.length} pairs of held-out repositories; 95 % intervals by bootstrap over queries`);
  output.table(
    ["", "figure", "mean"],
    rows.map((row) => [row.system, row.figure, row.low === row.high ? row.mean.toPrecision(3) : showInterval(row)]),
  );
  return 0;
}

async function withEncoder<T>(
  folder: string,
  settings: CpuEngineSettings,
  work: (encoder: CodeEncoder) => Promise<T>,
): Promise<T> {
  const encoder = await openCodeEncoder(folder, cpuEngine(settings));
  try {
    return await work(encoder);
  } finally {
    await encoder.close();
  }
}

/** The weight of the words in the fusion by ranks, chosen on other repositories by the encoder's default exits. */
async function weightOfWords(encoder: CodeEncoder, { others, pool, signal }: Questions): Promise<number> {
  const among = Math.min(pool, others.length);
  const { query, index } = encoder.model.default;
  const own = await encodePairs(encoder, "int8", others, () => {}, signal);
  const words = await searchWords(others, among, depth);
  return chooseWeight(words, searchVectors(own.queries.get(query)!, own.codes.get(index)!, among, depth));
}

/** BM25 beside hash features, the first exit, and both, by scores; the share of the two is chosen on other repositories. */
async function joinedRows(encoder: CodeEncoder, { pairs, others, pool, signal }: Questions): Promise<Row[]> {
  const embedding = { exit: encoder.model.exits[0]!.layer, width: Math.min(128, encoder.model.hidden) };
  const among = Math.min(pool, others.length);
  const share = chooseShare(await findJoined(encoder, embedding, others, among, signal), among);
  const found = await findJoined(encoder, embedding, pairs, pool, signal);
  const byWords = ownReciprocal(await searchWords(pairs, pool, depth));
  const byHash = joinedReciprocals(found, 0, pool);
  const system = `exit ${embedding.exit}, width ${embedding.width}`;
  const figure = `MRR among ${pool}`;
  const systems = [
    ["BM25 + hash by scores", byHash],
    [`BM25 + ${system} by scores`, joinedReciprocals(found, 1, pool)],
    [`BM25 + ${1 - share} hash and ${share} ${system} by scores`, joinedReciprocals(found, share, pool)],
  ] as const;
  return systems.flatMap(([name, own]) => [
    row(name, figure, interval(own)),
    row(`${name}, above BM25`, figure, paired(own, byWords)),
    ...(own === byHash ? [] : [row(`${name}, above hash`, figure, paired(own, byHash))]),
  ]);
}

/** Texts a second by exit, on one thread; the best of three rounds. */
async function queriesPerSecond(
  folder: string,
  exits: readonly number[],
  pairs: readonly CodePair[],
): Promise<Map<number, number>> {
  const texts = pairs.slice(0, 200).map(({ text }) => text);
  return withEncoder(folder, { workers: 1 }, async (encoder) => {
    const speed = new Map<number, number>();
    for (const exit of exits)
      for (let round = 0; round < 3; round++) {
        const begun = performance.now();
        await encoder.encode(texts, { kind: "query", exit });
        const rate = (1000 * texts.length) / (performance.now() - begun);
        speed.set(exit, Math.max(speed.get(exit) ?? 0, rate));
      }
    return speed;
  });
}

/** BM25, every exit, width and precision, and the fusion of words and the deepest index by ranks. */
async function searchRows(
  { int8, fp32, exits, widths }: Vectors,
  { pairs, pool }: Questions,
  weight: number,
): Promise<Row[]> {
  const rows: Row[] = [];
  const last = exits.at(-1)!;
  for (const [figure, among] of [
    [`MRR among ${pool}`, pool],
    ["MRR among all", pairs.length],
  ] as const) {
    const words = await searchWords(pairs, among, depth);
    const byWords = ownReciprocal(words);
    rows.push(row("BM25", figure, interval(byWords)));
    for (const { precision, queries, codes } of [int8, fp32])
      for (const exit of exits)
        for (const [width, ranks] of ranksOf(queries.get(exit)!, codes.get(exit)!, widths, among))
          rows.push(row(`exit ${exit}, width ${width}, ${precision}`, figure, interval(reciprocals(ranks))));
    for (const exit of exits) {
      const vectors = searchVectors(int8.queries.get(exit)!, int8.codes.get(last)!, among, depth);
      const fused = ownReciprocal(words.map((list, i) => fuseRanks(list, vectors[i]!, weight)));
      rows.push(
        row(`BM25 + exit ${exit} on ${last}`, figure, interval(fused)),
        row(`BM25 + exit ${exit} on ${last}, above BM25`, figure, paired(fused, byWords)),
      );
    }
  }
  return rows;
}

/** The reciprocal rank of each query, by its exit and by the exit of the index. */
type Matrix = readonly (readonly (readonly number[])[])[];

const exitMatrix = ({ int8, exits, hidden }: Vectors, { pool }: Questions): Matrix =>
  exits.map((query) =>
    exits.map((index) =>
      reciprocals(ranksOf(int8.queries.get(query)!, int8.codes.get(index)!, [hidden], pool).get(hidden)!),
    ),
  );

const matrixRows = (matrix: Matrix, exits: readonly number[], { pool }: Questions): Row[] =>
  exits.flatMap((query, i) =>
    exits.map((index, j) =>
      row(`query exit ${query} on index exit ${index}`, `MRR among ${pool}`, interval(matrix[i]![j]!)),
    ),
  );

/** What a shallow query loses on the deepest index. */
function deepIndexRow(matrix: Matrix, exits: readonly number[], { pool }: Questions): Row {
  const [shallow, deep] = [Math.min(1, exits.length - 1), exits.length - 1];
  return row(
    `exit ${exits[shallow]} on ${exits[deep]}, less ${exits[deep]} on ${exits[deep]}`,
    `MRR among ${pool}`,
    paired(matrix[shallow]![deep]!, matrix[deep]![deep]!),
  );
}

/** What int8 costs: recall@10 beside fp32, and how many of the first ten are the same. */
const precisionRows = ({ int8, fp32, exits, hidden }: Vectors, { pool }: Questions): Row[] =>
  exits.flatMap((exit) => {
    const recall = ({ queries, codes }: Encoded): number[] =>
      Array.from(ranksOf(queries.get(exit)!, codes.get(exit)!, [hidden], pool).get(hidden)!, (rank) =>
        Number(rank <= 10),
      );
    const firstTen = ({ queries, codes }: Encoded): number[][] =>
      searchVectors(queries.get(exit)!.slice(0, pool), codes.get(exit)!.slice(0, pool), pool, 10);
    const exact = firstTen(fp32);
    const shared = firstTen(int8).map((list, i) => list.filter((at) => exact[i]!.includes(at)).length / list.length);
    return [
      row(`exit ${exit}, int8 less fp32`, "recall@10", paired(recall(int8), recall(fp32))),
      row(`exit ${exit}, int8 and fp32`, "share of the first ten alike", interval(shared)),
    ];
  });

/** A drawing (SVG). */
const qualityAgainstCost = (
  rows: readonly Row[],
  { exits, widths }: Vectors,
  speed: ReadonlyMap<number, number>,
  { pool }: Questions,
): string =>
  lineChart({
    title: "Quality against cost: the exits of the encoder",
    x: "milliseconds a query, one thread, int8",
    y: `MRR among ${pool}`,
    lines: widths.map((width) => ({
      name: `width ${width}`,
      points: exits.map((exit) => ({
        x: 1000 / speed.get(exit)!,
        y: rows.find((row) => row.system === `exit ${exit}, width ${width}, int8`)!.mean,
        label: `exit ${exit}`,
      })),
    })),
  });
