import { setImmediate as pause } from "node:timers/promises";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import type { Automaton, Frame, State } from "./automaton.js";

interface Branch {
  readonly next: Map<number, Branch>;
  readonly ids: number[];
}
const branch = (): Branch => ({ next: new Map(), ids: [] });

/** The tokens of a vocabulary by their bytes. */
export interface TokenTable {
  readonly words: number;
  /** The most bytes of a token. */
  readonly longest: number;
  /** All tokens that have bytes. */
  readonly all: Branch;
  /** Those that are not whole characters which a string holds as they are. */
  readonly odd: Branch;
  /** The others by their number of characters: [c] are those of at most c. */
  readonly plain: readonly Uint32Array[];
  /** Whether every byte of UTF-8 that JSON needs is a token, so that any beginning can be completed. */
  readonly complete: boolean;
}

/** Tokens of one turn of the event loop. */
const tokensPerTurn = 256;

/** @param end Never among them, whatever its bytes. */
export async function tokenTable(tokenizer: Tokenizer, size: number, end: number): Promise<TokenTable> {
  const [all, odd] = [branch(), branch()];
  const words = Math.ceil(size / 32);
  const byCount: Uint32Array[] = [new Uint32Array(words)];
  const singles = new Set<number>();
  let longest = 0;
  for (let id = 0; id < size; id++) {
    if (id % tokensPerTurn === 0) await pause();
    const bytes = tokenizer.bytes(id);
    if (bytes.length === 0 || id === end) continue;
    longest = Math.max(longest, bytes.length);
    if (bytes.length === 1) singles.add(bytes[0]!);
    insert(all, bytes, id);
    const characters = plainCharacters(bytes);
    if (characters === undefined) insert(odd, bytes, id);
    else {
      while (byCount.length <= characters) byCount.push(new Uint32Array(words));
      set(byCount[characters]!, id);
    }
  }
  const plain = byCount.map((_, most) => {
    const mask = new Uint32Array(words);
    for (const some of byCount.slice(0, most + 1)) for (let w = 0; w < words; w++) mask[w]! |= some[w]!;
    return mask;
  });
  const needed = Array.from({ length: 0xf5 - 0x20 }, (_, i) => 0x20 + i);
  const complete = needed.every((byte) => singles.has(byte) || [0x7f, 0xc0, 0xc1].includes(byte));
  return { words, longest, all, odd, plain, complete };
}

function insert(root: Branch, bytes: Uint8Array, id: number): void {
  let at = root;
  for (const byte of bytes) {
    let next = at.next.get(byte);
    if (!next) {
      next = branch();
      at.next.set(byte, next);
    }
    at = next;
  }
  at.ids.push(id);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function plainCharacters(bytes: Uint8Array): number | undefined {
  try {
    const text = decoder.decode(bytes);
    return /["\\\p{Cc}]/u.test(text.replaceAll(/[\x7f-\x9f]/g, "")) ? undefined : [...text].length;
  } catch {
    return undefined;
  }
}

const set = (mask: Uint32Array, id: number): void => {
  mask[id >> 5]! |= 1 << (id & 31);
};

/** Tokens, and the most bytes that any of them leaves to be written. */
interface Mask {
  readonly allowed: Uint32Array;
  readonly most: number;
}

/** Which tokens may follow a state, remembered by state. */
export class TokenMasks {
  /** By state; for the inside of a string that no token fills, by what comes after the string. */
  private readonly known = new WeakMap<State | Frame, Mask>();
  private readonly last = {} as Frame;

  constructor(
    private readonly automaton: Automaton,
    private readonly table: TokenTable,
    private readonly end: number,
  ) {}

  /** The tokens after which at most `left` bytes complete the text; the end where it may end. */
  allowed(state: State, left: number): Uint32Array {
    const key = this.keyOf(state);
    const mask = this.known.get(key) ?? this.mask(state, Number.POSITIVE_INFINITY);
    this.known.set(key, mask);
    return mask.most <= left ? mask.allowed : this.mask(state, left).allowed;
  }

  private keyOf(state: State): State | Frame {
    const [frame, other] = state.frames;
    if (other || !frame?.term.enough || frame.term.room! < this.table.longest) return state;
    return frame.rest ?? this.last;
  }

  private mask(state: State, left: number): Mask {
    const allowed = new Uint32Array(this.table.words);
    let most = 0;
    const walk = (at: Branch, here: State): void => {
      for (const [byte, next] of at.next) {
        const there = this.automaton.step(here, byte);
        if (!there) continue;
        if (next.ids.length > 0 && there.least <= left) {
          most = Math.max(most, there.least);
          for (const id of next.ids) set(allowed, id);
        }
        walk(next, there);
      }
    };
    // inside a string most tokens are told by their length; none of them makes the way to the end longer
    const [frame, other] = state.frames;
    const room = other ? undefined : frame?.term.room;
    if (room !== undefined && state.least <= left) {
      allowed.set(this.table.plain[Math.min(room, this.table.plain.length - 1)]!);
      most = state.least;
      walk(this.table.odd, state);
    } else walk(this.table.all, state);
    if (state.complete) set(allowed, this.end);
    return { allowed, most };
  }
}
