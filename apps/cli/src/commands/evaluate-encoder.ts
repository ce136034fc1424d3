import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Interval, showInterval } from "@tessera/eval";
import { cpuEngine, findModel, openCodeEncoder } from "@tessera/models";
import { lineChart } from "../chart.js";
import {
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
} from "../encoder-figures.js";
import { chooseShare, findJoined, joinedReciprocals } from "../joined-figures.js";
import type { Terminal } from "../terminal.js";

export interface EncoderEvaluation {
  /** The bundle; by default the encoder that ships. */
  readonly encoder?: string;
  /** Held-out pairs of the mine; by default $TESSERA_MINE/pairs/held-out.jsonl. */
  readonly pairs?: string;
  /** Pairs of other repositories, on which the weight of the fusion is chosen. */
  readonly development?: string;
  readonly limit: number;
  /** Writes a drawing of quality against cost (SVG). */
  readonly plot?: string;
  readonly signal?: AbortSignal;
}

interface Row extends Interval {
  readonly system: string;
  readonly figure: string;
}

const mined = (name: string): string => join(process.env.TESSERA_MINE ?? "", "pairs", name);
const depth = 100;

/**
 * Finding functions by their description in repositories that no training saw: MRR among 1,000 and among all, for every
 * exit, width and precision; queries of each exit on indexes of each; BM25 and the fusion beside; what int8 costs.
 */
