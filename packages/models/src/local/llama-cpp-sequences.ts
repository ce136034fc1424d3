import { TesseraError } from "@tessera/core";
import { onAbort } from "@tessera/core/internal";
import type { LlamaContext, LlamaContextSequence, Token } from "node-llama-cpp";

interface Waiting {
  readonly tokens: readonly Token[];
  take(sequence: LlamaContextSequence): void;
  fail(error: unknown): void;
}

/**
 * The sequences of a context, lent one at a time. Who asks gets the free one that has read most of his tokens already, so
 * that a prompt which begins as an earlier one is read from where they part.
 */
export class LlamaCppSequences {
  private readonly free: LlamaContextSequence[];
  private readonly waiting: Waiting[] = [];
  private closed = false;

  constructor(
    private readonly context: LlamaContext,
    private readonly name: string,
  ) {
    this.free = Array.from({ length: context.totalSequences }, () => context.getSequence());
  }

  /**
   * Lends a sequence that has read as many of `tokens` as it can have, but the last, and gives what is left to read.
   * @throws TesseraError CLOSED; the reason of the signal
   */
  async use<T>(
    tokens: readonly Token[],
    signal: AbortSignal | undefined,
    work: (sequence: LlamaContextSequence, rest: Token[]) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const sequence = this.pick(tokens) ?? (await this.wait(tokens, signal));
    try {
      const { firstDifferentIndex } = sequence.compareContextTokens([...tokens]);
      const read = Math.min(firstDifferentIndex, tokens.length - 1);
      await sequence.adaptStateToTokens(tokens.slice(0, read), false);
      let at = sequence.nextTokenIndex;
      // a long prompt in parts, between which it can be given up
      for (; at + this.context.batchSize < tokens.length; at += this.context.batchSize) {
        signal?.throwIfAborted();
        await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(at, at + this.context.batchSize));
      }
      signal?.throwIfAborted();
      return await work(sequence, tokens.slice(at));
    } finally {
      this.giveBack(sequence);
    }
  }

  close(): void {
    this.closed = true;
    for (const { fail } of this.waiting.splice(0)) fail(this.closedError());
  }

  private pick(tokens: readonly Token[]): LlamaContextSequence | undefined {
    if (this.closed) throw this.closedError();
    let best = -1;
    let most = -1;
    for (const [index, sequence] of this.free.entries()) {
      const { firstDifferentIndex } = sequence.compareContextTokens([...tokens]);
      // among those that share nothing, one that has read nothing, so that others keep what they have
      const score = firstDifferentIndex > 0 ? firstDifferentIndex : sequence.nextTokenIndex === 0 ? 0 : -0.5;
      if (score > most) [best, most] = [index, score];
    }
    return best < 0 ? undefined : this.free.splice(best, 1)[0];
  }

  private wait(tokens: readonly Token[], signal: AbortSignal | undefined): Promise<LlamaContextSequence> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        tokens,
        take: (sequence) => {
          stop();
          resolve(sequence);
        },
        fail: (error) => {
          stop();
          reject(error);
        },
      };
      const stop = signal
        ? onAbort(signal, (reason) => {
            const at = this.waiting.indexOf(waiting);
            if (at >= 0) this.waiting.splice(at, 1);
            reject(reason);
          })
        : () => {};
      this.waiting.push(waiting);
    });
  }

  private giveBack(sequence: LlamaContextSequence): void {
    const next = this.waiting.shift();
    if (next) next.take(sequence);
    else this.free.push(sequence);
  }

  private closedError(): TesseraError {
    return new TesseraError("CLOSED", "the model is closed", { path: this.name });
  }
}
