import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { compile, diskRecords, memoryRecords } from "@tessera/graph";
import { everyKind, everyKindInput as input } from "@tessera/testkit/every-kind";
import { type PostgresRecords, postgresRecords } from "./records.js";

let database: PGlite;
let records: PostgresRecords;
beforeAll(async () => {
  database = await PGlite.create();
  records = await postgresRecords(database);
}, 60_000);
afterAll(() => database.close());

describe("records in PostgreSQL (PGlite)", () => {
  it("keep steps by key, and journals by run", async () => {
    expect(await records.get("k")).toBeUndefined();
    const step = { output: { vector: new Float32Array([1, 2.5]), text: "a\0b\ud800'; DROP TABLE tessera.step" } };
    await records.put("k", step);
    expect(await records.get("k")).toEqual(step);
    const run = { id: "r", flow: "f", hash: "h", seed: 1, input: { a: 1 } };
    await records.begin(run);
    await records.begin(run);
    expect(await records.run("r")).toEqual(run);
    await records.append("r", "f/a", "k");
    await records.commit!("r", "f/b", "l", { output: {} });
    expect(await records.journal("r")).toEqual(
      new Map([
        ["f/a", "k"],
        ["f/b", "l"],
      ]),
    );
    expect(await (await postgresRecords(database)).journal("r")).toEqual(await records.journal("r"));
  });

  it("forget a run, and the steps that no other run needs; prune what is old", async () => {
    for (const id of ["a", "b"]) await records.begin({ id, flow: "f", hash: "h", seed: 0, input: {} });
    for (const key of ["both", "only-a"]) await records.commit!("a", key, key, { output: {} });
    await records.append("b", "both", "both");
    await records.forget(["a"]);
    expect(await records.get("only-a")).toBeUndefined();
    expect(await records.get("both")).toEqual({ output: {} });
    expect(await records.run("a")).toBeUndefined();
    expect(await records.prune(new Date(Date.now() - 60_000))).toBe(0);
    expect(await records.prune(new Date(Date.now() + 60_000))).toBeGreaterThan(0);
    expect((await database.query("SELECT FROM tessera.step, tessera.journal")).rows).toEqual([]);
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
