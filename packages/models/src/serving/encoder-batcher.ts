// internal: EncoderBatcher
import { type Clock, TesseraError } from "@tessera/core";
import { Deferred, messageOf, systemClock } from "@tessera/core/internal";
import { type EncoderSession, type Ragged, ragged } from "../engines/engine.js";
import { FairQueue } from "./fair-queue.js";
import { FairShares } from "./fair-shares.js";
import { errorsOf } from "./service-error.js";

export interface BatcherSettings {
  /** For errors. */
  readonly name: string;
  /** Tokens of one batch at most; a text that is longer goes alone. 1,024 by default, which suits a CPU. */
  readonly tokensPerBatch?: number | undefined;
  /** How long a text may wait for company while the engine has nothing to do, in milliseconds; 0 by default. */
  readonly waitMs?: number | undefined;
  /** Batches that the engine has at once, so that it need not wait for the next; 2 by default. */
  readonly lanes?: number | undefined;
  /** Tokens that may wait; a call beyond them is refused with OVERLOADED. 1,048,576 by default. */
  readonly waitingTokens?: number | undefined;
  /** Whether texts of several calls may share a batch; true, and false for measurements. */
  readonly mix?: boolean | undefined;
  /** Refuses a call before it can spoil a batch for others. */
  check?(batch: Ragged, exit: number): void;
  readonly clock?: Clock | undefined;
}

/** One call of `encode` that is not finished. */
interface Call {
  readonly caller: string;
  /** The arrival of its first text. */
  readonly arrival: number;
  readonly vectors: Float32Array;
  left: number;
  readonly waiting: Set<Text>;
  readonly end: Deferred<Float32Array>;
}

interface Text {
  readonly caller: string;
  readonly arrival: number;
  readonly since: number;
  readonly call: Call;
  readonly place: number;
  readonly ids: Int32Array;
  readonly group: Group;
}

/** Texts that may share a batch: they leave by one exit, and none is twice as long as another. */
interface Group {
  readonly exit: number;
  readonly queue: FairQueue<Text>;
  tokens: number;
}

/**
 * Token-packed batches across callers, above any engine: texts of one exit and of like length go together, the callers
 * who had least go first. A batch leaves when it is full or its first text has waited long enough, and a lane is free.
 */
export class EncoderBatcher {
  private readonly shares = new FairShares();
  private readonly groups = new Map<string, Group>();
  private readonly calls = new Set<Call>();
  private readonly clock: Clock;
  private readonly tokensPerBatch: number;
  private readonly waitMs: number;
  private readonly waitingTokens: number;
  private freeLanes: number;
  private arrivals = 0;
  private tokens = 0;
  private closed = false;
  private readonly error: ReturnType<typeof errorsOf>;
  private forgetTimer: (() => void) | undefined;
  /** Tokens a millisecond. */
  private speed = 0;
  /** Since the start. */
  readonly totals = { texts: 0, tokens: 0, batches: 0, failures: 0 };

  constructor(
    private readonly session: EncoderSession,
    private readonly settings: BatcherSettings,
  ) {
    this.error = errorsOf(settings.name);
    this.clock = settings.clock ?? systemClock;
    this.tokensPerBatch = settings.tokensPerBatch ?? 1024;
    this.waitMs = settings.waitMs ?? 0;
    this.waitingTokens = settings.waitingTokens ?? 1_048_576;
    this.freeLanes = settings.lanes ?? 2;
  }

  /** What is going on now. */
  get state(): { waitingTokens: number; calls: number; freeLanes: number } {
    return { waitingTokens: this.tokens, calls: this.calls.size, freeLanes: this.freeLanes };
  }

  /** The session as one caller sees it; its `close` does nothing, since it is everybody's. */
  as(caller: string): EncoderSession {
    return {
      exits: this.session.exits,
      hidden: this.session.hidden,
      encode: (batch, exit, signal) => this.encode(caller, batch, exit, signal),
      close: async () => {},
    };
  }

  /** @throws TesseraError what `check` throws; OVERLOADED; ABORTED; CLOSED; MODEL_FAILED */
  async encode(caller: string, batch: Ragged, exit: number, signal?: AbortSignal): Promise<Float32Array> {
    this.settings.check?.(batch, exit);
    if (this.closed) throw this.error("CLOSED", "the encoder is closed");
    const aborted = (cause: unknown) => this.error("ABORTED", "the encoding was aborted", { cause });
    if (signal?.aborted) throw aborted(signal.reason);
    const texts = batch.offsets.length - 1;
    if (texts === 0) return new Float32Array();
    if (this.tokens > 0 && this.tokens + batch.ids.length > this.waitingTokens)
      throw this.error("OVERLOADED", `texts of ${this.tokens} tokens wait already`, {
        hint: "ask again later, or send less at once",
        retryAfterMs: Math.min(60_000, Math.max(1000, this.speed > 0 ? this.tokens / this.speed : 0)),
      });
    const call: Call = {
      caller,
      arrival: this.arrivals,
      vectors: new Float32Array(texts * this.session.hidden),
      left: texts,
      waiting: new Set(),
      end: new Deferred({ signal, aborted, ended: () => this.leave(call) }),
    };
    this.calls.add(call);
    this.shares.enter(caller);
    const since = this.clock.now();
    for (let place = 0; place < texts; place++) {
      const ids = batch.ids.subarray(batch.offsets[place], batch.offsets[place + 1]);
      const group = this.groupOf(ids.length, exit, call);
      const text = { caller, arrival: this.arrivals++, since, call, place, ids, group };
      group.queue.push(text);
      group.tokens += ids.length;
      call.waiting.add(text);
    }
    this.tokens += batch.ids.length;
    this.dispatch();
    return call.end.promise;
  }

