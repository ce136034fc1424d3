import { TesseraError } from "@tessera/core";
import { type Amount, type DailyBudgets, warn } from "@tessera/core/internal";
import type { Budget, FlowBound } from "@tessera/graph";
import type { RunState, Runs } from "@tessera/graph/internal";
import type { Key } from "./keys.js";
import { LocalBudgets } from "./local-budgets.js";

/** The permission to execute a run: it takes one of the places of its key, and says what the run may spend. */
export interface Lease {
  readonly budget: Budget;
  /**
   * Gives the place back, and charges what the run has spent in all. If that is unknown, the whole reservation is
   * charged.
   */
  release(spent?: Amount): Promise<void>;
  /** Gives the place back without a charge: another lease of the same run charges it. */
  leave(): void;
}

/** A run that asks for a place. */
export interface RunToAdmit {
  readonly id: string;
  readonly bound: Pick<FlowBound, "calls" | "tokens">;
  /** The budget that was asked for, if it is smaller. */
  readonly budget?: Budget | undefined;
  /** What the run has spent before, if it is resumed. */
  readonly before?: Amount | undefined;
}

export interface MeterSettings {
  /** Where spending is stored; in memory by default. */
  readonly budgets?: DailyBudgets;
  /** Finds reservations of runs that have ended while the process that should have settled them died. */
  readonly runs?: Pick<Runs, "get">;
  /** A clock for intervals, in milliseconds; by default the monotonic clock. */
  readonly now?: () => number;
}

interface Account {
  tokens: number; // of the bucket of requests
  filled: number; // when, in milliseconds
  running: number;
}

const nothing: Amount = { calls: 0, tokens: 0 };
const hasDay = ({ limits: { callsPerDay, tokensPerDay } }: Key): boolean =>
  callsPerDay !== undefined || tokensPerDay !== undefined;

/** A place among the runs of an account. */
class Place implements Lease {
  /** What the run can spend at most from now on. */
  readonly most: Amount;
  #set: Amount;
  #held = true;

  constructor(
    private readonly account: Account,
    private readonly run: RunToAdmit,
    private readonly settle: ((spent?: Amount) => Promise<void>) | undefined,
  ) {
    account.running++;
    const { bound, budget, before = nothing } = run;
    this.most = {
      calls: Math.max(0, Math.min(bound.calls, budget?.calls ?? Number.POSITIVE_INFINITY) - before.calls),
      tokens: Math.max(0, Math.min(bound.tokens, budget?.tokens ?? Number.POSITIVE_INFINITY) - before.tokens),
    };
    this.#set = this.most;
  }

  grant(set: Amount): void {
    this.#set = set;
  }

  get budget(): Budget {
    const { budget, before = nothing } = this.run;
    return { ...budget, calls: before.calls + this.#set.calls, tokens: before.tokens + this.#set.tokens };
  }

  leave(): void {
    if (this.#held) this.account.running--;
    this.#held = false;
  }

  async release(spent?: Amount): Promise<void> {
    const held = this.#held;
    this.leave();
    if (held) await this.settle?.(spent);
  }
}

const grace = 60_000; // milliseconds that a run has between its reservation and its first note

/** Limits each key: requests by a token bucket and simultaneous runs in this process, and the budget of a day. */
export class Meter {
  readonly #accounts = new Map<string, Account>();
  readonly #budgets: DailyBudgets;
  readonly #now: () => number;

  constructor(private readonly settings: MeterSettings = {}) {
    this.#now = settings.now ?? (() => performance.now());
    this.#budgets = settings.budgets ?? new LocalBudgets(settings.now);
  }

  #account(key: Key): Account {
    let account = this.#accounts.get(key.id);
    if (!account) {
      account = { tokens: key.limits.requestsPerMinute, filled: this.#now(), running: 0 };
      this.#accounts.set(key.id, account);
    }
    return account;
  }

  /** Counts a request. @throws TesseraError OVERLOADED with the time to ask again. */
  request(key: Key): void {
    const account = this.#account(key);
    const rate = key.limits.requestsPerMinute / 60_000;
    const now = this.#now();
    account.tokens = Math.min(key.limits.requestsPerMinute, account.tokens + Math.max(0, now - account.filled) * rate);
    account.filled = now;
    if (account.tokens < 1)
      throw new TesseraError("OVERLOADED", `this key may make ${key.limits.requestsPerMinute} requests a minute`, {
        retryAfterMs: Math.ceil((1 - account.tokens) / rate),
      });
    account.tokens--;
  }

  /**
   * Takes a place for a run, and reserves what it may spend: the bound of its flow, or what is left of the day.
   * @throws TesseraError OVERLOADED, QUOTA_EXHAUSTED
   */
  async admit(key: Key, run: RunToAdmit): Promise<Lease> {
    const { callsPerDay, tokensPerDay } = key.limits;
    const settle = hasDay(key) ? (spent?: Amount) => this.#settle(run.id, spent) : undefined;
    const place = this.#place(key, run, settle);
    if (!settle) return place;
    const { id, before = nothing } = run;
    const perDay = { calls: callsPerDay, tokens: tokensPerDay };
    try {
      place.grant(await this.#reserve({ run: id, account: key.id, most: place.most, perDay, before }));
      return place;
    } catch (error) {
      place.leave();
      throw error;
    }
  }

  /**
   * As `admit`, at once; nothing where the key has a budget of a day, which is kept elsewhere.
   * @throws TesseraError OVERLOADED
   */
  admitNow(key: Key, run: RunToAdmit): Lease | undefined {
    return hasDay(key) ? undefined : this.#place(key, run, undefined);
  }

  #place(key: Key, run: RunToAdmit, settle: ((spent?: Amount) => Promise<void>) | undefined): Place {
    const account = this.#account(key);
    const { concurrency } = key.limits;
    if (account.running >= concurrency)
      throw new TesseraError("OVERLOADED", `this key may have ${concurrency} runs at once`, { retryAfterMs: 1000 });
    return new Place(account, run, settle);
  }

  async #reserve(asked: Parameters<DailyBudgets["reserve"]>[0]): Promise<Amount> {
    const set = await this.#budgets.reserve(asked);
    if (set) return set;
    await this.#settleEnded(asked.account);
    const again = await this.#budgets.reserve(asked);
    if (again) return again;
    const { calls, tokens } = asked.perDay;
    const limits = [calls !== undefined && `${calls} calls`, tokens !== undefined && `${tokens} tokens`];
    throw new TesseraError("QUOTA_EXHAUSTED", `this key may spend ${limits.filter(Boolean).join(" and ")} a day`, {
      hint: "it may run again tomorrow (UTC), or when its other runs have ended",
    });
  }

  /** Settles reservations of ended runs whose process is gone. */
  async #settleEnded(account: string): Promise<void> {
    const { runs } = this.settings;
    if (!runs) return;
    for (const id of await this.#budgets.open(account, grace)) {
      const state: RunState | undefined = await runs.get(id);
      if (state?.status !== "running") await this.#settle(id, state ? state.spent : { calls: 0, tokens: 0 });
    }
  }

  async #settle(id: string, spent: Amount | undefined): Promise<void> {
    await this.#budgets.settle(id, spent).catch((thrown) => {
      warn(`what run ${id} spent could not be noted`, thrown);
    });
  }
}
