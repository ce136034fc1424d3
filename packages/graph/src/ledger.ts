import { type Bound, type Spent, TesseraError } from "@tessera/core";
import type { Spending } from "@tessera/core/internal";
import type { Scope } from "./scope.js";

/** The most that a run may spend; what is left out is not limited. */
export interface Budget {
  readonly steps?: number | undefined;
  readonly calls?: number | undefined;
  readonly tokens?: number | undefined;
  readonly layers?: number | undefined;
  readonly cost?: number | undefined;
}

/** What an attempt of a step was charged when it settled. */
export interface StepCharge {
  readonly path: string;
  readonly attempt: number;
  /**
   * "refused": it ended by itself, and the budget refused something to a run inside it, so that it has no result to keep;
   * "late": what came on top, reported after the attempt had settled and while the run lived.
   */
  readonly how: "finished" | "refused" | "failed" | "abandoned" | "late";
  readonly spent: Readonly<Amounts>;
}

export interface LedgerSettings {
  readonly budget?: Budget | undefined;
  /** What earlier lives of the run were charged for attempts that left no record. */
  readonly before?: Spent | undefined;
  /** The reservation of the step that this run is a part of. */
  readonly outer?: Reservation | undefined;
  readonly charged?: ((charge: StepCharge) => void) | undefined;
}

/** Who tells the user. */
interface Warner {
  warn(path: string, message: string, about: string): void;
}

/** What has a bound. */
interface Limited {
  calls: number;
  tokens: number;
  layers: number;
}
interface Amounts extends Limited {
  cost: number;
}

const limited = ["calls", "tokens", "layers"] as const;
const measures = [...limited, "cost"] as const;
const no: Readonly<Limited> = { calls: 0, tokens: 0, layers: 0 };
const nothing = (): Amounts => ({ calls: 0, tokens: 0, layers: 0, cost: 0 });
const isNothing = (amounts: Readonly<Amounts>): boolean => measures.every((measure) => amounts[measure] === 0);

/** Sums of fractions are not exact: what is over by less than a billionth is not over. */
const isOver = (limit: number | undefined, sum: number): boolean =>
  limit !== undefined && sum - limit > 1e-9 * Math.max(1, limit);

/**
 * What a run has spent, and what is set aside for its steps under way. `spent` only grows, and never holds more than the
 * run will be charged: what is reported, and the rest of a bound once it is known to be charged. Spent and set aside
 * together are never more than the budget, but where an operator reports more than its bound.
 */
export class Ledger {
  /** Set where the budget, or that of a run around this one, did not cover a step. */
  refused = false;
  /** The run has ended: nothing is charged any more. */
  closed = false;
  readonly spent: { -readonly [measure in keyof Spent]: number };
  private readonly held: Limited = { calls: 0, tokens: 0, layers: 0 };
  /** Whether a budget can refuse something. */
  readonly isLimited: boolean;

  constructor(
    private readonly settings: LedgerSettings,
    private readonly warner: Warner,
  ) {
    const { before } = settings;
    this.spent = before ? { ...before } : { steps: 0, calls: 0, tokens: 0, layers: 0, cost: 0 };
    this.isLimited = (settings.budget ?? settings.outer) !== undefined;
  }

  /** Counts an activation that declares no bound; false where the budget is used up. */
  admit(): boolean {
    if (this.isLimited && !this.covers(no, 1)) return false;
    this.spent.steps++;
    return true;
  }

  /** Counts an activation and sets its bound aside; nothing where the budget does not cover it. */
  reserve(step: ReservingStep, bound: Bound): Reservation | undefined {
    const most: Limited = { calls: bound.calls, tokens: bound.tokens, layers: bound.layers ?? 0 };
    if (!this.covers(most, 1)) return undefined;
    this.spent.steps++;
    this.change(no, most, 0);
    return new Reservation(this, step, most);
  }

  /** For an operator that declares no bound, and reports. */
  open(step: ReservingStep): Reservation {
    return new Reservation(this, step, no);
  }

