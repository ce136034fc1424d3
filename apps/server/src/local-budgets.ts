import {
  type Amount,
  type DailyBudgets,
  granted,
  type KeyedChange,
  type KeyedLog,
  type Reservation,
} from "@tessera/core/internal";

/** By day (UTC), the latest ones: a clock that goes back over midnight finds the day as it was. */
type Spending = Readonly<Record<string, Amount>>;
interface Reserved {
  readonly account: string;
  readonly set: Amount;
  readonly before: Amount;
  readonly made: number;
}

const nothing: Amount = { calls: 0, tokens: 0 };
const sum = (a: Amount, b: Amount): Amount => ({ calls: a.calls + b.calls, tokens: a.tokens + b.tokens });
const bytesOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const daysKept = 8;

/** The first layout kept one day: `{day, calls, tokens}`. */
const daysOf = ({ day, calls, tokens, ...days }: { [day: string]: unknown }): Spending =>
  typeof day === "string" ? { [day]: { calls, tokens } as Amount } : (days as Spending);

/**
 * Budgets of one process: in memory, or in the log of a service, where "spent/<account>" is what an account has spent on a
 * day and "reserved/<run>" what is set aside. A reservation counts once it would survive a crash.
 */
export class LocalBudgets implements DailyBudgets {
  readonly #spent = new Map<string, Spending>();
  readonly #reserved = new Map<string, Reserved>();
  #log: KeyedLog | undefined;

  /**
   * @param now the wall clock in milliseconds, for days
   * @param elapsed a clock for intervals, in milliseconds; the monotonic one by default
   */
  constructor(
    private readonly now: () => number = () => Date.now(),
    private readonly elapsed: () => number = () => performance.now(),
  ) {}

  /** Takes what the log holds when it is opened. */
  replay(key: string, value: Buffer | undefined): void {
    const [, kind, name = ""] = /^(spent|reserved)\/(.*)$/s.exec(key) ?? [];
    if (kind === undefined) return;
    const kept: Map<string, unknown> = kind === "spent" ? this.#spent : this.#reserved;
    if (!value) kept.delete(name);
    else {
      const read = JSON.parse(value.toString());
      // who made a reservation that was there at the start is dead; clocks may have been set meanwhile
      kept.set(name, kind === "spent" ? daysOf(read) : { ...read, made: Number.NEGATIVE_INFINITY });
    }
  }

  writeTo(log: KeyedLog): this {
    this.#log = log;
    return this;
  }

  /** What an account has spent today. */
  #spentToday(account: string): Amount {
    return this.#spent.get(account)?.[this.#today()] ?? nothing;
  }

  #today(): string {
    return new Date(this.now()).toISOString().slice(0, 10);
  }

  async reserve({ run, account, most, perDay, before = nothing }: Reservation): Promise<Amount | undefined> {
    const known = this.#reserved.get(run);
    if (known) return known.set;
    let used = this.#spentToday(account);
    for (const one of this.#reserved.values()) if (one.account === account) used = sum(used, one.set);
    const left = (kind: "calls" | "tokens") => (perDay[kind] ?? Number.POSITIVE_INFINITY) - used[kind];
    const set = granted(most, { calls: left("calls"), tokens: left("tokens") });
    if (!set) return undefined;
    const reserved = { account, set, before, made: this.elapsed() };
    this.#reserved.set(run, reserved);
    try {
      await this.#log?.commit([{ put: `reserved/${run}`, value: bytesOf(reserved) }]);
    } catch (error) {
      this.#reserved.delete(run);
      throw error;
    }
    return set;
  }

  async settle(run: string, spent?: Amount): Promise<void> {
    const one = this.#reserved.get(run);
    if (!one) return;
    this.#reserved.delete(run);
    const { account, before, set } = one;
    const charged = spent
      ? { calls: Math.max(0, spent.calls - before.calls), tokens: Math.max(0, spent.tokens - before.tokens) }
      : set;
    const days = { ...this.#spent.get(account), [this.#today()]: sum(this.#spentToday(account), charged) };
    const total: Spending = Object.fromEntries(Object.entries(days).sort().slice(-daysKept));
    this.#spent.set(account, total);
    const changes: KeyedChange[] = [{ delete: `reserved/${run}` }, { put: `spent/${account}`, value: bytesOf(total) }];
    await this.#log?.commit(changes);
  }

  async open(account: string, ms: number): Promise<string[]> {
    const since = this.elapsed() - ms;
    return [...this.#reserved].filter(([, one]) => one.account === account && one.made <= since).map(([run]) => run);
  }
}
