// internal: DecoderScheduler
import { type Clock, TesseraError } from "@tessera/core";
import { Deferred, messageOf, systemClock } from "@tessera/core/internal";
import { type DecoderResult, type DecoderSession, ragged, type Sampling } from "../engines/engine.js";
import { BlockCache } from "./block-cache.js";
import { FairQueue } from "./fair-queue.js";
import { FairShares } from "./fair-shares.js";
import { errorsOf } from "./service-error.js";

export interface SchedulerSettings {
  /** For errors. */
  readonly name: string;
  /** The longest sequence, prompt and answer together, in tokens. */
  readonly context: number;
  /** Tokens of one step at most: drawn tokens go first, pieces of prompts fill the rest. 256 by default. */
  readonly tokensPerStep?: number | undefined;
  /** Sequences that run at once, at most; 64 by default. */
  readonly sequences?: number | undefined;
  /** Requests that may wait; more are refused with OVERLOADED. 256 by default. */
  readonly waiting?: number | undefined;
  readonly clock?: Clock | undefined;
}

export interface DrawnToken {
  readonly id: number;
  readonly logprob: number;
  readonly alternatives?: readonly { readonly id: number; readonly logprob: number }[] | undefined;
}

/** One answer that is wanted. */
interface SequenceRequest {
  /** Who asks: callers get equal shares. */
  readonly caller: string;
  readonly prompt: Int32Array;
  readonly maxTokens: number;
  /** The prompt is not answered: it gets the log-probability of each of its tokens from this one (at least 1) on. */
  readonly scoredFrom?: number | undefined;
  /** How to draw the next token; called once a token, in order. */
  sampling(): Sampling;
  /** Gets each token as it is drawn; true ends the answer. What it throws fails this answer only. */
  take(token: DrawnToken): boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface SequenceEnd {
  /** "length" where `maxTokens` or the context ended it. */
  readonly finish: "stop" | "length";
  readonly generated: number;
  /** Tokens of the prompt that were in the cache already. */
  readonly reused: number;
  /** With `scoredFrom`: natural-log probabilities of its tokens, each by those before it. */
  readonly scores?: Float32Array | undefined;
}

interface Sequence {
  readonly request: SequenceRequest;
  readonly caller: string;
  readonly arrival: number;
  /** The prompt and what was drawn. */
  tokens: Int32Array;
  length: number;
  /** Tokens that the cache holds. */
  cached: number;
  blocks: Int32Array;
  held: number;
  /** The order of first admission; a sequence that was interrupted keeps it. */
  admission: number;
  /** The caller's virtual time once the prompt is paid for: the least is read first. */
  urgency: number;
  reused: number;
  readonly scores: Float32Array | undefined;
  open: boolean;
  readonly end: Deferred<SequenceEnd>;
}

/** New tokens of a sequence in the next step. */
interface Piece {
  readonly sequence: Sequence;
  count: number;
}

/** Weight of the newest measurement of speed. */
const newest = 0.1;

/**
 * Continuous batching over a paged cache: in each step every running sequence gets its next token, and pieces of prompts
 * fill the rest. A sequence is admitted when its whole prompt has blocks. Where a growing answer finds none, the one
 * admitted last is interrupted: its blocks go back, and later it is computed again from its tokens, without drawing anew.
 * The one admitted first is never interrupted, and no sequence is accepted that the whole cache could not hold, so there
 * is always one that advances. Half the room for prompts belongs to the oldest prompt, the rest to the most urgent.
 */
export class DecoderScheduler {
  private readonly shares = new FairShares();
  private readonly queue = new FairQueue<Sequence>(this.shares);
  private readonly cache: BlockCache;
  /** In the order of admission. */
  private running: Sequence[] = [];
  private interrupted: Sequence[] = [];
  private readonly clock: Clock;
  private readonly tokensPerStep: number;
  private readonly sequences: number;
  private readonly waiting: number;
  private arrivals = 0;
  private admissions = 0;
  private pumping = false;
  private closed = false;
  private readonly error: ReturnType<typeof errorsOf>;
  /** Tokens a millisecond. */
  private speed = 0;
  /** Since the start. */
  readonly totals = { requests: 0, prompt: 0, reused: 0, generated: 0, steps: 0, interruptions: 0, failures: 0 };

