import { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { EventLog } from "./events.js";

let database: PGlite;
beforeAll(async () => {
  database = await PGlite.create();
  await database.exec(`CREATE SCHEMA tessera; CREATE TABLE tessera.event (
    run text NOT NULL, sequence int NOT NULL, type text NOT NULL, data text NOT NULL, batch text NOT NULL,
    PRIMARY KEY (run, sequence))`);
});
afterAll(() => database.close());

describe("events of a run", () => {
  it("of two workers, the late one and its heir, are all kept, each once, numbered through", async () => {
    // sends every statement twice, as a connection that broke behind it does
    const twice = {
      async query<R>(text: string, values?: unknown[]) {
        if (text.includes("INSERT")) await database.query(text, values);
        return database.query<R>(text, values);
      },
    };
    const log = new EventLog(twice);
    let heard = 0;
    const [late, heir] = [log.writer("r", () => heard++), log.writer("r", () => heard++)];
    for (let i = 0; i < 50; i++) {
      late.push("late", i);
      heir.push("heir", i);
    }
    await Promise.all([late.close(), heir.close()]);
    const events = await log.after("r", 0);
    expect(events.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    for (const who of ["late", "heir"])
      expect(events.filter(({ type }) => type === who).map(({ data }) => data)).toEqual(
        Array.from({ length: 50 }, (_, i) => i),
      );
    expect(heard).toBe(2);
    expect(await log.after("r", 98)).toHaveLength(2);
    expect(await log.after("other", 0)).toEqual([]);
  });
});