export async function evaluateEncoder(terminal: Terminal, options: EncoderEvaluation): Promise<number> {
  const { signal, limit } = options;
  const pairs = await readPairs(options.pairs ?? mined("held-out.jsonl"), limit);
  const others = await readPairs(options.development ?? mined("development.jsonl"), Math.min(2000, limit));
  const folder = await findModel(options.encoder);
  const pool = Math.min(1000, pairs.length);
  const rows: Row[] = [];
  const add = (system: string, figure: string, found: Interval): void => void rows.push({ system, figure, ...found });

  const encoded: Encoded[] = [];
  const speed = new Map<number, number>();
  let tuned = { weight: 0.5 };
  let exits: number[] = [];
  let widths: readonly number[] = [];
  let whole = 0;
  for (const precision of ["int8", "fp32"] as const) {
    const encoder = await openCodeEncoder(folder, cpuEngine({ precision }));
    try {
      exits = encoder.model.exits.map(({ layer }) => layer);
      widths = encoder.model.widths;
      whole = encoder.model.hidden;
      const total = 2 * exits.length * pairs.length;
      const progress = (done: number): void => terminal.progress(`encode ${precision}`, done, total);
      encoded.push(await encodePairs(encoder, precision, pairs, progress, signal));
      terminal.clear();
      if (precision !== "int8") continue;
      const { query, index } = encoder.model.default;
      const own = await encodePairs(encoder, precision, others, () => {}, signal);
      const words = await searchWords(others, Math.min(pool, others.length), depth);
      const vectors = searchVectors(
        own.queries.get(query)!,
        own.codes.get(index)!,
        Math.min(pool, others.length),
        depth,
      );
      tuned = { weight: chooseWeight(words, vectors) };
      const embedding = { exit: exits[0]!, width: Math.min(128, whole) };
      const known = await findJoined(encoder, embedding, others, Math.min(pool, others.length), signal);
      const share = chooseShare(known, Math.min(pool, others.length));
      const found = await findJoined(encoder, embedding, pairs, pool, signal);
      const byWords = ownReciprocal(await searchWords(pairs, pool, depth));
      const byHash = joinedReciprocals(found, 0, pool);
      const system = `exit ${embedding.exit}, width ${embedding.width}`;
      for (const [name, own] of [
        ["BM25 + hash by scores", byHash],
        [`BM25 + ${system} by scores`, joinedReciprocals(found, 1, pool)],
        [`BM25 + ${1 - share} hash and ${share} ${system} by scores`, joinedReciprocals(found, share, pool)],
      ] as const) {
        add(name, `MRR among ${pool}`, interval(own));
        add(`${name}, above BM25`, `MRR among ${pool}`, paired(own, byWords));
        if (own !== byHash) add(`${name}, above hash`, `MRR among ${pool}`, paired(own, byHash));
      }
    } finally {
      await encoder.close();
    }
  }

  const single = await openCodeEncoder(folder, cpuEngine({ workers: 1 }));
  const texts = pairs.slice(0, 200).map(({ text }) => text);
  try {
    for (const exit of exits)
      speed.set(exit, await textsPerSecond(() => single.encode(texts, { kind: "query", exit })));
  } finally {
    await single.close();
  }

  for (const [figure, among] of [
    [`MRR among ${pool}`, pool],
    ["MRR among all", pairs.length],
  ] as const) {
    const words = await searchWords(pairs, among, depth);
    const byWords = ownReciprocal(words);
    add("BM25", figure, interval(byWords));
    for (const { precision, queries, codes } of encoded)
      for (const exit of exits)
        for (const [width, ranks] of ranksOf(queries.get(exit)!, codes.get(exit)!, widths, among))
          add(`exit ${exit}, width ${width}, ${precision}`, figure, interval(reciprocals(ranks)));
    const [{ queries, codes }] = encoded as [Encoded, Encoded];
    const last = exits.at(-1)!;
    for (const exit of exits) {
      const vectors = searchVectors(queries.get(exit)!, codes.get(last)!, among, depth);
      const fused = ownReciprocal(words.map((list, i) => fuseRanks(list, vectors[i]!, tuned.weight)));
      add(`BM25 + exit ${exit} on ${last}`, figure, interval(fused));
      add(`BM25 + exit ${exit} on ${last}, above BM25`, figure, paired(fused, byWords));
    }
  }
  const matrix = exits.map((query) =>
    exits.map((index) => {
      const ranks = ranksOf(encoded[0]!.queries.get(query)!, encoded[0]!.codes.get(index)!, [whole], pool).get(whole)!;
      add(`query exit ${query} on index exit ${index}`, `MRR among ${pool}`, interval(reciprocals(ranks)));
      return reciprocals(ranks);
    }),
  );
  for (const exit of exits) {
    const [int8, fp32] = encoded.map(({ queries, codes }) =>
      Array.from(ranksOf(queries.get(exit)!, codes.get(exit)!, [whole], pool).get(whole)!, (rank) =>
        Number(rank <= 10),
      ),
    );
    add(`exit ${exit}, int8 less fp32`, "recall@10", paired(int8!, fp32!));
    const [lists, exact] = encoded.map(({ queries, codes }) =>
      searchVectors(queries.get(exit)!.slice(0, pool), codes.get(exit)!.slice(0, pool), pool, 10),
    );
    const shared = lists!.map((list, i) => list.filter((place) => exact![i]!.includes(place)).length / list.length);
    add(`exit ${exit}, int8 and fp32`, "share of the first ten alike", interval(shared));
  }

  const [shallow, deep] = [exits[Math.min(1, exits.length - 1)]!, exits.at(-1)!];
  const last = exits.indexOf(deep);
  add(
    `exit ${shallow} on ${deep}, less ${deep} on ${deep}`,
    `MRR among ${pool}`,
    paired(matrix[exits.indexOf(shallow)]![last]!, matrix[last]![last]!),
  );

  const plain = (value: number): Interval => ({ mean: value, low: value, high: value, count: 1 });
  for (const [exit, rate] of speed) add(`exit ${exit}, int8, one thread`, "queries a second", plain(rate));
  add("BM25 in the fusion", "weight chosen on other repositories", plain(tuned.weight));

  if (options.plot)
    await writeFile(
      options.plot,
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
      }),
    );
  for (const row of rows) terminal.line(row);
  terminal.say(`${pairs.length} pairs of held-out repositories; 95 % intervals by bootstrap over queries`);
  terminal.table(
    ["", "figure", "mean"],
    rows.map((row) => [row.system, row.figure, row.low === row.high ? row.mean.toPrecision(3) : showInterval(row)]),
  );
  return 0;
}

/** The best of three rounds. */
async function textsPerSecond(work: () => Promise<Float32Array[]>): Promise<number> {
  let best = 0;
  for (let round = 0; round < 3; round++) {
    const begun = performance.now();
    const { length } = await work();
    best = Math.max(best, (1000 * length) / (performance.now() - begun));
  }
  return best;
}