  /** Ends every call with CLOSED, and closes the session. */
  async close(): Promise<void> {
    this.closed = true;
    this.forgetTimer?.();
    for (const { end } of this.calls) end.reject(this.error("CLOSED", "the encoder is closed"));
    await this.session.close();
  }

  private groupOf(length: number, exit: number, call: Call): Group {
    const alone = this.settings.mix === false ? ` ${call.arrival}` : "";
    const key = `${exit} ${Math.floor(Math.log2(length))}${alone}`;
    let group = this.groups.get(key);
    if (group === undefined) {
      group = { exit, queue: new FairQueue<Text>(this.shares), tokens: 0 };
      this.groups.set(key, group);
    }
    return group;
  }

  private dispatch(): void {
    this.forgetTimer?.();
    this.forgetTimer = undefined;
    while (this.freeLanes > 0 && !this.closed) {
      const now = this.clock.now();
      let next: Group | undefined;
      let first: Text | undefined;
      let soonest = Number.POSITIVE_INFINITY;
      for (const [key, group] of this.groups) {
        const head = group.queue.head();
        if (head === undefined) {
          this.groups.delete(key);
          continue;
        }
        const due = group.tokens >= this.tokensPerBatch ? now : this.oldest(group) + this.waitMs;
        if (due > now) soonest = Math.min(soonest, due);
        else if (first === undefined || this.before(head, first)) {
          next = group;
          first = head;
        }
      }
      if (next === undefined) {
        if (soonest < Number.POSITIVE_INFINITY)
          this.forgetTimer = this.clock.after(soonest - now, () => this.dispatch());
        return;
      }
      void this.run(next);
    }
  }

  private oldest(group: Group): number {
    let since = Number.POSITIVE_INFINITY;
    for (const text of group.queue.heads()) since = Math.min(since, text.since);
    return since;
  }

  private before(a: Text, b: Text): boolean {
    const difference = this.shares.tag(a.caller) - this.shares.tag(b.caller);
    return difference < 0 || (difference === 0 && a.arrival < b.arrival);
  }

  private take(group: Group): Text[] {
    const texts: Text[] = [];
    let room = this.tokensPerBatch;
    for (;;) {
      const text = group.queue.head();
      if (text === undefined || (texts.length > 0 && text.ids.length > room)) return texts;
      this.withdraw(text);
      // layers are what a token costs
      this.shares.charge(text.caller, text.ids.length * group.exit);
      room -= text.ids.length;
      texts.push(text);
    }
  }

  private withdraw(text: Text): void {
    text.group.queue.remove(text);
    text.group.tokens -= text.ids.length;
    text.call.waiting.delete(text);
    this.tokens -= text.ids.length;
  }

  private async run(group: Group): Promise<void> {
    const texts = this.take(group);
    this.freeLanes -= 1;
    const began = this.clock.now();
    const batch = ragged(texts.map(({ ids }) => ids));
    try {
      const vectors = await this.session.encode(batch, group.exit);
      const { hidden } = this.session;
      for (const [i, { call, place }] of texts.entries()) {
        if (!this.calls.has(call)) continue;
        call.vectors.set(vectors.subarray(i * hidden, (i + 1) * hidden), place * hidden);
        call.left -= 1;
        if (call.left === 0) call.end.resolve(call.vectors);
      }
      this.totals.texts += texts.length;
      this.totals.tokens += batch.ids.length;
      this.totals.batches += 1;
      const took = this.clock.now() - began;
      if (took > 0) this.speed += (this.speed === 0 ? 1 : 0.1) * (batch.ids.length / took - this.speed);
    } catch (cause) {
      this.totals.failures += 1;
      const error = TesseraError.is(cause) ? cause : this.error("MODEL_FAILED", messageOf(cause), { cause });
      for (const { call } of texts) call.end.reject(error);
    } finally {
      this.freeLanes += 1;
      this.dispatch();
    }
  }

  private leave(call: Call): void {
    for (const text of call.waiting) this.withdraw(text);
    this.calls.delete(call);
    this.shares.leave(call.caller);
  }
}
