import { randomUUID } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { type Amount, type DailyBudgets, granted, type Reservation, TesseraError } from "@tessera/core";
import { z } from "zod";

const amount = z.object({ calls: z.number(), tokens: z.number() });
const content = z.object({
  day: z.string(),
  spent: z.record(z.string(), amount),
  reserved: z.record(z.string(), z.object({ account: z.string(), set: amount, before: amount, made: z.number() })),
});
type Content = z.infer<typeof content>;

const nothing: Amount = { calls: 0, tokens: 0 };
const sum = (a: Amount, b: Amount): Amount => ({ calls: a.calls + b.calls, tokens: a.tokens + b.tokens });

/** Budgets of one process: in memory, or in a file that is written whole before a reservation counts. */
export class LocalBudgets implements DailyBudgets {
  #content: Content = { day: "", spent: {}, reserved: {} };
  #writing: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(
    private readonly now: () => number = Date.now,
    private readonly path?: string,
    private readonly assertHeld: () => Promise<void> = async () => {},
  ) {}

  /** @throws TesseraError RECORD_CORRUPT */
  static async open(path: string, assertHeld?: () => Promise<void>): Promise<LocalBudgets> {
    const budgets = new LocalBudgets(Date.now, path, assertHeld);
    const text = await readFile(path, "utf8").catch(() => undefined);
    try {
      if (text !== undefined) budgets.#content = content.parse(JSON.parse(text));
    } catch (cause) {
      const hint = "remove the file: every key has its whole day again";
      throw new TesseraError("RECORD_CORRUPT", "the budgets are damaged", { path, cause, hint });
    }
    return budgets;
  }

  #today(): Content {
    const day = new Date(this.now()).toISOString().slice(0, 10);
    if (this.#content.day !== day) {
      this.#content.day = day;
      this.#content.spent = {};
    }
    return this.#content;
  }

  async reserve({ run, account, most, perDay, before = nothing }: Reservation): Promise<Amount | undefined> {
    const { spent, reserved } = this.#today();
    const known = reserved[run];
    if (known) return known.set;
    const used = Object.values(reserved)
      .filter((one) => one.account === account)
      .reduce((total, { set }) => sum(total, set), spent[account] ?? nothing);
    const left = (kind: "calls" | "tokens") => (perDay[kind] ?? Number.POSITIVE_INFINITY) - used[kind];
    const set = granted(most, { calls: left("calls"), tokens: left("tokens") });
    if (!set) return undefined;
    reserved[run] = { account, set, before, made: this.now() };
    try {
      await this.#write();
    } catch (error) {
      delete reserved[run];
      throw error;
    }
    return set;
  }

  async settle(run: string, spent?: Amount): Promise<void> {
    const { reserved, spent: all } = this.#today();
    const one = reserved[run];
    if (!one) return;
    delete reserved[run];
    const charged = spent
      ? { calls: Math.max(0, spent.calls - one.before.calls), tokens: Math.max(0, spent.tokens - one.before.tokens) }
      : one.set;
    all[one.account] = sum(all[one.account] ?? nothing, charged);
    await this.#write();
  }

  async open(account: string, ms: number): Promise<string[]> {
    return Object.entries(this.#content.reserved)
      .filter(([, one]) => one.account === account && one.made <= this.now() - ms)
      .map(([run]) => run);
  }

  /** Changes that come while one is being written are written together behind it. */
  #write(): Promise<void> {
    if (!this.path) return Promise.resolve();
    this.#next ??= (this.#writing ?? Promise.resolve())
      .catch(() => {})
      .then(() => {
        this.#writing = this.#next;
        this.#next = undefined;
        return this.#replace(this.path!);
      });
    return this.#next;
  }

  async #replace(path: string): Promise<void> {
    const draft = `${path}.${randomUUID()}`;
    await this.assertHeld();
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(JSON.stringify(this.#content));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  }

  async close(): Promise<void> {
    await (this.#next ?? this.#writing)?.catch(() => {});
  }
}
