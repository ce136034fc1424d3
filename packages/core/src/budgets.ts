// internal: Amount, Reservation, DailyBudgets, granted
/** Model calls and tokens. */
export interface Amount {
  readonly calls: number;
  readonly tokens: number;
}

export interface Reservation {
  readonly run: string;
  /** Whose day it counts against. */
  readonly account: string;
  /** The most that the run may spend. */
  readonly most: Amount;
  /** The most that the account may spend in a day; what is left out is not limited. */
  readonly perDay: { readonly calls?: number | undefined; readonly tokens?: number | undefined };
  /** What the run had spent, and was charged for, before: one that is resumed goes on from there. */
  readonly before?: Amount | undefined;
}

/**
 * What accounts spend in a day (UTC). What is set aside for a run counts until the run is settled; at midnight what was
 * spent is forgotten, and what is set aside is not.
 */
export interface DailyBudgets {
  /**
   * Sets aside `most`, or what is left of the day; `undefined` where nothing is left of what is asked for. A run that has
   * a reservation keeps it.
   */
  reserve(asked: Reservation): Promise<Amount | undefined>;
  /** Charges what a run has spent in all, less what it had before, and frees its reservation; without `spent` all of that. */
  settle(run: string, spent?: Amount): Promise<void>;
  /** The runs of an account with a reservation that is older than `ms`. */
  open(account: string, ms: number): Promise<string[]>;
  /** Waits for what is being written. */
  close?(): Promise<void>;
}

/** What is granted of `most` where `left` is left; `undefined` for nothing, unless nothing is asked. */
export function granted(most: Amount, left: { calls: number; tokens: number }): Amount | undefined {
  if ((most.calls > 0 && left.calls <= 0) || (most.tokens > 0 && left.tokens <= 0)) return undefined;
  return {
    calls: Math.min(most.calls, Math.max(0, left.calls)),
    tokens: Math.min(most.tokens, Math.max(0, left.tokens)),
  };
}