  /**
   * Whether the budget, and that of every run around this one, covers `more`.
   * @param asks whether a model is going to be asked, within what is set aside already or not
   */
  covers(more: Readonly<Limited>, steps: 0 | 1, asks = more.calls > 0 || more.tokens > 0): boolean {
    const { spent, held } = this;
    const { budget, outer } = this.settings;
    const isCovered =
      budget === undefined ||
      !(
        isOver(budget.steps, spent.steps + steps) ||
        isOver(budget.calls, spent.calls + held.calls + more.calls) ||
        isOver(budget.tokens, spent.tokens + held.tokens + more.tokens) ||
        isOver(budget.layers, spent.layers + held.layers + more.layers) ||
        (budget.cost !== undefined && asks && spent.cost >= budget.cost)
      );
    if (isCovered && (outer === undefined || outer.covers(more, asks))) return true;
    this.refused = true;
    return false;
  }

  /** Adds to what is spent and to what is set aside, here and in the runs around this one. */
  change(spent: Readonly<Limited>, held: Readonly<Limited>, cost: number): void {
    for (const measure of limited) {
      this.spent[measure] += spent[measure];
      this.held[measure] += held[measure];
    }
    this.spent.cost += cost;
    this.settings.outer?.pass(spent, held, cost);
  }

  /** What the run is charged if it ends now: what is spent, and the rest of the bounds of steps under way. */
  get due(): Spent {
    const { spent, held } = this;
    return {
      ...spent,
      calls: spent.calls + held.calls,
      tokens: spent.tokens + held.tokens,
      layers: spent.layers + held.layers,
    };
  }

  tell(charge: StepCharge): void {
    if (!isNothing(charge.spent)) this.settings.charged?.(charge);
  }

  warn(path: string, message: string, about: string): void {
    this.warner.warn(path, message, about);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.settings.outer?.hear();
  }
}

/** The step that a reservation is for. */
export interface ReservingStep {
  readonly path: string;
  readonly operator: string;
  readonly scope: Scope;
  /** Whether it is certain that its work has asked no model: then it has nothing to report. */
  readonly askedNothing: boolean;
}

/** What is set aside for one attempt of a step, from which its reports are drawn. It is settled exactly once. */
export class Reservation {
  /** Whether the operator has started to work; before that, giving it up costs nothing. */
  started = false;
  /** Whether a run inside the step was refused something by the budget around it. */
  refused = false;
  private settled = false;
  private reported = false;
  private warned = false;
  private readonly used = nothing();
  /** What is set aside by the runs inside the step. */
  private readonly lent: Limited = { ...no };
  private charged: Amounts | undefined;

  constructor(
    private readonly ledger: Ledger,
    private readonly step: ReservingStep,
    private readonly bound: Readonly<Limited>,
  ) {
    if (step.scope.over) this.settled = true;
    else step.scope.open(this);
  }

  /**
   * Takes a report.
   * @throws TesseraError BAD_ARGUMENT where an amount is no number, negative or not finite; nothing of it is charged.
   */
  spend(use: Spending): void {
    const amounts = this.read(use);
    if (!amounts || this.ledger.closed) return;
    this.pass(amounts, no, amounts.cost);
  }

  private read(use: Spending): Amounts | undefined {
    const amounts = nothing();
    let names = false;
    for (const measure of measures) {
      const amount: unknown = use?.[measure];
      if (amount === undefined) continue;
      if (typeof amount !== "number" || !(amount >= 0) || !Number.isFinite(this.ledger.spent[measure] + amount))
        throw new TesseraError("BAD_ARGUMENT", `${this.step.operator} reported ${String(amount)} ${measure}`, {
          path: this.step.path,
          hint: "spend() takes finite numbers that are not negative",
        });
      amounts[measure] = amount;
      names = true;
    }
    return names ? amounts : undefined;
  }

