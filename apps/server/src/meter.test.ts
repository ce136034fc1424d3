import { describe, expect, it } from "@jest/globals";
import { type Key, limits } from "./keys.js";
import { Meter } from "./meter.js";

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

describe("the budget of a day", () => {
  it("is never overdrawn by runs at the same time, and is there again tomorrow", () => {
    let now = Date.parse("2026-01-01T23:00:00Z");
    const meter = new Meter(() => now);
    const key = keyOf({ callsPerDay: 6, tokensPerDay: 1000 });
    const one = meter.admit(key, bound);
    const two = meter.admit(key, bound, { steps: 3 });
    expect([one.budget, two.budget]).toEqual([
      { calls: 4, tokens: 100 },
      { steps: 3, calls: 2, tokens: 100 },
    ]);
    expect(() => meter.admit(key, bound)).toThrow(expect.objectContaining({ code: "QUOTA_EXHAUSTED" }));
    one.release({ calls: 1, tokens: 10 });
    one.release({ calls: 1, tokens: 10 });
    expect(meter.admit(key, bound).budget.calls).toBe(3);
    two.release({ calls: 2, tokens: 20 });
    expect(() => meter.admit(key, bound)).toThrow(expect.objectContaining({ code: "QUOTA_EXHAUSTED" }));
    expect(meter.admit(key, { calls: 0, tokens: 0 }).budget).toEqual({ calls: 0, tokens: 0 });
    now += 3_600_000;
    expect(meter.admit(key, bound).budget.calls).toBe(3); // three are still set aside
  });
});
