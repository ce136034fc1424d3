import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import fc from "fast-check";
import { abortAfter, every, sleep, systemClock } from "./clock.js";

const longest = 2 ** 31 - 1;
const day = 86_400_000;

describe("the clock of the system", () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it("waits the time asked for, however long: never a millisecond less", () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(10_000), fc.integer({ min: longest - 5, max: 10 * longest })), (ms) => {
        let ran = 0;
        systemClock.after(ms, () => ran++);
        if (ms > 0) jest.advanceTimersByTime(ms - 1);
        expect(ran).toBe(ms === 0 ? ran : 0);
        jest.advanceTimersByTime(1);
        expect(ran).toBe(1);
        jest.advanceTimersByTime(longest);
        expect(ran).toBe(1);
        expect(jest.getTimerCount()).toBe(0);
      }),
    );
  });

  it("forgets what is no longer wanted, also in its second part", () => {
    const run = jest.fn();
    for (const at of [0, 1, 25 * day, 26 * day]) {
      const forget = systemClock.after(30 * day, run);
      jest.advanceTimersByTime(at);
      forget();
      expect(jest.getTimerCount()).toBe(0);
    }
    expect(run).not.toHaveBeenCalled();
  });

  it("never runs what waits for ever, and at once what should have been", () => {
    const run = jest.fn();
    systemClock.after(Number.POSITIVE_INFINITY, run);
    expect(jest.getTimerCount()).toBe(0);
    systemClock.after(-5, run);
    jest.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it("repeats at a period beyond 2^31 ms, until it is told to stop", () => {
    const run = jest.fn();
    const stop = every(30 * day, run);
    jest.advanceTimersByTime(30 * day - 1);
    expect(run).not.toHaveBeenCalled();
    jest.advanceTimersByTime(60 * day + 1);
    expect(run).toHaveBeenCalledTimes(3);
    stop();
    expect(jest.getTimerCount()).toBe(0);
  });

  it("sleeps 30 days, or until the signal aborts, and leaves nothing behind", async () => {
    const stop = new AbortController();
    const whole = sleep(30 * day, { signal: stop.signal });
    await jest.advanceTimersByTimeAsync(30 * day);
    await whole;
    const cut = sleep(30 * day, { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(cut).rejects.toThrow("enough");
    await expect(sleep(1, { signal: stop.signal })).rejects.toThrow("enough");
    expect(jest.getTimerCount()).toBe(0);
  });

  it("gives a signal that aborts after any time", () => {
    const signal = abortAfter(30 * day);
    jest.advanceTimersByTime(30 * day - 1);
    expect(signal.aborted).toBe(false);
    jest.advanceTimersByTime(1);
    expect(signal.reason).toMatchObject({ name: "TimeoutError" });
  });
});