  constructor(
    private readonly session: DecoderSession,
    private readonly settings: SchedulerSettings,
  ) {
    this.error = errorsOf(settings.name);
    this.clock = settings.clock ?? systemClock;
    this.sequences = settings.sequences ?? 64;
    this.waiting = settings.waiting ?? 256;
    this.tokensPerStep = settings.tokensPerStep ?? 256;
    if (this.tokensPerStep <= this.sequences)
      throw this.error("BAD_ARGUMENT", `a step of ${this.tokensPerStep} tokens has no room for prompts`, {
        hint: `use more than the ${this.sequences} sequences that may run at once`,
      });
    this.cache = new BlockCache(session.blocks, session.blockTokens);
  }

  /** What is going on now. */
  get state(): { waiting: number; running: number; blocksFree: number; blocksRemembered: number } {
    return {
      waiting: this.queue.size + this.interrupted.length,
      running: this.running.length,
      blocksFree: this.cache.available,
      blocksRemembered: this.cache.remembered,
    };
  }

  /**
   * Resolves when the answer has ended.
   * @throws TesseraError BAD_ARGUMENT for a prompt that is empty or too long; OVERLOADED; ABORTED; CLOSED; MODEL_FAILED
   */
  async run(request: SequenceRequest): Promise<SequenceEnd> {
    const { caller, prompt, maxTokens, signal } = request;
    const refusal = this.refusal(request);
    if (refusal) throw refusal;
    const room = prompt.length + Math.min(maxTokens, 64);
    const sequence: Sequence = {
      request,
      caller,
      arrival: this.arrivals++,
      tokens: new Int32Array(room),
      length: prompt.length,
      cached: 0,
      blocks: new Int32Array(this.blocksFor(room)),
      held: 0,
      admission: -1,
      urgency: 0,
      reused: 0,
      scores: request.scoredFrom === undefined ? undefined : new Float32Array(prompt.length - request.scoredFrom),
      open: true,
      end: new Deferred({
        signal,
        aborted: (cause) => this.error("ABORTED", "the answer was aborted", { cause }),
        ended: () => this.leave(sequence),
      }),
    };
    sequence.tokens.set(prompt);
    this.totals.requests += 1;
    this.shares.enter(caller);
    this.queue.push(sequence);
    this.start();
    return sequence.end.promise;
  }

  /** Ends every answer with CLOSED; the session is the caller's to close. */
  close(): void {
    this.closed = true;
    for (const sequence of [...this.queue, ...this.interrupted, ...this.running])
      sequence.end.reject(this.error("CLOSED", "the decoder was closed"));
  }

  private refusal({ prompt, maxTokens, scoredFrom = 1, signal }: SequenceRequest): TesseraError | undefined {
    if (this.closed) return this.error("CLOSED", "the decoder was closed");
    if (signal?.aborted) return this.error("ABORTED", "the answer was aborted", { cause: signal.reason });
    if (!Number.isSafeInteger(maxTokens) || maxTokens < 1)
      return this.error("BAD_ARGUMENT", `an answer of ${maxTokens} tokens cannot be generated`, {
        hint: "use 1 or more",
      });
    const most = Math.min(this.settings.context, this.session.blocks * this.session.blockTokens);
    if (prompt.length < 1 || prompt.length >= most)
      return this.error("BAD_ARGUMENT", `the prompt has ${prompt.length} tokens; 1 to ${most - 1} can be answered`);
    if (!(scoredFrom >= 1 && scoredFrom < Math.max(2, prompt.length)))
      return this.error("BAD_ARGUMENT", `${prompt.length} tokens cannot be scored from number ${scoredFrom} on`);
    if (this.queue.size + this.interrupted.length < this.waiting) return undefined;
    let tokens = 0;
    for (const { length } of this.queue) tokens += length;
    return this.error("OVERLOADED", `${this.queue.size} requests wait already`, {
      hint: "ask again later",
      retryAfterMs: Math.min(60_000, Math.max(1000, this.speed > 0 ? tokens / this.speed : 0)),
    });
  }

  private start(): void {
    if (this.pumping) return;
    this.pumping = true;
    // what is asked for in one turn of the event loop begins together
    queueMicrotask(() => void this.pump());
  }

