import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Filter, Passage, StoreQuery } from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import { hasPgvector, hasPlainPostgres, needs, PostgresServer, testStore } from "@tessera/testkit";
import fc from "fast-check";
import { agreement } from "./agreement.fixture.js";
import { referenceBm25 } from "./bm25.reference.js";
import { connectPostgres, type SqlDatabase } from "./database.js";
import { ExactStore } from "./exact.js";
import { admitsAsCore } from "./filters.fixture.js";
import { openPglite } from "./pglite.fixture.js";
import { type PostgresSettings, PostgresStore } from "./postgres.js";

let database: SqlDatabase;
let opened = 0;
const onServerNow: PostgresStore[] = [];
beforeAll(async () => {
  database = await openPglite();
});
afterAll(async () => {
  await Promise.all([database, ...onServerNow].map((one) => one.close()));
  await own?.remove();
});

const open = (settings: Partial<PostgresSettings> = {}) =>
  PostgresStore.open({ database, name: `test_${opened++}`, refreshMs: 0, ...settings });
const space = { space: "test:4", width: 4 };

testStore("PostgresStore by vector, on PGlite", { open: () => open(space), by: "vector" });
testStore("PostgresStore by words, on PGlite", { open: () => open(), by: "text" });

it("takes words whose first letter is two code units: signs of music, rare Chinese letters", async () => {
  const store = await open();
  const texts = ["\u{1d165}\u{1d16e} notes", "\u{20bb7}\u91ce\u5bb6 rice", "\u{10400}\u{10428} old"];
  await store.upsert(texts.map((text, n) => ({ id: `${n}`, text, metadata: {} })));
  for (const [n, word] of ["notes", "rice", "old"].entries())
    expect((await store.search({ text: word, top: 3 })).map(({ passage }) => passage.id)).toEqual([`${n}`]);
});

// the one that is given, or one of this machine's own
const own = process.env.DATABASE_URL || !hasPgvector ? undefined : await PostgresServer.start(true);
const server = process.env.DATABASE_URL || own?.url;
async function onServer(settings: Partial<PostgresSettings> = {}): Promise<PostgresStore> {
  const name = `test_${process.pid}_${opened++}`;
  const store = await PostgresStore.open({ database: server!, name, ...settings });
  onServerNow.push(store);
  return store;
}