  /** Takes what is spent and set aside by the operator, or by a run inside the step; `no` for `spent` is no report. */
  pass(spent: Readonly<Limited>, lent: Readonly<Limited>, cost: number): void {
    if (this.ledger.closed) return;
    const before = this.held();
    for (const measure of limited) {
      this.used[measure] += spent[measure];
      this.lent[measure] += lent[measure];
    }
    this.used.cost += cost;
    this.reported ||= spent !== no;
    if (this.settled) return this.late();
    this.ledger.change(spent, minus(this.held(), before), cost);
  }

  /** Notes that a run inside the step has reported all it spent. */
  hear(): void {
    this.reported = true;
  }

  /** Whether a run inside the step may set `more` aside: from what the step has reserved, and from the budget around it. */
  covers(more: Readonly<Limited>, asks: boolean): boolean {
    if (this.ledger.closed) return true; // the run inside has outlived the one around it, and is a run of its own
    const held = this.held();
    const rise = { ...no };
    for (const measure of limited) rise[measure] = Math.max(0, this.lent[measure] + more[measure] - held[measure]);
    if (this.ledger.covers(rise, 0, asks)) return true;
    this.refused = true;
    return false;
  }

  /** What is set aside: the rest of the bound, or what runs inside the step have set aside where that is more. */
  private held(): Limited {
    const held = { ...no };
    if (!this.settled)
      for (const measure of limited)
        held[measure] = Math.max(0, this.bound[measure] - this.used[measure], this.lent[measure]);
    return held;
  }

  /**
   * What the attempt is charged if it ends by itself now: what it reported, or its bound if it reported nothing and may
   * have asked a model.
   */
  get due(): Readonly<Amounts> {
    return this.reported || this.step.askedNothing ? { ...this.used } : { ...this.used, ...this.bound };
  }

  /** Ends the reservation of an attempt that ended by itself. */
  close(how: "finished" | "refused" | "failed"): void {
    this.settle(how, this.started ? this.due : nothing());
  }

  /** Ends the reservation of an attempt that is given up: its bound is charged, or what it reported where that is more. */
  abandon(): void {
    const due = { ...this.used };
    if (this.started) for (const measure of limited) due[measure] = Math.max(due[measure], this.bound[measure]);
    this.settle("abandoned", due);
  }

  /** Ends the reservation of a step whose result was there: it costs nothing. */
  found(): void {
    this.settle(undefined, nothing());
  }

  private settle(how: StepCharge["how"] | undefined, due: Amounts): void {
    if (this.settled) return;
    const { ledger, used, step } = this;
    const held = this.held();
    this.settled = true;
    this.charged = due;
    step.scope.settled(this);
    ledger.change(minus(due, used), minus(no, held), due.cost - used.cost);
    if (!how) return;
    ledger.tell({ path: step.path, attempt: step.scope.attempt, how, spent: due });
    this.warn();
  }

  /** Charges what was reported after the attempt had settled, where that is more than it was charged. */
  private late(): void {
    const { ledger, step, used } = this;
    this.charged ??= nothing();
    const more = nothing();
    for (const measure of measures) more[measure] = Math.max(0, used[measure] - this.charged[measure]);
    if (isNothing(more)) return;
    for (const measure of measures) this.charged[measure] += more[measure];
    ledger.change(more, no, more.cost);
    ledger.tell({ path: step.path, attempt: step.scope.attempt, how: "late", spent: more });
    this.warn();
  }

  private warn(): void {
    const { ledger, step, used, bound } = this;
    if (this.warned) return;
    const over = limited.filter((measure) => used[measure] > bound[measure]);
    if (over.length === 0) return;
    this.warned = true;
    const parts = over.map((measure) => `${used[measure]} ${measure} of at most ${bound[measure]}`);
    ledger.warn(step.path, `${step.operator} reported more than its bound: ${parts.join(", ")}`, step.operator);
  }
}

const minus = (a: Readonly<Limited>, b: Readonly<Limited>): Limited => ({
  calls: a.calls - b.calls,
  tokens: a.tokens - b.tokens,
  layers: a.layers - b.layers,
});
