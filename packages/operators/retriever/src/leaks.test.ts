import { PGlite } from "@electric-sql/pglite";
import { vector as pgvector } from "@electric-sql/pglite-pgvector";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { flow, type Hit, type Passage, type Principal, type Store } from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import { compile, memoryRecords } from "@tessera/graph";
import type { SqlDatabase } from "@tessera/stores";
import { Bm25Store, ExactStore, HnswStore, PostgresStore } from "@tessera/stores";
import { hostOf } from "@tessera/testkit";
import { dense } from "./dense.js";
import { hybrid } from "./hybrid.js";
import { sparse } from "./sparse.js";

const documents = 200;
const questions = 500; // each asks for every document: 100,000 cases a store
const width = 8;
const names = Array.from({ length: 10 }, (_, i) => `name${i}`);

const random = uniform(3);
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
const some = () => names.filter(() => random() < 0.2);
const word = () => `word${Math.floor(random() * 12)}`;
const vector = () => Float32Array.from({ length: width }, () => random() - 0.5);

const lists = [
  () => undefined,
  some,
  some,
  some,
  () => [],
  () => pick([null, "name1", { name1: true }, 1, [["name1"]]]),
];
const passages = Array.from({ length: documents }, (_, i): Passage => {
  const access = pick(lists)();
  const text = Array.from({ length: 6 }, word).join(" ");
  return { id: `d${i}`, text, metadata: access === undefined ? {} : { access } };
});
const cases = Array.from({ length: questions }, () => ({
  text: `${word()} ${word()}`,
  vector: vector(),
  principal: pick<Principal | undefined>([
    undefined,
    { id: pick(names) },
    ownName(pick(names), some()),
    { id: "stranger", groups: ["*"] },
  ]),
}));

/** Who may see what, said a second time. */
/** A principal that is called as none of its groups; a run is refused to another. */
function ownName(id: string, groups: readonly string[]): Principal {
  return { id, groups: groups.filter((group) => group !== id) };
}

function mayRead({ metadata }: Passage, principal: Principal | undefined): boolean {
  if (!("access" in metadata)) return true;
  const list: unknown = metadata.access;
  return (
    Array.isArray(list) && [principal?.id, ...(principal?.groups ?? [])].some((name) => name && list.includes(name))
  );
}

let database: SqlDatabase;
const stores: Record<string, Store> = {};
beforeAll(async () => {
  database = await PGlite.create({ extensions: { vector: pgvector } });
  const space = { space: "s", width };
  stores.bm25 = new Bm25Store();
  stores.exact = new ExactStore(space);
  stores.hnsw = await HnswStore.open(space);
  stores.postgres = await PostgresStore.open({ database, name: "leaks", refreshMs: 0, ...space });
  const vectors = passages.map(vector);
  for (const store of Object.values(stores)) await store.upsert(passages, vectors);
});
afterAll(() => database.close());

const encoder = {
  revision: "1",
  space: () => "s",
  encode: async (texts: readonly string[]) => texts.map((text) => cases.find((one) => one.text === text)!.vector),
};
const host = () =>
  hostOf({ ...Object.fromEntries(Object.entries(stores).map(([n, s]) => [`store/${n}`, s])), "encoder/e": encoder });
const operators = [sparse, dense, hybrid];

/** Checks 100,000 (principal, document, query) cases; nothing may be seen that is hidden, and where all is asked for, nothing missed. */
async function noLeaks(find: (asked: (typeof cases)[number]) => Promise<readonly Hit[]>, all: boolean): Promise<void> {
  let [checked, shown] = [0, 0];
  const leaks: string[] = [];
  const missed: string[] = [];
  for (const asked of cases) {
    const seen = new Set((await find(asked)).map(({ passage }) => passage.id));
    for (const passage of passages) {
      checked++;
      const permitted = mayRead(passage, asked.principal);
      if (seen.has(passage.id)) {
        shown++;
        if (!permitted) leaks.push(passage.id);
      } else if (all && permitted) missed.push(passage.id);
    }
  }
  expect([checked, leaks, missed]).toEqual([100_000, [], []]);
  expect(shown).toBeGreaterThan(1000);
}

describe("0 leaks over 100,000 (principal, document, query) cases", () => {
  it.each([
    ["bm25", "text", false],
    ["exact", "vector", true],
    ["hnsw", "vector", true],
    ["postgres", "text", false],
    ["postgres", "vector", true],
  ] as const)("on the store %s by %s", async (name, by, all) => {
    await noLeaks(
      ({ [by]: asked, principal }) => stores[name]!.search({ [by]: asked, top: documents, principal }),
      all,
    );
  });

  it.each([
    ["bm25", "exact"],
    ["bm25", "hnsw"],
    ["postgres", "postgres"],
  ])("on the hybrid of %s and %s", async (words, near) => {
    const { document } = flow("find", { query: "text" }, (f, input) => ({
      hits: f.node(
        "find",
        hybrid({ sparse: words, dense: near, encoder: "e", top: documents, depth: documents }),
        input,
      ).hits,
    }));
    const ready = await compile(document, { operators, host: host() });
    await noLeaks(
      async ({ text, principal }) => (await ready.run({ query: text }, { principal })).output.hits as Hit[],
      true,
    );
  });

  // few different questions by many people, so that a result kept for one is at hand for the next
  const asked = (text: string) => cases.find((one) => one.text === text)!.text;
  const few = cases.slice(0, 5).map(({ text }) => text);
  const { document } = flow("find", { query: "text" }, (f, input) => ({
    words: f.node("words", sparse({ store: "bm25", top: documents }), input).hits,
    near: f.node("near", dense({ store: "exact", encoder: "e", top: documents }), input).hits,
  }));
  const found = ({ words, near }: Record<string, unknown>) => [...(words as Hit[]), ...(near as Hit[])];

  it("through the run cache", async () => {
    const ready = await compile(document, { operators, host: host(), cache: memoryRecords() });
    await noLeaks(
      async ({ principal }) => found((await ready.run({ query: asked(pick(few)) }, { principal })).output),
      true,
    );
  });

  it("through the records: what-if on a run of one who may see everything", async () => {
    const ready = await compile(document, { operators, host: host(), records: memoryRecords() });
    for (const [i, query] of few.entries())
      await ready.run({ query }, { id: `r${i}`, principal: ownName("name0", names) });
    await noLeaks(async ({ principal }) => {
      const i = Math.floor(random() * few.length);
      return found((await ready.whatIf(`r${i}`, { query: few[i]! }, { principal })).output);
    }, true);
  });
});
