import { fileURLToPath } from "node:url";
import {
  type Encoder,
  type Filter,
  flow,
  type Hit,
  type Host,
  type Passage,
  type Principal,
  type Store,
} from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import { compile } from "@tessera/graph";
import { dense, hybrid, sparse } from "@tessera/retriever";
import { Bm25Store, HnswStore } from "@tessera/stores";
import { memory, SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { percentile } from "./measure/rounds.js";
import { vocabulary, zipfRanks } from "./measure/words.js";

export const sizes = [10_000, 30_000, 100_000, 300_000, 1_000_000];
export const batch = 1000;
export const width = 128;
const latent = 24; // dimensions in which words differ
const noise = 0.05; // in each component, on top
const topics = 2000;
const wordsPerTopic = 400;
const wordsPerPassage = 40;
export const wordsPerQuery = 5;
const tenants = 100;
const queries = 500;
const compared = 40; // queries whose true neighbours are looked for
const top = 10;

/** Normal numbers by Box and Muller. */
const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/**
 * A synthetic language with structure: half of a text's words are drawn by Zipf's law from those of its topic, half from
 * all. The vector of a text is the sum of its words' vectors, rare words weighing more; words differ in 24 dimensions,
 * with noise, as embeddings do.
 */
export class Language {
  readonly #common = zipfRanks(() => this.#random());
  readonly #within = zipfRanks(() => this.#random(), wordsPerTopic);
  readonly #topics: Int32Array[];
  readonly #vectors = new Float32Array(vocabulary.length * width);
  readonly #numbers = new Map(vocabulary.map((word, number) => [word, number]));
  #random: () => number = uniform(1);

  constructor() {
    const random = uniform(2);
    this.#topics = Array.from({ length: topics }, () =>
      Int32Array.from({ length: wordsPerTopic }, () => Math.floor(random() * vocabulary.length)),
    );
    const projection = Float32Array.from({ length: latent * width }, () => normal(random));
    const point = new Float32Array(latent);
    for (let word = 0; word < vocabulary.length; word++) {
      for (let i = 0; i < latent; i++) point[i] = normal(random);
      const weight = Math.log((vocabulary.length + 1) / (word + 1)) < 6 ? 1 : 0.1;
      for (let j = 0; j < width; j++) {
        let sum = noise * Math.sqrt(latent) * normal(random);
        for (let i = 0; i < latent; i++) sum += point[i]! * projection[i * width + j]!;
        this.#vectors[word * width + j] = weight * sum;
      }
    }
  }

  /** The text of a number: always the same one. */
  text(number: number, length: number): string {
    // neighbouring seeds would give neighbouring topics
    this.#random = uniform(1 + (Math.imul(number, 2654435761) >>> 2));
    const topic = this.#topics[Math.floor(this.#random() * topics)]!;
    return Array.from({ length }, (_, i) => vocabulary[i % 2 === 0 ? topic[this.#within()]! : this.#common()]!).join(
      " ",
    );
  }

  vector(text: string): Float32Array {
    const vector = new Float32Array(width);
    for (const word of text.split(" ")) {
      const at = this.#numbers.get(word)! * width;
      for (let j = 0; j < width; j++) vector[j]! += this.#vectors[at + j]!;
    }
    const length = Math.hypot(...vector);
    return vector.map((component) => component / length);
  }
}

export const passageOf = (language: Language, number: number, restricted: boolean): Passage => ({
  id: `p${number}`,
  text: language.text(number, wordsPerPassage),
  metadata: { tenant: number % tenants, ...(restricted && { access: [`tenant ${number % tenants}`] }) },
});

interface Grown {
  readonly words: number;
  readonly vectors: number;
}
const openWays = ["hybrid", "sparse", "dense", "hybrid, a filter that 1 % meet"] as const;
const restrictedWays = ["hybrid, who may see 1 %", "hybrid, who may see 50 %"] as const;
type Way = (typeof openWays | typeof restrictedWays)[number];

/** Adds up seconds of processor time by part. */
function processorSeconds() {
  const spent = { words: 0, vectors: 0 };
  const timed = async (part: keyof Grown, work: () => Promise<unknown>) => {
    const start = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(start);
    spent[part] += (user + system) / 1e6;
  };
  return { spent, timed };
}

/** The share of the true nearest passages that the graph finds. */
async function recallOf({
  language,
  dense,
  size,
  restricted,
  question,
}: {
  language: Language;
  dense: Store;
  size: number;
  restricted: boolean;
  question: (number: number) => string;
}): Promise<number> {
  const asked = Array.from({ length: compared }, (_, number) => language.vector(question(number)));
  const nearest = asked.map(() => [] as { id: string; cosine: number }[]);
  for (let number = 0; number < size; number++) {
    const { id, text } = passageOf(language, number, restricted);
    const vector = language.vector(text);
    for (const [index, query] of asked.entries()) {
      const found = nearest[index]!;
      let cosine = 0;
      for (let j = 0; j < width; j++) cosine += query[j]! * vector[j]!;
      if (found.length === top && cosine <= found.at(-1)!.cosine) continue;
      found.push({ id, cosine });
      found.sort((a, b) => b.cosine - a.cosine);
      found.length = Math.min(top, found.length);
    }
  }
  let same = 0;
  for (const [index, vector] of asked.entries()) {
    const hits = await dense.search({ vector, top });
    same += hits.filter(({ passage }: Hit) => nearest[index]!.some(({ id }) => id === passage.id)).length;
  }
  return same / (compared * top);
}

/** Both stores and flows over them; where passages are restricted, each belongs to one of 100 tenants. */
async function opened(restricted: boolean) {
  const language = new Language();
  const before = memory();
  const encoder: Encoder = {
    revision: "1",
    space: () => "synthetic",
    encode: async (texts) => texts.map((text) => language.vector(text)),
  };
  const stores = { sparse: new Bm25Store(), dense: await HnswStore.open({ space: "synthetic", width }) };
  const host = {
    resource: async (kind: string, name: string) => (kind === "encoder" ? encoder : stores[name as "sparse"]),
  } as unknown as Host;
  const retrieve = async (piece: ReturnType<typeof hybrid>) =>
    compile(
      flow("retrieve", { query: "text" }, (f, { query }) => ({ hits: f.node("retrieve", piece, { query }).hits }))
        .document,
      { operators: [hybrid, sparse, dense], host },
    );
  const names = { sparse: "sparse", dense: "dense", encoder: "encoder", top };
  const own: Filter = { field: "tenant", equals: 7 };
  const ways = {
    hybrid: await retrieve(hybrid(names)),
    sparse: await retrieve(sparse({ store: "sparse", top })),
    dense: await retrieve(dense({ store: "dense", encoder: "encoder", top })),
    "hybrid, a filter that 1 % meet": await retrieve(hybrid({ ...names, filter: own })),
  };
  const group = (number: number) => `tenant ${number}`;
  const principals: Partial<Record<Way, Principal>> = {
    "hybrid, who may see 1 %": { id: "ann", groups: [group(7)] },
    "hybrid, who may see 50 %": {
      id: "bob",
      groups: Array.from({ length: tenants / 2 }, (_, number) => group(number)),
    },
  };
  const question = (number: number) => language.text(-number - 1, wordsPerQuery);
  let size = 0;

  return {
    /** Grows both stores to a size; seconds of processor time of each. */
    async grow(wanted: number): Promise<Grown> {
      const { spent, timed } = processorSeconds();
      while (size < wanted) {
        const passages = Array.from({ length: Math.min(batch, wanted - size) }, (_, i) =>
          passageOf(language, size + i, restricted),
        );
        const vectors = passages.map(({ text }) => language.vector(text));
        await timed("words", () => stores.sparse.upsert(passages));
        await timed("vectors", () => stores.dense.upsert(passages, vectors));
        size += passages.length;
      }
      await timed("words", () => stores.sparse.search({ text: "nothing", top })); // what is left for it is paid here
      return spent;
    },
    memory() {
      const now = memory();
      return { heap: now.heap - before.heap, resident: now.resident - before.resident };
    },
    async ask(way: Way): Promise<number[]> {
      const flow = way in ways ? ways[way as keyof typeof ways] : ways.hybrid;
      const principal = principals[way];
      const times: number[] = [];
      for (let number = 0; number < queries; number++) {
        const query = question(number);
        const start = performance.now();
        await flow.run({ query }, { principal });
        times.push(performance.now() - start);
      }
      return times;
    },
    recall: () => recallOf({ language, dense: stores.dense, size, restricted, question }),
  };
}

export const systems = { open: () => opened(false), restricted: () => opened(true) };

/**
 * Hybrid retrieval as it grows on one machine, in one process: words and vectors are added, and questions asked at each
 * size; then once more over passages that belong to tenants. TESSERA_PASSAGES sets the last size; with 1,000,000 it takes
 * about half an hour of one core.
 */
export default async function retrieval(report: Report): Promise<void> {
  const last = Number(process.env.TESSERA_PASSAGES ?? 100_000);
  const reached = sizes.filter((size) => size <= last);
  await grow(report, "open", reached, openWays);
  await grow(report, "restricted", reached.slice(-1), restrictedWays);
}

async function grow(
  report: Report,
  kind: keyof typeof systems,
  reached: readonly number[],
  ways: readonly Way[],
): Promise<void> {
  const stores = await SystemProcess.start(fileURLToPath(import.meta.url), kind);
  try {
    let before = 0;
    for (const size of reached) {
      const name = `${size.toLocaleString("en")}${kind === "open" ? "" : ", restricted"}`;
      report.say(`growing to ${name} …`);
      const grown = await stores.call<Grown>("grow", size);
      report.add(name, "ingest, words", (size - before) / grown.words, "passages a CPU second");
      report.add(name, "ingest, vectors", (size - before) / grown.vectors, "passages a CPU second");
      before = size;
      const held = await stores.call<{ heap: number; resident: number }>("memory");
      report.add(name, "memory, JavaScript's", held.heap, "MB");
      report.add(name, "memory, resident", held.resident, "MB");
      report.say(`${queries} questions each way …`);
      for (const way of ways) {
        const times = await stores.call<number[]>("ask", way);
        report.add(name, `${way}, p50`, percentile(times, 0.5), "ms");
        report.add(name, `${way}, p99`, percentile(times, 0.99), "ms");
      }
      if (kind === "open") report.add(name, `recall@${top} of the graph`, await stores.call<number>("recall"), "share");
    }
  } finally {
    await stores.close();
  }
}