/** Whether the server has pgvector. */
async function hasVectors(url: string): Promise<boolean> {
  const connection = await connectPostgres(url, 1);
  const { rows } = await connection.query("SELECT FROM pg_available_extensions WHERE name = 'vector'");
  await connection.close();
  return rows.length > 0;
}
const vectors = server !== undefined && (await hasVectors(server));
if (server) testStore("PostgresStore by words, on a server", { open: () => onServer(), by: "text" });
if (vectors) testStore("PostgresStore by vector, on a server", { open: () => onServer(space), by: "vector" });
needs(vectors, "no DATABASE_URL of a server with pgvector, and none to start")(
  "PostgresStore searches by vector on a server",
  async () => {
    expect((await onServer(space)).space).toBe(space.space);
  },
);
needs(hasPlainPostgres, "no server without pgvector to start")(
  "PostgresStore says that the server has no pgvector, and searches by words there",
  async () => {
    const plain = await PostgresServer.start(false);
    try {
      const settings = { database: plain.url, name: "plain", refreshMs: 0 };
      await expect(PostgresStore.open({ ...settings, ...space })).rejects.toMatchObject({ code: "DEPENDENCY_MISSING" });
      const store = await PostgresStore.open(settings);
      await store.upsert([{ id: "a", text: "alpha", metadata: {} }]);
      expect(await store.search({ text: "alpha", top: 1 })).toHaveLength(1);
      await store.close();
    } finally {
      await plain.remove();
    }
  },
);
needs(server !== undefined, "no DATABASE_URL, and no server to start")(
  "PostgresStore connects to a server",
  async () => {
    const connection = await connectPostgres(server!, 1);
    expect((await connection.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await connection.close();
  },
);

// with forms, compounds, scripts without spaces, and function words of several languages
const inflected = `alpha beta maxRetry retry retries retrying it's the is der die und Datensicherung Datensicherungen
  Sicherung Daten Möwe moewe Größe groesse café cafe 식당 식당에서 日本 日本語 ที่จอดรถ 2.1.0 C++`.split(/\s+/);

describe("PostgresStore", () => {
  it("admits by SQL what core admits, whatever keys, values and names there are, and keeps them as they are", async () => {
    const store = await open(space);
    await admitsAsCore(store, 100);
  });

  it("ranks words as the reference of BM25 does, after any adds, replacements and deletes", async () => {
    const store = await open();
    const texts = fc.array(fc.constantFrom(...inflected), { maxLength: 8 });
    const step = fc.oneof(
      fc.record({ upsert: fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), texts), { maxLength: 5 }) }),
      fc.record({ delete: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 6 }), texts, async (steps, query) => {
        await store.delete(Array.from({ length: 10 }, (_, i) => `p${i}`));
        const twin = new Map<string, Passage>();
        for (const step of steps) {
          if ("upsert" in step) {
            const passages = step.upsert.map(
              ([i, list]): Passage => ({ id: `p${i}`, text: list.join(" "), metadata: {} }),
            );
            await store.upsert(passages);
            for (const one of passages) twin.set(one.id, one);
          } else {
            await store.delete(step.delete.map((i) => `p${i}`));
            for (const i of step.delete) twin.delete(`p${i}`);
          }
        }
        const asked: StoreQuery = { text: query.join(" "), top: 5 };
        const expected = referenceBm25([...twin.values()])(asked);
        const hits = await store.search(asked);
        expect(hits.map(({ score }) => score)).toHaveLength(expected.length);
        for (const [i, { score }] of hits.entries()) expect(score).toBeCloseTo(expected[i]!.score, 9);
        expect((await store.statistics()).passages).toBe(twin.size);
      }),
      { numRuns: 60 },
    );
  });

  it("finds other forms of words in a store that was made before its words were described", async () => {
    const name = `test_${opened++}`;
    const before = await open({ name });
    await before.upsert([
      { id: "a", text: "Datensicherungen laufen um drei Uhr, und die Möwe sieht zu", metadata: {} },
      { id: "b", text: "the lantern is green", metadata: {} },
    ]);
    const table = `tessera_${name}.term`;
    await database.query(`ALTER TABLE ${table} DROP COLUMN beginning, DROP COLUMN plain`);
    await database.query(`UPDATE tessera_${name}.store SET version = 2`);
    const after = await open({ name });
    const found = async (text: string) => (await after.search({ text, top: 5 })).map(({ passage }) => passage.id);
    for (const text of ["wann läuft die Datensicherung?", "moewe", "Sicherung"])
      expect(await found(text)).toEqual(["a"]);
    await after.upsert([{ id: "c", text: "the lanterns of the harbour", metadata: {} }]);
    expect((await found("lantern")).sort()).toEqual(["b", "c"]);
    const plain = await open({ name, forms: false });
    expect((await plain.search({ text: "Datensicherung", top: 5 })).map(({ passage }) => passage.id)).toEqual([]);
  });

  it("a filter never starves the graph: as many hits as there are, and the nearest", async () => {
    const store = await open({ space: "test:8", width: 8 });
    const exact = new ExactStore({ space: "test:8", width: 8 });
    const random = uniform(7);
    const vector = () => Float32Array.from({ length: 8 }, () => random() - 0.5);
    const passages = Array.from({ length: 1500 }, (_, i) => ({
      id: `p${i}`,
      text: "",
      metadata: { hundredth: i % 100, half: i % 2 },
    }));
    const vectors = passages.map(vector);
    await store.upsert(passages, vectors);
    await exact.upsert(passages, vectors);
    await database.query("ANALYZE");
    const filters: (Filter | undefined)[] = [
      undefined,
      { field: "half", equals: 1 },
      { field: "hundredth", equals: 3 },
      { field: "hundredth", in: [] },
    ];
    const queries = filters.flatMap((filter) =>
      Array.from({ length: 10 }, () => ({ vector: vector(), top: 10, filter })),
    );
    expect(await agreement(store, exact, queries)).toBeGreaterThan(0.97);
  });

  it("a write that fails leaves nothing behind", async () => {
    const store = await open(space);
    const good: Passage = { id: "a", text: "alpha", metadata: {} };
    await store.upsert([good], [Float32Array.of(1, 0, 0, 0)]);
    const { revision } = store;
    const before = await store.statistics();
    await expect(
      store.upsert([good, { ...good, id: "\0" }], [Float32Array.of(1, 0, 0, 0), Float32Array.of(1, 0, 0, 0)]),
    ).rejects.toMatchObject({ code: "BAD_ARGUMENT", path: "passages[1]" });
    await expect(store.upsert([{ ...good, id: "b" }], [Float32Array.of(1)])).rejects.toMatchObject({
      code: "SPACE_MISMATCH",
    });
    const failing = await PostgresStore.open({
      database: {
        query: (text, values) => database.query(text, values),
        close: async () => {},
        transaction: (work) =>
          database.transaction((connection) =>
            work({
              query: (text, values) =>
                text.includes("SET revision")
                  ? Promise.reject(new Error("the line broke"))
                  : connection.query(text, values),
            }),
          ),
      },
      name: `test_${opened - 1}`,
      refreshMs: 0,
      ...space,
    });
    await expect(failing.upsert([{ ...good, id: "c" }], [Float32Array.of(0, 1, 0, 0)])).rejects.toMatchObject({
      code: "STORE_FAILED",
    });
    expect([store.revision, await store.statistics()]).toEqual([revision, before]);
  });

  it("is opened again as it was, by its own encoder alone, and sees what another process wrote", async () => {
    const store = await open(space);
    const other = await PostgresStore.open({ database, name: `test_${opened - 1}`, refreshMs: 0, ...space });
    await store.upsert([{ id: "a", text: "alpha", metadata: {} }], [Float32Array.of(1, 0, 0, 0)]);
    expect(other.revision).not.toBe(store.revision);
    await other.refresh();
    expect(other.revision).toBe(store.revision);
    expect(await other.get(["a", "b"])).toEqual([{ id: "a", text: "alpha", metadata: {} }, undefined]);
    await expect(
      PostgresStore.open({ database, name: `test_${opened - 1}`, space: "other", width: 4 }),
    ).rejects.toMatchObject({ code: "SPACE_MISMATCH" });
    await expect(PostgresStore.open({ database, name: 'x"; DROP' })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });
});
