import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import type { RunState } from "@tessera/graph";
import fc from "fast-check";
import { openFolder } from "./backend.js";
import { serve } from "./serve.js";
import { flows, freshFolder, operators, release, removeFolder } from "./service.fixture.js";

let folder: string;
beforeEach(() => {
  folder = freshFolder();
});
afterEach(() => removeFolder(folder));

/** The backend of a service, and its end, which interrupts what runs. */
async function open() {
  const backend = await openFolder(folder, { flows, operators });
  return {
    runs: backend.runs,
    records: backend.records,
    async close() {
      await backend.runs.close(0);
      await backend.close();
    },
  };
}

const day = 86_400_000;
const principal = { id: "ann" };
/** Puts the end of a run on disk back by some days. */
function age(id: string, days: number): void {
  const path = join(folder, "runs", `${id}.json`);
  const state: RunState = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...state, ended: new Date(Date.now() - days * day).toISOString() }));
}

/** In days; no two alike, and none a whole number, which the time that a test takes would decide. */
const agesOf = (given: readonly { days: number }[]): number[] => given.map(({ days }, i) => days - 0.5 - i / 1000);

describe("retention of runs on disk", () => {
  it("keeps the latest that have ended, none longer than a time, and every one that runs: by a naive twin", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ days: fc.integer({ min: 1, max: 60 }), ends: fc.boolean() }), { maxLength: 8 }),
        fc.nat({ max: 6 }),
        fc.integer({ min: 1, max: 60 }),
        async (given, most, days) => {
          removeFolder(folder);
          let service = await open();
          for (const [i] of given.entries()) {
            await service.runs.start({ id: `r${i}`, flow: "echo", input: { query: `${i}` }, principal });
            await service.runs.settled(`r${i}`);
          }
          await service.close();
          for (const [i, days] of agesOf(given).entries()) age(`r${i}`, days);
          service = await open();
          const running = await service.runs.start({ id: "running", flow: "hold", input: { query: "h" }, principal });
          const naive = given
            .map((_, i) => ({ id: `r${i}`, days: agesOf(given)[i]! }))
            .sort((a, b) => a.days - b.days)
            .filter((one, place) => place < most && one.days <= days)
            .map(({ id }) => id);
          const forgotten = await service.runs.prune({ runs: most, ageMs: days * day });
          expect(forgotten).toBe(given.length - naive.length);
          const left = (await service.runs.list({ limit: 100 })).map(({ id }) => id);
          expect(left.sort()).toEqual([...naive, "running"].sort());
          for (const [i] of given.entries()) {
            const id = `r${i}`;
            const kept = naive.includes(id);
            expect((await service.runs.get(id))?.id).toBe(kept ? id : undefined);
            expect(Object.keys(await service.runs.records(id))).toHaveLength(kept ? 1 : 0);
            let events = 0;
            for await (const _ of service.runs.events(id)) events++;
            expect(events > 0).toBe(kept);
          }
          // one step a run that is left, and the first of the one that runs, once it is written
          while (Object.keys(await service.runs.records(running.id)).length === 0)
            await new Promise((next) => setTimeout(next, 2));
          for (const [i] of given.entries())
            expect((await service.records.run(`r${i}`)) !== undefined).toBe(naive.includes(`r${i}`));
          await service.close();
        },
      ),
      { numRuns: 12 },
    );
  }, 60_000);

  it("never takes one that is being resumed, and a forgotten one begins anew", async () => {
    const service = await open();
    const request = { id: "r", flow: "hold", input: { query: "q" }, principal };
    await service.runs.start(request);
    await service.runs.cancel("r");
    const [forgotten] = await Promise.all([
      service.runs.prune({ runs: 0, ageMs: 0 }),
      service.runs.resume("r").catch(({ code }) => expect(code).toBe("NOT_FOUND")),
    ]);
    expect(forgotten).toBe(1);
    expect(await service.runs.get("r")).toBeUndefined();
    expect((await service.runs.start(request)).status).toBe("running");
    expect(await service.runs.prune({ runs: 0, ageMs: 0 })).toBe(0);
    await service.close();
  });

  it("is looked after when the service starts, by what it is told", async () => {
    let service = await open();
    for (const id of ["a", "b", "c"]) {
      await service.runs.start({ id, flow: "echo", input: { query: id }, principal });
      await service.runs.settled(id);
    }
    await service.close();
    const { server, url, firstKey } = await serve({ folder, flows, operators, port: 0, retention: { runs: 1 } });
    const runs = async () => {
      const answer = await fetch(`${url}/runs`, { headers: { authorization: `Bearer ${firstKey}` } });
      return ((await answer.json()) as { runs: { id: string }[] }).runs.map(({ id }) => id);
    };
    while ((await runs()).length > 1) await new Promise((next) => setTimeout(next, 5));
    expect(await runs()).toEqual(["c"]);
    await server.close();
    service = await open();
    expect((await service.runs.list({ limit: 9 })).map(({ id }) => id)).toEqual(["c"]);
    await service.close();
  });
});

describe("the state of a run on disk", () => {
  it("that is damaged is left out of the list, with a warning, and named where it is asked for", async () => {
    let service = await open();
    for (const id of ["good", "bad"]) {
      await service.runs.start({ id, flow: "echo", input: { query: id }, principal });
      await service.runs.settled(id);
    }
    await service.close();
    writeFileSync(join(folder, "runs", "bad.json"), '{"id":');
    const warn = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    service = await open();
    expect(warn.mock.calls.map(([said]) => said)).toEqual([expect.stringContaining("bad.json is left out")]);
    warn.mockRestore();
    expect((await service.runs.list({ limit: 9 })).map(({ id }) => id)).toEqual(["good"]);
    await expect(service.runs.get("bad")).rejects.toMatchObject({ code: "RECORD_CORRUPT", path: "bad" });
    await service.close();
  });

  it("whose events a kill cut short goes on behind the whole ones", async () => {
    let service = await open();
    await service.runs.start({ id: "r", flow: "hold", input: { query: "q" }, principal });
    while (Object.keys(await service.runs.records("r")).length === 0) await new Promise((next) => setTimeout(next, 2));
    await service.close();
    const path = join(folder, "runs", "r.events");
    writeFileSync(path, readFileSync(path, "utf8").slice(0, -7));
    service = await open();
    const releasing = setInterval(release, 5);
    await service.runs.resume("r");
    await service.runs.settled("r");
    clearInterval(releasing);
    await service.close();
    service = await open();
    const sequences: number[] = [];
    for await (const { sequence } of service.runs.events("r")) sequences.push(sequence);
    expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    expect(sequences.length).toBeGreaterThan(5);
    await service.close();
  });
});
