import { flow, type Host, type Passage, type Principal, type Store } from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import { compile, memoryRecords } from "@tessera/graph";
import { dense, sparse } from "@tessera/retriever";
import { Bm25Store, ExactStore, HnswStore } from "@tessera/stores";
import type { Report } from "./measure/report.js";

import { vocabulary, zipfRanks } from "./measure/words.js";

const documents = 250;
const questions = 400; // each asks for every document: 100,000 cases
const names = Array.from({ length: 12 }, (_, number) => `name${number}`);
const width = 16;

interface Case {
  readonly text: string;
  readonly vector: Float32Array;
  readonly principal: Principal | undefined;
}

/** Passages for everybody, for some, for nobody, and with damaged lists; and questions by all kinds of people. */
function drawn(): { passages: Passage[]; vectors: Float32Array[]; cases: Case[] } {
  const random = uniform(7);
  const rank = zipfRanks(random, 60);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const some = () => names.filter(() => random() < 0.2);
  const text = () => Array.from({ length: 8 }, () => vocabulary[rank()]!).join(" ");
  const vector = () => Float32Array.from({ length: width }, () => random() - 0.5);
  const damaged = [null, "name1", { name1: true }, 1, [["name1"]]];
  const access = () => pick([undefined, some(), some(), some(), [], pick(damaged)]);
  const passages = Array.from({ length: documents }, (_, number): Passage => {
    const list = access();
    return { id: `d${number}`, text: text(), metadata: list === undefined ? {} : { access: list } };
  });
  const cases = Array.from({ length: questions }, (): Case => {
    const principal = pick([undefined, { id: pick(names) }, { id: pick(names), groups: some() }, { id: "stranger" }]);
    return { text: text(), vector: vector(), principal };
  });
  return { passages, vectors: passages.map(vector), cases };
}

/** Who may see what, said a second time. */
function mayRead({ metadata }: Passage, principal: Principal | undefined): boolean {
  if (!("access" in metadata)) return true;
  const list: unknown = metadata.access;
  if (!Array.isArray(list)) return false;
  return [principal?.id, ...(principal?.groups ?? [])].some((name) => name !== undefined && list.includes(name));
}

/** Whether anybody is shown what is not theirs, on each store, and through the cache and the records of a flow. */
export default async function access(report: Report): Promise<void> {
  const { passages, vectors, cases } = drawn();
  const stores: Record<string, Store> = {
    bm25: new Bm25Store(),
    exact: new ExactStore({ space: "s", width }),
    hnsw: await HnswStore.open({ space: "s", width }),
  };
  for (const store of Object.values(stores)) await store.upsert(passages, vectors);

  const count = async (name: string, all: boolean, find: (asked: Case) => Promise<readonly { id: string }[]>) => {
    let [leaks, hidden] = [0, 0];
    for (const asked of cases) {
      const seen = new Set((await find(asked)).map(({ id }) => id));
      for (const passage of passages) {
        const permitted = mayRead(passage, asked.principal);
        if (seen.has(passage.id) && !permitted) leaks++;
        if (all && permitted && !seen.has(passage.id)) hidden++;
      }
    }
    report.add(name, "cases", cases.length * documents, "(principal, document, query)");
    report.add(name, "leaks", leaks, "documents shown to who may not see them");
    if (all) report.add(name, "hidden", hidden, "documents not shown to who may see them");
  };
  for (const [name, store] of Object.entries(stores))
    await count(name, name !== "bm25", async ({ text, vector, principal }) =>
      (await store.search({ text, vector, top: documents, principal })).map(({ passage }) => passage),
    );

  // the same questions from different people follow one another, so that a result kept for one is at hand for the next
  for (const asked of cases) Object.assign(asked, { text: cases[0]!.text, vector: cases[0]!.vector });
  const host = { resource: async (_: string, name: string) => stores[name] ?? encoder } as unknown as Host;
  const encoder = { revision: "1", space: () => "s", encode: async () => [cases[0]!.vector] };
  const { document } = flow("find", { query: "text" }, (f, { query }) => ({
    words: f.node("words", sparse({ store: "bm25", top: documents }), { query }).hits,
    near: f.node("near", dense({ store: "exact", encoder: "encoder", top: documents }), { query }).hits,
  }));
  const found = (output: Record<string, unknown>) =>
    (Object.values(output) as { passage: Passage }[][]).flat().map(({ passage }) => passage);

  const cached = await compile(document, { operators: [sparse, dense], host, cache: memoryRecords() });
  await count("through the cache", true, async ({ text, principal }) =>
    found((await cached.run({ query: text }, { principal })).output),
  );
  const records = memoryRecords();
  const recorded = await compile(document, { operators: [sparse, dense], host, records });
  await recorded.run({ query: cases[0]!.text }, { id: "first", principal: { id: names[0]!, groups: names } });
  await count("through the records", true, async ({ text, principal }) =>
    found((await recorded.whatIf("first", { query: text }, { principal })).output),
  );
}
