import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { describe, expect, it } from "@jest/globals";
import type { Encoder, Store } from "@tessera/core";
import type { SqlDatabase } from "@tessera/stores";
import { DatabaseIndexes } from "./indexes.js";
import { SharedRevision } from "./revision.js";

describe.each([
  ["with pgvector", { extensions: { vector } }],
  ["without pgvector", {}],
] as const)("indexes in a database %s", (_, options) => {
  const hasVectors = "extensions" in options;

  it("give flows their stores, are seen by another process, and go with all that they hold", async () => {
    const database = await PGlite.create(options);
    await database.exec("CREATE SCHEMA tessera");
    const open = async () => {
      const revision = await SharedRevision.open(database);
      const kept: SqlDatabase = {
        query: (text, values) => database.query(text, values),
        transaction: (work) => database.transaction(work),
        close: async () => {}, // the other has it too
      };
      return { revision, indexes: await DatabaseIndexes.open(kept, database, revision) };
    };
    const [one, other] = [await open(), await open()];
    const index = await one.indexes.create("My-docs");
    await expect(one.indexes.create("My-docs")).rejects.toMatchObject({ code: "CONFLICT", path: "My-docs" });
    await index.upsert([
      { id: "a", text: "waits grow twice as long", metadata: {} },
      { id: "b", text: "bananas", metadata: { access: ["bob"] } },
    ]);
    const fileOf = (...names: string[]) =>
      new Map([["f.md#", names.map((name) => ({ id: `f.md#${name}`, text: `keel ${name}`, metadata: {} }))]]);
    expect(await index.replace(fileOf("one", "two"))).toBe(0);
    expect(await index.replace(fileOf("two", "three"))).toBe(1);
    const keels = await index.search({ text: "keels", top: 5 });
    expect(keels.map(({ passage }) => passage.id).sort()).toEqual(["f.md#three", "f.md#two"]);
    expect(await index.replace(fileOf())).toBe(2);
    let followed = 0;
    await other.revision.follow(async () => {
      followed++;
      const names = hasVectors ? ["My-docs.sparse", "My-docs.dense"] : ["My-docs.sparse"];
      expect(Object.keys((await other.indexes.load()).added.store!)).toEqual(names);
    });
    await other.revision.follow(async () => void followed++);
    expect(followed).toBe(1);
    const seen = other.indexes.get("My-docs");
    expect(await seen.statistics()).toMatchObject({ passages: 2, encoder: hasVectors ? "hash" : undefined });
    expect(await seen.search({ text: "bananas", top: 5 })).toEqual([]);
    expect(await seen.search({ text: "bananas", top: 5, principal: { id: "bob" } })).toHaveLength(1);
    if (hasVectors) {
      const { store, encoder } = seen.resources;
      const query = await (encoder!["My-docs.encoder"] as Encoder).encode(["growing waits"], { kind: "query" });
      const hits = await (store!["My-docs.dense"] as Store).search({ vector: query[0]!, top: 1 });
      expect(hits.map(({ passage }) => passage.id)).toEqual(["a"]);
    }
    await seen.delete(["a"]);
    expect(await index.statistics()).toMatchObject({ passages: 1 });
    await one.indexes.remove("My-docs");
    expect(() => one.indexes.get("My-docs")).toThrow(expect.objectContaining({ code: "NOT_FOUND" }));
    await other.indexes.load();
    expect(other.indexes.all).toEqual([]);
    const left = await database.query("SELECT FROM pg_namespace WHERE nspname LIKE 'tessera\\_%'");
    expect(left.rows).toEqual([]);
    // a name is free again, and the new index is empty
    expect(await (await other.indexes.create("My-docs")).statistics()).toMatchObject({ passages: 0 });
    for (const { indexes } of [one, other]) await indexes.close();
    await database.close();
  });
});
