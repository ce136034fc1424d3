import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import fc from "fast-check";
import { openFolder } from "./backend.js";
import { serve } from "./serve.js";
import { flows, freshFolder, operators, release, removeFolder } from "./service.fixture.js";
import { openServiceLog } from "./service-log.js";

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
const everythingButDate = [
  ...(["hrtime", "nextTick", "performance", "queueMicrotask", "setImmediate", "clearImmediate"] as const),
  ...(["setInterval", "clearInterval", "setTimeout", "clearTimeout"] as const),
];
const principal = { id: "ann" };
/** Puts the ends of runs in the log back by some days. */
async function age(days: readonly number[]): Promise<void> {
  const { log, runs } = await openServiceLog(folder);
  for (const [i, count] of days.entries()) {
    const state = (await runs.get(`r${i}`))!;
    await runs.save({ ...state, ended: new Date(Date.now() - count * day).toISOString() });
  }
  await log.close();
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
          await age(agesOf(given));
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
  });

  it.each(["back", "forward, and back again"])("keeps the latest where the clock goes %s meanwhile", async (how) => {
    let service = await open();
    const hour = 3_600_000;
    const now = Date.now();
    const run = async (id: string, at: number) => {
      jest.useFakeTimers({ now: now + at, doNotFake: everythingButDate });
      await service.runs.start({ id, flow: "echo", input: { query: id }, principal });
      await service.runs.settled(id);
      jest.useRealTimers();
    };
    await run("a", 0);
    await run("b", how === "back" ? 2000 : hour);
    await run("c", how === "back" ? -hour : 4000);
    await run("d", how === "back" ? -hour + 2000 : 6000);
    expect(await service.runs.prune({ runs: 3, ageMs: 30 * day })).toBe(1);
    const left = async () => (await service.runs.list({ limit: 9 })).map(({ id }) => id).sort();
    expect(await left()).toEqual(["b", "c", "d"]);
    expect(await service.runs.prune({ runs: 1, ageMs: 30 * day })).toBe(2);
    expect(await left()).toEqual(["d"]);
    await service.close();
    // what ended in this life is later than what ended in the last
    service = await open();
    await run("e", -2 * hour);
    expect(await service.runs.prune({ runs: 1, ageMs: 30 * day })).toBe(1);
    expect(await left()).toEqual(["e"]);
    await service.close();
  });

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
  it("that is damaged is refused with the name of the file, and never served", async () => {
    const service = await open();
    await service.runs.start({ id: "r", flow: "echo", input: { query: "10 mg" }, principal });
    await service.runs.settled("r");
    await service.close();
    const path = join(folder, "log", "00000001.log");
    const whole = readFileSync(path);
    for (let bit = 3; bit < whole.length * 8; bit += 397) {
      const changed = Buffer.from(whole);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(path, changed);
      const hint = expect.stringContaining(`${join(folder, "log")} from a backup; or call \`tessera serve --repair\``);
      await expect(openServiceLog(folder)).rejects.toMatchObject({ code: "RECORD_CORRUPT", path, hint });
    }
    writeFileSync(path, whole.subarray(0, -1));
    await expect(open()).rejects.toMatchObject({ code: "RECORD_CORRUPT", path });
    writeFileSync(path, whole);
    await (await open()).close();
  });

  it("whose events a kill cut short goes on behind the whole ones", async () => {
    let service = await open();
    await service.runs.start({ id: "r", flow: "hold", input: { query: "q" }, principal });
    while (Object.keys(await service.runs.records("r")).length === 0) await new Promise((next) => setTimeout(next, 2));
    await service.close();
    const warn = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    appendFileSync(join(folder, "log", "00000001.log"), "half of an ent");
    service = await open();
    expect(warn.mock.calls.map(([said]) => said)).toEqual([expect.stringContaining("was dropped (14 bytes)")]);
    warn.mockRestore();
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
