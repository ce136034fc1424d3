import { TesseraError } from "@tessera/core";
import type { Budget, FlowBound } from "@tessera/graph";
import type { Key } from "./keys.js";

/** A place among the runs of a key, with what the run may spend. */
export interface Lease {
  readonly budget: Budget;
  /** Gives the place back, and charges what was spent. */
  release(spent?: { calls: number; tokens: number }): void;
}

interface Account {
  tokens: number; // of the bucket of requests
  filled: number; // when, in milliseconds
  running: number;
  day: string;
  readonly spent: { calls: number; tokens: number };
  readonly reserved: { calls: number; tokens: number };
}

/** What each key does: requests by a token bucket, runs at once, and the budget of a day. */
export class Meter {
  readonly #accounts = new Map<string, Account>();

  constructor(private readonly now: () => number = Date.now) {}

  #account(key: Key): Account {
    const day = new Date(this.now()).toISOString().slice(0, 10);
    let account = this.#accounts.get(key.id);
    if (!account) {
      account = {
        tokens: key.limits.requestsPerMinute,
        filled: this.now(),
        running: 0,
        day,
        spent: { calls: 0, tokens: 0 },
        reserved: { calls: 0, tokens: 0 },
      };
      this.#accounts.set(key.id, account);
    }
    if (account.day !== day) {
      account.day = day;
      account.spent.calls = 0;
      account.spent.tokens = 0;
    }
    return account;
  }

  /** Counts a request. @throws TesseraError OVERLOADED with the time to ask again. */
  request(key: Key): void {
    const account = this.#account(key);
    const rate = key.limits.requestsPerMinute / 60_000;
    const now = this.now();
    account.tokens = Math.min(key.limits.requestsPerMinute, account.tokens + (now - account.filled) * rate);
    account.filled = now;
    if (account.tokens < 1)
      throw new TesseraError("OVERLOADED", `this key may make ${key.limits.requestsPerMinute} requests a minute`, {
        retryAfterMs: Math.ceil((1 - account.tokens) / rate),
      });
    account.tokens--;
  }

  /**
   * Takes a place for a run, and sets aside what it may spend: its flow's bound, or what is left of the day.
   * @throws TesseraError OVERLOADED, QUOTA_EXHAUSTED
   */
  admit(key: Key, bound: Pick<FlowBound, "calls" | "tokens">, asked: Budget = {}): Lease {
    const account = this.#account(key);
    const { concurrency, callsPerDay, tokensPerDay } = key.limits;
    if (account.running >= concurrency)
      throw new TesseraError("OVERLOADED", `this key may have ${concurrency} runs at once`, { retryAfterMs: 1000 });
    const share = (kind: "calls" | "tokens", perDay: number | undefined): number => {
      const most = Math.min(bound[kind], asked[kind] ?? Number.POSITIVE_INFINITY);
      if (perDay === undefined || most === 0) return most;
      const left = perDay - account.spent[kind] - account.reserved[kind];
      if (left <= 0)
        throw new TesseraError("QUOTA_EXHAUSTED", `this key may spend ${perDay} ${kind} a day`, {
          hint: "it may run again tomorrow (UTC), or when its other runs have ended",
        });
      return Math.min(most, left);
    };
    const set = { calls: share("calls", callsPerDay), tokens: share("tokens", tokensPerDay) };
    account.running++;
    account.reserved.calls += set.calls;
    account.reserved.tokens += set.tokens;
    let held = true;
    return {
      budget: { ...asked, ...set },
      release(spent = { calls: 0, tokens: 0 }) {
        if (!held) return;
        held = false;
        account.running--;
        account.reserved.calls -= set.calls;
        account.reserved.tokens -= set.tokens;
        account.spent.calls += spent.calls;
        account.spent.tokens += spent.tokens;
      },
    };
  }
}
