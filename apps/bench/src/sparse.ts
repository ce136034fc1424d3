import type { Passage } from "@tessera/core";
import { mean } from "@tessera/core/internal";
import { Bm25Store } from "@tessera/stores";
import { referenceBm25 } from "@tessera/stores/internal";
import { words } from "@tessera/text";
import { peer } from "./measure/peers.js";
import { memory, SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { interleave, percentile } from "./measure/rounds.js";
import { vocabulary, zipf } from "./measure/words.js";

const documents = 100_000;
const wordsPerDocument = 40;
const termsPerQuery = 4;
const queriesPerRound = 100;
const indexings = 3;
const rounds = 4;
const top = 10;

const sentence = (word: () => string, length: number): string => Array.from({ length }, word).join(" ");

function corpus(): Passage[] {
  const word = zipf(1);
  return Array.from({ length: documents }, (_, i) => ({
    id: `d${String(i).padStart(6, "0")}`,
    text: sentence(word, wordsPerDocument),
    metadata: {},
  }));
}

function queriesOf(round: number): string[] {
  const word = zipf(1000 + round);
  return Array.from({ length: queriesPerRound }, () => sentence(word, termsPerQuery));
}

interface Indexing {
  readonly seconds: number;
  readonly heap: number;
  readonly resident: number;
}

interface Index {
  add(passages: Passage[]): unknown;
  search(query: string): unknown;
}

/** What each process answers: the time and memory of indexing, and the time of each query. */
function measured(create: () => Index) {
  let index: Index = create();
  return {
    async index(): Promise<Indexing> {
      index = create();
      const before = memory();
      let passages: Passage[] = corpus();
      const start = performance.now();
      await index.add(passages);
      await index.search("nothing"); // what is left for the first search is paid here
      const seconds = (performance.now() - start) / 1000;
      passages = [];
      const after = memory();
      return { seconds, heap: after.heap - before.heap, resident: after.resident - before.resident };
    },
    async round(queries: string[]): Promise<number[]> {
      const times: number[] = [];
      for (const query of queries) {
        const start = performance.now();
        await index.search(query);
        times.push(performance.now() - start);
      }
      return times;
    },
    answers: async (queries: string[]): Promise<unknown[]> => Promise.all(queries.map((query) => index.search(query))),
  };
}

interface MiniSearchModule {
  default: new (options: object) => { addAll(documents: object[]): void; search(query: string): { id: string }[] };
}
interface SqliteModule {
  default: new (
    path: string,
  ) => {
    exec(sql: string): void;
    prepare(sql: string): { run(...values: unknown[]): void; all(...values: unknown[]): unknown[] };
  };
}

export const systems = {
  async tessera() {
    return measured(() => {
      const store = new Bm25Store();
      return {
        add: (passages) => store.upsert(passages),
        search: async (text) =>
          (await store.search({ text, top })).map(({ passage: { id }, score }) => ({ id, score })),
      };
    });
  },
  async minisearch() {
    const { default: MiniSearch } = await peer<MiniSearchModule>("minisearch");
    return measured(() => {
      const index = new MiniSearch({ fields: ["text"] });
      return { add: (passages) => index.addAll(passages), search: (text) => index.search(text).slice(0, top) };
    });
  },
  async "sqlite-fts5"() {
    const { default: Database } = await peer<SqliteModule>("better-sqlite3");
    return measured(() => {
      const database = new Database(":memory:");
      database.exec("CREATE VIRTUAL TABLE documents USING fts5(id UNINDEXED, text)");
      const insert = database.prepare("INSERT INTO documents (id, text) VALUES (?, ?)");
      const search = database.prepare(`SELECT id FROM documents WHERE documents MATCH ? ORDER BY rank LIMIT ${top}`);
      return {
        add(passages) {
          database.exec("BEGIN");
          for (const { id, text } of passages) insert.run(id, text);
          database.exec("COMMIT");
        },
        search: (text) => search.all(text.split(" ").join(" OR ")),
      };
    });
  },
  async reference() {
    let answer = referenceBm25([]);
    return measured(() => ({
      add: (passages) => {
        answer = referenceBm25(passages);
      },
      search: (text) => answer({ text, top }),
    }));
  },
};

/** BM25 beside MiniSearch and SQLite FTS5, each in its own process. */
export default async function sparse(report: Report): Promise<void> {
  if (words(vocabulary[0]!).length !== 1) throw new Error("a word of the corpus is split");
  const running = new Map<string, SystemProcess>();
  try {
    for (const name of ["tessera", "minisearch", "sqlite-fts5"]) {
      try {
        running.set(name, await SystemProcess.start(import.meta.url, name));
      } catch (error) {
        report.miss(name, (error as Error).message);
      }
    }
    report.say(`${documents} documents of ${wordsPerDocument} words, indexed in ${indexings} interleaved rounds …`);
    const indexed = await interleave(
      Object.fromEntries([...running].map(([name, system]) => [name, () => system.call<Indexing>("index")])),
      indexings,
    );
    for (const [name, samples] of Object.entries(indexed)) {
      const median = (of: keyof Indexing) =>
        percentile(
          samples.map((sample) => sample[of]),
          0.5,
        );
      report.add(name, "index", median("seconds"), "s");
      report.add(name, "memory, JavaScript's", median("heap"), "MB");
      report.add(name, "memory, resident", samples[0]!.resident, "MB");
    }

    report.say(`${rounds} interleaved rounds of ${queriesPerRound} queries of ${termsPerQuery} terms …`);
    for (const system of running.values()) await system.call("round", queriesOf(rounds).slice(0, 20)); // warms up
    let next = 0;
    const times = await interleave(
      Object.fromEntries(
        [...running].map(([name, system]) => [
          name,
          () => system.call<number[]>("round", queriesOf(Math.floor(next++ / running.size))),
        ]),
      ),
      rounds,
    );
    for (const [name, samples] of Object.entries(times)) {
      const all = samples.flat();
      report.add(name, "query p50", percentile(all, 0.5), "ms");
      report.add(name, "query p95", percentile(all, 0.95), "ms");
      report.add(name, "query mean", mean(all), "ms");
    }

    report.say("the same top ten as the formula, by a naive program …");
    const queries = queriesOf(0);
    const reference = await SystemProcess.start(import.meta.url, "reference");
    running.set("reference", reference);
    await reference.call("index");
    const expected = await reference.call<unknown[]>("answers", queries);
    const given = await running.get("tessera")!.call<unknown[]>("answers", queries);
    const same = given.filter((answer, i) => JSON.stringify(answer) === JSON.stringify(expected[i])).length;
    report.add("tessera", `top ${top} equal to the formula's`, (100 * same) / queries.length, "%");
  } finally {
    for (const system of running.values()) await system.close();
  }
}