  private async pump(): Promise<void> {
    for (;;) {
      this.admit();
      const pieces = this.plan();
      if (pieces.length === 0) break;
      await this.step(pieces);
    }
    this.pumping = false;
  }

  /** Interrupted sequences first; then the queue, while there are blocks for the whole prompt and one to grow for each. */
  private admit(): void {
    while (this.running.length < this.sequences) {
      const resumed = this.interrupted[0];
      const sequence = resumed ?? this.queue.head();
      if (sequence === undefined) return;
      const whole = this.blocksFor(sequence.length + 1);
      const prefix = this.cache.reuse(
        sequence.tokens.subarray(0, sequence.length),
        Math.floor(((sequence.request.scoredFrom ?? sequence.length) - 1) / this.session.blockTokens),
      );
      const missing = whole - prefix.length;
      if (missing > this.cache.available - this.running.length) {
        this.cache.release(Int32Array.from(prefix));
        return;
      }
      for (const block of prefix) this.hold(sequence, block);
      for (let i = 0; i < missing; i++) this.hold(sequence, this.cache.take());
      sequence.cached = prefix.length * this.session.blockTokens;
      if (resumed) this.interrupted.shift();
      else this.welcome(sequence);
      this.running.push(sequence);
      this.running.sort((a, b) => a.admission - b.admission);
    }
  }

  private welcome(sequence: Sequence): void {
    this.queue.remove(sequence);
    sequence.admission = this.admissions++;
    sequence.reused = sequence.cached;
    this.totals.prompt += sequence.length;
    this.totals.reused += sequence.cached;
    this.shares.charge(sequence.caller, sequence.length - sequence.cached);
    sequence.urgency = this.shares.tag(sequence.caller);
  }

  /** What the next step computes: one token of each answer under way, and as much of the prompts as fits. */
  private plan(): Piece[] {
    this.grow();
    const pieces: Piece[] = [];
    const prompts: Piece[] = [];
    for (const sequence of this.running) {
      if (sequence.length - sequence.cached === 1) pieces.push({ sequence, count: 1 });
      else prompts.push({ sequence, count: 0 });
    }
    let room = this.tokensPerStep - pieces.length;
    const read = (piece: Piece, most: number): void => {
      const { length, cached } = piece.sequence;
      const count = Math.min(most, room, length - cached - piece.count);
      piece.count += count;
      room -= count;
    };
    if (prompts[0]) read(prompts[0], Math.ceil(room / 2));
    for (const piece of prompts.toSorted((a, b) => a.sequence.urgency - b.sequence.urgency)) read(piece, room);
    return [...pieces, ...prompts.filter(({ count }) => count > 0)];
  }

  /** Gives every sequence room for the token that it is about to add, the oldest first. */
  private grow(): void {
    for (let i = 0; i < this.running.length; i++) {
      const sequence = this.running[i]!;
      if (this.blocksFor(sequence.length) <= sequence.held) continue;
      let block = this.cache.take();
      while (block < 0) {
        const youngest = this.running.at(-1)!;
        this.interrupt(youngest);
        if (youngest === sequence) return;
        block = this.cache.take();
      }
      this.hold(sequence, block);
    }
  }

  private interrupt(sequence: Sequence): void {
    this.running.splice(this.running.indexOf(sequence), 1);
    this.letGo(sequence);
    this.interrupted.push(sequence);
    this.interrupted.sort((a, b) => a.admission - b.admission);
    this.totals.interruptions += 1;
  }

  private async step(planned: readonly Piece[]): Promise<void> {
    const began = this.clock.now();
    const pieces: Piece[] = [];
    const sampling: (Sampling | undefined)[] = [];
    for (const piece of planned) {
      const { sequence, count } = piece;
      try {
        const draws = sequence.cached + count === sequence.length && !sequence.scores;
        sampling.push(draws ? sequence.request.sampling() : undefined);
        pieces.push(piece);
      } catch (cause) {
        sequence.end.reject(this.failure(cause));
      }
    }
    if (pieces.length === 0) return;
    let result: DecoderResult;
    try {
      result = await this.session.step({
        ...ragged(
          pieces.map(({ sequence, count }) => sequence.tokens.subarray(readFrom(sequence), sequence.cached + count)),
        ),
        cached: Int32Array.from(pieces, ({ sequence }) => readFrom(sequence)),
        scored: pieces.map(({ sequence }) => sequence.scores !== undefined),
        blocks: pieces.map(({ sequence }) => sequence.blocks.subarray(0, sequence.held)),
        sampling,
      });
    } catch (cause) {
      this.fail(pieces, cause);
      return;
    }
    this.totals.steps += 1;
    let computed = 0;
    for (const [i, { sequence, count }] of pieces.entries()) {
      computed += count;
      if (sequence.open) this.advance(sequence, count, i, result);
    }
    const took = this.clock.now() - began;
    if (took > 0) this.speed += (this.speed === 0 ? 1 : newest) * (computed / took - this.speed);
  }

