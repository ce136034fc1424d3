import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { compile, diskRecords, memoryRecords } from "@tessera/graph";
import { countOf, testRecords, testThreads } from "@tessera/testkit";
import { everyKind, everyKindInput as input } from "@tessera/testkit/every-kind";
import { type PostgresRecords, postgresRecords } from "./records.js";

let database: PGlite;
let records: PostgresRecords;
beforeAll(async () => {
  database = await PGlite.create();
  records = await postgresRecords(database);
});
afterAll(() => database.close());

testRecords("postgresRecords (PGlite)", {
  fresh: async () => {
    await database.query("TRUNCATE tessera.begun, tessera.text, tessera.cached CASCADE");
    return records;
  },
  again: () => postgresRecords(database),
});

testThreads("postgresRecords (PGlite)", {
  fresh: async () => {
    await database.query("TRUNCATE tessera.thread CASCADE");
    return records.threads!;
  },
  again: async () => (await postgresRecords(database)).threads!,
  histories: countOf({ usual: 40, long: 1000 }),
});

describe("records in PostgreSQL (PGlite)", () => {
  it("prune what is old", async () => {
    const [{ n }] = (await database.query<{ n: number }>("SELECT count(*)::int AS n FROM tessera.begun")).rows as [
      { n: number },
    ];
    expect(await records.prune(new Date(Date.now() - 60_000))).toBe(0);
    expect(await records.prune(new Date(Date.now() + 60_000))).toBe(n);
    expect((await database.query("SELECT FROM tessera.entry, tessera.text, tessera.text_use")).rows).toEqual([]);
  });

  it("give the same flow the same result as records in memory and on disk, and replay it", async () => {
    const ran: string[] = [];
    const { flows, operators } = everyKind({ ms: 0, note: (path) => void ran.push(path) });
    const outputs = [];
    for (const kept of [records, memoryRecords(), diskRecords(mkdtempSync(join(tmpdir(), "tessera-durable-")))]) {
      const ready = await compile(flows.every, { operators, records: kept });
      const { output } = await ready.run(input, { id: "same", seed: 7 });
      const calls = ran.length;
      expect((await ready.replay("same")).output).toEqual(output);
      expect((await ready.resume("same")).output).toEqual(output);
      expect(ran).toHaveLength(calls);
      outputs.push(output);
    }
    expect(outputs[1]).toEqual(outputs[0]);
    expect(outputs[2]).toEqual(outputs[0]);
  });
});
