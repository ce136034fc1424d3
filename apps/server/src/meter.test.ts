import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, jest } from "@jest/globals";
import { testBudgets } from "@tessera/testkit";
import { type Key, limits } from "./keys.js";
import { LocalBudgets } from "./local-budgets.js";
import { Meter } from "./meter.js";
import { openServiceLog, type ServiceLog } from "./service-log.js";

const keyOf = (given: object): Key => ({
  id: "k",
  name: "k",
  hash: "",
  principal: { id: "p" },
  scopes: [],
  limits: limits.parse(given),
  created: "",
});
const bound = { calls: 4, tokens: 100 };

const folder = mkdtempSync(join(tmpdir(), "tessera-meter-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let opened: ServiceLog | undefined;
/** Budgets in a log; those that were opened before are closed. */
async function open(): Promise<LocalBudgets> {
  await opened?.log.close();
  opened = await openServiceLog(folder);
  return opened.budgets;
}
async function fresh(): Promise<void> {
  await opened?.log.close();
  opened = undefined;
  rmSync(join(folder, "log"), { recursive: true, force: true });
}
afterAll(fresh);
testBudgets("a log", { open, fresh, shared: false });

const exhausted = { code: "QUOTA_EXHAUSTED" };

describe("the budget of a day", () => {
  it("is never overdrawn by runs at the same time, and is there again tomorrow", async () => {
    let now = Date.parse("2026-01-01T23:00:00Z");
    const meter = new Meter({ now: () => now });
    const key = keyOf({ callsPerDay: 6, tokensPerDay: 1000 });
    const one = await meter.admit(key, { id: "1", bound });
    const two = await meter.admit(key, { id: "2", bound, budget: { steps: 3 } });
    expect([one.budget, two.budget]).toEqual([
      { calls: 4, tokens: 100 },
      { steps: 3, calls: 2, tokens: 100 },
    ]);
    await expect(meter.admit(key, { id: "3", bound })).rejects.toMatchObject(exhausted);
    await one.release({ calls: 1, tokens: 10 });
    await one.release({ calls: 1, tokens: 10 });
    expect((await meter.admit(key, { id: "4", bound })).budget.calls).toBe(3);
    await two.release({ calls: 2, tokens: 20 });
    await expect(meter.admit(key, { id: "5", bound })).rejects.toMatchObject(exhausted);
    expect((await meter.admit(key, { id: "6", bound: { calls: 0, tokens: 0 } })).budget).toEqual({
      calls: 0,
      tokens: 0,
    });
    now += 3_600_000;
    expect((await meter.admit(key, { id: "7", bound })).budget.calls).toBe(3); // three are still set aside
  });

  it("is kept across a restart, and a resumed run pays only for what is new", async () => {
    await fresh();
    const key = keyOf({ callsPerDay: 6 });
    const before = await new Meter({ budgets: await open() }).admit(key, { id: "1", bound });
    await before.release({ calls: 3, tokens: 10 });
    const meter = new Meter({ budgets: await open() });
    const again = await meter.admit(key, { id: "1", bound, before: { calls: 3, tokens: 10 } });
    expect(again.budget).toEqual({ calls: 4, tokens: 100 }); // of the whole run
    await again.release({ calls: 4, tokens: 20 });
    expect((await meter.admit(key, { id: "2", bound })).budget.calls).toBe(2);
    await expect(meter.admit(key, { id: "3", bound })).rejects.toMatchObject(exhausted);
  });

  it("gets back what runs set aside whose process died, and charges what they had spent", async () => {
    let now = Date.parse("2026-01-01T12:00:00Z");
    const budgets = new LocalBudgets(
      () => now,
      () => now,
    );
    const states: Record<string, object> = {
      ended: { status: "interrupted", spent: { calls: 1, tokens: 5 } },
      still: { status: "running" },
    };
    const meter = new Meter({ budgets, runs: { get: async (id) => states[id] as never }, now: () => now });
    const key = keyOf({ callsPerDay: 12 });
    for (const id of ["ended", "still", "never begun"]) await meter.admit(key, { id, bound });
    await expect(meter.admit(key, { id: "next", bound })).rejects.toMatchObject(exhausted);
    now += 120_000;
    // 12, less the 1 that was spent and the 4 that are set aside
    expect((await meter.admit(key, { id: "next", bound: { calls: 99, tokens: 0 } })).budget.calls).toBe(7);
  });

  // E-14 of the fault book: back over midnight and forth, a day's budget was whole twice
  it.each(["memory", "a log"])("is one for a day that comes twice, in %s", async (where) => {
    await fresh();
    let now = Date.parse("2026-01-01T23:50:00Z");
    const opened = new LocalBudgets(() => now);
    const budgets = where === "memory" ? opened : await open();
    jest.useFakeTimers({ doNotFake: ["setTimeout", "setImmediate", "setInterval", "nextTick", "queueMicrotask"] });
    try {
      const meter = new Meter({ budgets });
      const key = keyOf({ callsPerDay: 4 });
      const spend = async (time: string, id: string) => {
        now = Date.parse(time);
        jest.setSystemTime(now);
        const lease = await meter.admit(key, { id, bound });
        await lease.release({ calls: 4, tokens: 1 });
      };
      await spend("2026-01-01T23:50:00Z", "1");
      await spend("2026-01-02T00:10:00Z", "2");
      await expect(spend("2026-01-01T23:55:00Z", "3")).rejects.toMatchObject(exhausted);
      await expect(spend("2026-01-02T00:20:00Z", "4")).rejects.toMatchObject(exhausted);
      await spend("2026-01-03T00:20:00Z", "5");
      await expect(spend("2026-01-02T00:20:00Z", "6")).rejects.toMatchObject(exhausted);
    } finally {
      jest.useRealTimers();
    }
  });

  it("a clock that goes back an hour keeps nothing set aside for an hour", async () => {
    let elapsed = 0;
    let now = Date.parse("2026-01-01T12:00:00Z");
    const budgets = new LocalBudgets(
      () => now,
      () => elapsed,
    );
    await budgets.reserve({ run: "dead", account: "a", most: { calls: 1, tokens: 1 }, perDay: {} });
    now -= 3_600_000;
    elapsed += 60_000;
    expect(await budgets.open("a", 60_000)).toEqual(["dead"]);
  });

  // E-14 of the fault book: the clock went back one hour, and every request was refused for one
  it("survives a clock that goes back: the key may go on at its rate", () => {
    let now = 10_000_000;
    const meter = new Meter({ now: () => now });
    const one = keyOf({ requestsPerMinute: 60 });
    for (let count = 0; count < 60; count++) meter.request(one);
    now -= 3_600_000;
    expect(() => meter.request(one)).toThrow(expect.objectContaining({ code: "OVERLOADED", retryAfterMs: 1000 }));
    now += 1000;
    meter.request(one);
  });
});
