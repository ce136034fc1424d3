import { createReadStream, existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Hit, Passage } from "@tessera/core";
import { bootstrap, pairedBootstrap, reciprocalRank } from "@tessera/eval";
import { rrf } from "@tessera/fuser";
import { findModel, HashEncoder, openCodeEncoder } from "@tessera/models";
import { Bm25Store, ExactStore } from "@tessera/retriever";
import type { Report } from "./measure/report.js";
import { seeded } from "./measure/rounds.js";

interface Pair {
  readonly repository: string;
  readonly language: string;
  readonly kind: string;
  readonly text: string;
  readonly code: string;
}

const languages = ["javascript", "typescript", "python"];
const candidates = 1000;
const depth = 100;

/**
 * Finding a function by its description, in repositories that no training saw: MRR among 1,000 functions without their
 * comments, by words (BM25), by the hash encoder, by the trained encoder from each exit, and fused by reciprocal rank.
 * Intervals are 95 % bootstrap; differences from BM25 are paired. The pairs are mined by apps/train (TESSERA_MINE).
 */
export default async function encoderQuality(report: Report): Promise<void> {
  const file = join(process.env.TESSERA_MINE ?? "", "pairs", "held-out.jsonl");
  if (!existsSync(file)) {
    report.miss("encoder", `there is no ${file}; set TESSERA_MINE to the folder that apps/train/mine.py wrote`);
    return;
  }
  const pairs = await sample(file);
  const queries = pairs.map(({ text }) => text.split(/(?<=[.!?])\s|\n\s*\n/)[0]!.replace(/\s+/g, " "));
  const passages = pairs.map(({ code }, index): Passage => ({ id: String(index), text: code, metadata: {} }));
  report.say(
    `${pairs.length} pairs of ${new Set(pairs.map(({ repository }) => repository)).size} held-out repositories …`,
  );

  const bm25 = new Bm25Store();
  await bm25.upsert(passages);
  const words = await Promise.all(queries.map((text) => bm25.search({ text, top: depth })));

  const hash = new HashEncoder();
  hash.fit(passages.map(({ text }) => text));
  const hashed = new ExactStore({ space: hash.space(), width: hash.width });
  await hashed.upsert(
    passages,
    await hash.encode(
      passages.map(({ text }) => text),
      { kind: "code" },
    ),
  );
  const byHash = await Promise.all(
    (await hash.encode(queries, { kind: "query" })).map((vector) => hashed.search({ vector, top: depth })),
  );

  const lists: [string, Hit[][]][] = [
    ["BM25", words],
    ["hash", byHash],
    ["hash + BM25", await fuse(words, byHash)],
  ];
  const encoder = await openCodeEncoder(await findModel(process.env.TESSERA_MODEL));
  try {
    const dense = new ExactStore({ space: encoder.space({}), width: encoder.model.hidden });
    await dense.upsert(
      passages,
      await encoder.encode(
        passages.map(({ text }) => text),
        { kind: "code" },
      ),
    );
    for (const { layer } of encoder.model.exits) {
      const vectors = await encoder.encode(queries, { kind: "query", exit: layer });
      const found = await Promise.all(vectors.map((vector) => dense.search({ vector, top: depth })));
      lists.push([`encoder, query exit ${layer}`, found], [`encoder ${layer} + BM25`, await fuse(words, found)]);
    }
  } finally {
    await encoder.close();
  }

  const ranks = (found: Hit[][]) =>
    found.map((hits, index) =>
      reciprocalRank(
        hits.map(({ passage }) => passage.id),
        new Set([String(index)]),
      ),
    );
  const base = ranks(words);
  for (const [system, found] of lists) {
    const own = ranks(found);
    const { mean, low, high } = bootstrap(own);
    report.add(system, "MRR among 1,000", mean, "");
    report.add(system, "lower bound", low, "");
    report.add(system, "upper bound", high, "");
    if (found === words) continue;
    const difference = pairedBootstrap(own, base);
    report.add(system, "above BM25", difference.mean, "");
    report.add(system, "above BM25, lower bound", difference.low, "");
    report.add(system, "above BM25, upper bound", difference.high, "");
  }
}

async function fuse(left: Hit[][], right: Hit[][]): Promise<Hit[][]> {
  const work = await rrf.setup({ k: 60, weights: [] }, { resource: () => Promise.reject(new Error("none")) });
  return Promise.all(
    left.map(async (list, index) => (await work({ lists: [list, right[index]!] }, undefined as never)).hits as Hit[]),
  );
}

/** The same 1,000 pairs at every call: docstrings of at least three words, no two with the same first words. */
async function sample(file: string): Promise<Pair[]> {
  const pairs: Pair[] = [];
  const lines = createInterface({ input: createReadStream(file, "utf8"), crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of lines) {
    const pair = JSON.parse(line) as Pair;
    if (pair.kind === "docstring" && languages.includes(pair.language) && pair.text.split(/\s+/).length >= 3)
      pairs.push(pair);
  }
  const random = seeded(17);
  for (let i = pairs.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [pairs[i], pairs[j]] = [pairs[j]!, pairs[i]!];
  }
  return pairs.slice(0, candidates);
}
