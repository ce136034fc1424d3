// internal
import { TokenLimit } from "@tessera/core/internal";

/** How an answer ended that was held to a client's limits; nothing where it kept them by itself. */
export type Cut = "stop" | "length" | undefined;

/** Holds back what may be the beginning of a stop sequence, and ends a text before the first one. */
class Stops {
  #held = "";
  #isOver = false;

  constructor(private readonly sequences: readonly string[]) {}

  get isOver(): boolean {
    return this.#isOver;
  }

  push(part: string): string {
    if (this.#isOver || this.sequences.length === 0) return this.#isOver ? "" : part;
    const text = this.#held + part;
    const found = this.sequences.map((one) => text.indexOf(one)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#isOver = true;
      this.#held = "";
      return text.slice(0, Math.min(...found));
    }
    const held = Math.max(...this.sequences.map((one) => overlap(text, one)));
    this.#held = text.slice(text.length - held);
    return text.slice(0, text.length - held);
  }

  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}

/** How much of the end of a text is the beginning of a sequence. */
function overlap(text: string, sequence: string): number {
  for (let length = Math.min(text.length, sequence.length - 1); length > 0; length--)
    if (text.endsWith(sequence.slice(0, length))) return length;
  return 0;
}

/** Holds a text that comes in parts to stop sequences and to a number of tokens, as they are estimated. */
export class TextLimits {
  readonly #stops: Stops;
  readonly #tokens: TokenLimit;

  constructor({
    stop = [],
    maxTokens = Number.POSITIVE_INFINITY,
  }: { stop?: readonly string[] | undefined; maxTokens?: number | undefined }) {
    this.#stops = new Stops(stop);
    this.#tokens = new TokenLimit(maxTokens);
  }

  push(part: string): string {
    return this.#tokens.push(this.#stops.push(part));
  }

  /** What was held back, once nothing comes any more. */
  end(): string {
    return this.#tokens.push(this.#stops.end());
  }

  get cut(): Cut {
    return this.#tokens.isOver ? "length" : this.#stops.isOver ? "stop" : undefined;
  }
}
