/** What one caller has had. */
interface Account {
  /** The virtual time of the caller's next work. */
  tag: number;
  /** Pieces of work that wait or run. */
  open: number;
}

/** Callers who left between two searches for accounts that mean nothing any more. */
const sweepEvery = 1024;

/**
 * Who is next, by start-time fair queueing (Goyal, Vin and Cheng, 1996): each caller has a virtual time that grows with
 * the work done for him, and the least is served first. A caller who comes anew begins at the virtual time of the whole,
 * which grows by (work done) / (callers present): nobody saves up while idle, and a stream of new callers does not hold
 * up an old one for ever. The cost of an answer need not be known before it is made, as in the virtual token counter
 * (Sheng et al., 2024).
 */
export class FairShares {
  private readonly accounts = new Map<string, Account>();
  private virtual = 0;
  private present = 0;
  private left = 0;

  /** Callers with work that waits or runs. */
  get callers(): number {
    return this.present;
  }

  enter(caller: string): void {
    let account = this.accounts.get(caller);
    if (account === undefined) {
      account = { tag: this.virtual, open: 0 };
      this.accounts.set(caller, account);
    }
    if (account.open === 0) {
      this.present += 1;
      account.tag = Math.max(account.tag, this.virtual);
    }
    account.open += 1;
  }

  leave(caller: string): void {
    const account = this.accounts.get(caller)!;
    account.open -= 1;
    if (account.open > 0) return;
    this.present -= 1;
    this.left += 1;
    if (this.left % sweepEvery !== 0) return;
    for (const [name, { open, tag }] of this.accounts)
      if (open === 0 && tag <= this.virtual) this.accounts.delete(name);
  }

  /** The virtual time of a caller; of two, the one with less is next. */
  tag(caller: string): number {
    return this.accounts.get(caller)!.tag;
  }

  /** Counts work done, or about to be done, for a caller who is present. */
  charge(caller: string, cost: number): void {
    this.accounts.get(caller)!.tag += cost;
    this.virtual += cost / this.present;
  }
}