  private advance(sequence: Sequence, count: number, i: number, result: DecoderResult): void {
    const { blockTokens } = this.session;
    const full = Math.floor(sequence.cached / blockTokens);
    sequence.cached += count;
    for (let b = full; b < Math.floor(sequence.cached / blockTokens); b++)
      this.cache.remember(sequence.blocks[b]!, sequence.blocks[b - 1], sequence.tokens, b * blockTokens);
    const { request, scores, reused } = sequence;
    // the first score of a piece is that of its second token
    for (const [t, score] of (scores && result.scores?.[i]?.entries()) ?? []) {
      const place = sequence.cached - result.scores![i]!.length + t - request.scoredFrom!;
      if (place >= 0) scores![place] = score;
    }
    if (sequence.cached < sequence.length) return;
    if (scores) return sequence.end.resolve({ finish: "stop", generated: 0, reused, scores });
    const id = result.next[i]!;
    this.push(sequence, id);
    this.totals.generated += 1;
    this.shares.charge(sequence.caller, 1);
    const generated = sequence.length - request.prompt.length;
    try {
      const stop = request.take({ id, logprob: result.logprob[i]!, alternatives: result.alternatives?.[i] });
      if (!sequence.open) return;
      const most = Math.min(this.settings.context, this.session.blocks * blockTokens);
      if (stop || generated === request.maxTokens || sequence.length >= most)
        sequence.end.resolve({ finish: stop ? "stop" : "length", generated, reused });
    } catch (cause) {
      sequence.end.reject(this.failure(cause));
    }
  }

  /** The answers of a failed step have failed; the others are computed again, since nobody knows what the cache holds. */
  private fail(pieces: readonly Piece[], cause: unknown): void {
    this.totals.failures += 1;
    const error = this.failure(cause);
    for (const { sequence } of pieces) sequence.end.reject(error);
    for (const sequence of [...this.running].reverse()) this.interrupt(sequence);
    this.cache.forget();
  }

  private leave(sequence: Sequence): void {
    sequence.open = false;
    if (!this.queue.remove(sequence)) {
      this.running = this.running.filter((other) => other !== sequence);
      this.interrupted = this.interrupted.filter((other) => other !== sequence);
    }
    this.letGo(sequence);
    this.shares.leave(sequence.caller);
  }

  private push(sequence: Sequence, id: number): void {
    if (sequence.length === sequence.tokens.length) {
      const longer = new Int32Array(sequence.length * 2);
      longer.set(sequence.tokens);
      sequence.tokens = longer;
    }
    sequence.tokens[sequence.length++] = id;
  }

  private hold(sequence: Sequence, block: number): void {
    if (sequence.held === sequence.blocks.length) {
      const longer = new Int32Array(sequence.held * 2);
      longer.set(sequence.blocks);
      sequence.blocks = longer;
    }
    sequence.blocks[sequence.held++] = block;
  }

  private letGo(sequence: Sequence): void {
    this.cache.release(sequence.blocks.subarray(0, sequence.held));
    sequence.held = 0;
    sequence.cached = 0;
  }

  private blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.session.blockTokens);
  }

  private failure(cause: unknown): TesseraError {
    return TesseraError.is(cause) ? cause : this.error("MODEL_FAILED", messageOf(cause), { cause });
  }
}

/** Where the next piece begins: a token that is to be scored needs the one before it, which is computed once more. */
const readFrom = ({ cached, scores }: Sequence): number => (scores && cached > 0 ? cached - 1 : cached);
