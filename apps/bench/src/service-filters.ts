import { fileURLToPath } from "node:url";
import type { Filter, Passage, Principal, StoreQuery } from "@tessera/core";
import { Bm25Store, ExactStore } from "@tessera/stores";
import { memory, SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { percentile } from "./measure/rounds.js";
import { batch, Language, passageOf, width, wordsPerQuery } from "./service-retrieval.js";

const queries = 500;
const top = 50; // as deep as `retriever.hybrid` looks in each store

interface Asked {
  readonly filter?: Filter;
  readonly principal?: Principal;
}

const everybody: Principal = { id: "all", groups: ["everybody"] };
/** What a question is narrowed by; `tenant` is one of a hundred, `number` is different in every passage. */
const ways: Readonly<Record<string, (size: number) => Asked>> = {
  "0.1 %, two fields": () => ({
    filter: {
      all: [
        { field: "tenant", equals: 7 },
        { field: "tenth", equals: 7 },
      ],
    },
    principal: everybody,
  }),
  "1 %, one value": () => ({ filter: { field: "tenant", equals: 7 }, principal: everybody }),
  "5 %, five values": () => ({ filter: { field: "tenant", in: [7, 17, 27, 37, 47] }, principal: everybody }),
  "5 %, a range of a hundred values": () => ({ filter: { field: "tenant", least: 95 }, principal: everybody }),
  "1 %, all but other values": (size) => ({
    filter: { all: [{ field: "number", least: size - size / 100 }, { not: { field: "tenant", equals: 200 } }] },
    principal: everybody,
  }),
  "1 %, who may see it": () => ({ principal: { id: "ann", groups: ["tenant 7"] } }),
};

/**
 * Stores of words and of vectors, asked as `retriever.hybrid` asks them. Where few passages are admitted a graph of
 * vectors is not used either, so that these figures are those of `HnswStore` too.
 */
async function opened() {
  const language = new Language();
  const before = memory();
  const stores = { sparse: new Bm25Store(), dense: new ExactStore({ space: "synthetic", width }) };
  let size = 0;
  const question = (number: number): Pick<StoreQuery, "text" | "vector"> => {
    const text = language.text(-number - 1, wordsPerQuery);
    return { text, vector: language.vector(text) };
  };
  return {
    async grow(wanted: number): Promise<void> {
      while (size < wanted) {
        const passages = Array.from({ length: Math.min(batch, wanted - size) }, (_, i): Passage => {
          const number = size + i;
          const { metadata, ...passage } = passageOf(language, number, false);
          const access = ["everybody", `tenant ${metadata.tenant}`];
          return { ...passage, metadata: { ...metadata, number, tenth: Math.floor(number / 100) % 10, access } };
        });
        await stores.sparse.upsert(passages);
        await stores.dense.upsert(
          passages,
          passages.map(({ text }) => language.vector(text)),
        );
        size += passages.length;
      }
      await stores.sparse.search({ text: "nothing", top }); // what is left for it is paid here
    },
    /** Milliseconds of each question; the first one reads the field through. */
    async ask(way: string): Promise<number[]> {
      const { filter, principal } = ways[way]!(size);
      const times: number[] = [];
      for (let number = 0; number < queries; number++) {
        const { text, vector } = question(number);
        const start = performance.now();
        await stores.sparse.search({ text, top, filter, principal });
        await stores.dense.search({ vector, top, filter, principal });
        times.push(performance.now() - start);
      }
      return times;
    },
    memory() {
      return memory().resident - before.resident;
    },
  };
}

export const systems = { open: opened };

/** Questions to which few of TESSERA_PASSAGES (100,000) passages are admitted, by words and by vector. */
export default async function filters(report: Report): Promise<void> {
  const size = Number(process.env.TESSERA_PASSAGES ?? 100_000);
  const name = size.toLocaleString("en");
  const stores = await SystemProcess.start(fileURLToPath(import.meta.url), "open");
  try {
    report.say(`growing to ${name} …`);
    await stores.call("grow", size);
    for (const way of Object.keys(ways)) {
      const [first, ...times] = await stores.call<number[]>("ask", way);
      report.add(name, `${way}, first`, first!, "ms");
      report.add(name, `${way}, p50`, percentile(times, 0.5), "ms");
      report.add(name, `${way}, p99`, percentile(times, 0.99), "ms");
    }
    report.add(name, "memory, resident", await stores.call<number>("memory"), "MB");
  } finally {
    await stores.close();
  }
}
