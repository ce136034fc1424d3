import { joinPairs } from "./byte-pairs.js";

const most = 2 ** 21; // of ids and of merges

/** What of a tokenizer.json's model a merger needs. */
interface MergerModel {
  readonly vocab: Readonly<Record<string, number>>;
  /** Pairs that become one token, the first ones before the others. */
  readonly merges: readonly (string | readonly [string, string])[];
  readonly unk_token?: string | null | undefined;
  /** A piece that is a token itself is taken whole. */
  readonly ignore_merges?: boolean | null | undefined;
  /** A character that is no token becomes the tokens <0x00> … <0xFF> of its bytes. */
  readonly byte_fallback?: boolean | null | undefined;
  /** Neighbouring unknown characters become one unknown token. */
  readonly fuse_unk?: boolean | null | undefined;
}

/** Symbols from which on a queue finds the next pair; below, looking at all pairs is faster. */
const longPiece = 24;

/**
 * Byte-pair encoding of one piece: of its adjacent pairs the one of the lowest rank, the leftmost of equal ones, becomes one
 * token, until no pair has a rank (Sennrich et al. 2016). n symbols take O(n log n).
 */
export class Merger {
  private readonly vocab: ReadonlyMap<string, number>;
  /** The character and the id that stand for each byte. */
  private readonly characters: string[] | undefined;
  private readonly bytes: Int32Array | undefined;
  private readonly fallback: Int32Array | undefined;
  private readonly unknown: number;
  private readonly fuses: boolean;
  private readonly takesWhole: boolean;

  private constructor(
    model: MergerModel,
    alphabet: ReadonlyMap<string, number> | undefined,
    /** By left · 2²¹ + right: rank · 2²¹ + the id of the pair. */
    private readonly joins: ReadonlyMap<number, number>,
  ) {
    this.vocab = new Map(Object.entries(model.vocab));
    const idOf = (token: string): number => this.vocab.get(token) ?? -1;
    if (alphabet) {
      this.characters = new Array<string>(256);
      for (const [character, byte] of alphabet) this.characters[byte] = character;
      this.bytes = Int32Array.from(this.characters, idOf);
    }
    if (model.byte_fallback)
      this.fallback = Int32Array.from({ length: 256 }, (_, byte) =>
        idOf(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
      );
    this.unknown = model.unk_token ? idOf(model.unk_token) : -1;
    this.fuses = model.fuse_unk === true;
    this.takesWhole = model.ignore_merges === true;
  }

  /**
   * In parts, between which the event loop may turn.
   * @param alphabet The byte that each character of a token stands for; undefined where tokens are of characters.
   */
  static *of(model: MergerModel, alphabet: ReadonlyMap<string, number> | undefined): Generator<void, Merger> {
    const { vocab, merges } = model;
    if (Object.values(vocab).some((id) => id >= most) || merges.length >= most)
      throw new Error("the vocabulary is too large");
    const joins = new Map<number, number>();
    const idOf = (token: string): number => (Object.hasOwn(vocab, token) ? vocab[token]! : -1);
    for (const [rank, merge] of merges.entries()) {
      if (rank % 1024 === 0) yield;
      const cut = typeof merge === "string" ? merge.indexOf(" ", 1) : -1;
      const [left, right] = typeof merge === "string" ? [merge.slice(0, cut), merge.slice(cut + 1)] : merge;
      const [a, b, whole] = [idOf(left), idOf(right), idOf(`${left}${right}`)];
      if (a < 0 || b < 0 || whole < 0) throw new Error(`merge ${rank} is of or makes no token`);
      const key = a * most + b;
      if (!joins.has(key)) joins.set(key, rank * most + whole);
    }
    yield;
    return new Merger(model, alphabet, joins);
  }

  encode(piece: string): number[] {
    if (this.takesWhole) {
      const whole = this.vocab.get(this.characters ? this.spelled(piece) : piece);
      if (whole !== undefined) return [whole];
    }
    const ids = this.bytes ? this.ofBytes(this.bytes, piece) : this.ofCharacters(piece);
    return ids.length <= longPiece ? joinPairs(ids, this.joins, most) : this.mergeLong(ids);
  }

  private spelled(piece: string): string {
    let text = "";
    for (const byte of Buffer.from(piece)) text += this.characters![byte];
    return text;
  }

  private ofBytes(table: Int32Array, piece: string): number[] {
    const ids: number[] = [];
    for (const byte of Buffer.from(piece)) this.push(ids, table[byte]!);
    return ids;
  }

  private push(ids: number[], id: number): void {
    if (id >= 0) ids.push(id);
    else if (this.unknown >= 0 && !(this.fuses && ids.at(-1) === this.unknown)) ids.push(this.unknown);
  }

  private ofCharacters(piece: string): number[] {
    const ids: number[] = [];
    for (const character of piece) {
      const id = this.vocab.get(character);
      if (id !== undefined) ids.push(id);
      else {
        const bytes = this.fallback && Array.from(Buffer.from(character), (byte) => this.fallback![byte]!);
        if (bytes?.every((byte) => byte >= 0)) ids.push(...bytes);
        else this.push(ids, -1);
      }
    }
    return ids;
  }

  /** The symbols as a list; pairs wait in a heap by rank and place, and count only while they are as they were. */
  private mergeLong(ids: number[]): number[] {
    const next = Int32Array.from(ids, (_, i) => (i + 1 < ids.length ? i + 1 : -1));
    const before = Int32Array.from(ids, (_, i) => i - 1);
    const gone = new Uint8Array(ids.length);
    const heap = new PairHeap();
    const offer = (left: number): void => {
      const right = left < 0 ? -1 : next[left]!;
      if (right < 0) return;
      const join = this.joins.get(ids[left]! * most + ids[right]!);
      if (join !== undefined) heap.push(Math.floor(join / most), left, join);
    };
    for (let i = 0; i + 1 < ids.length; i++) offer(i);
    for (let top = heap.pop(); top; top = heap.pop()) {
      const { place, join } = top;
      const right = gone[place] ? -1 : next[place]!;
      if (right < 0 || this.joins.get(ids[place]! * most + ids[right]!) !== join) continue;
      ids[place] = join % most;
      gone[right] = 1;
      next[place] = next[right]!;
      if (next[place]! >= 0) before[next[place]!] = place;
      offer(before[place]!);
      offer(place);
    }
    return ids.filter((_, i) => !gone[i]);
  }
}

interface Pair {
  readonly rank: number;
  readonly place: number;
  readonly join: number;
}

/** The pair of the lowest rank, the leftmost of equal ones, comes first. */
class PairHeap {
  private readonly pairs: Pair[] = [];

  push(rank: number, place: number, join: number): void {
    const { pairs } = this;
    pairs.push({ rank, place, join });
    for (let i = pairs.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!isBefore(pairs[i]!, pairs[parent]!)) break;
      [pairs[i], pairs[parent]] = [pairs[parent]!, pairs[i]!];
      i = parent;
    }
  }

  pop(): Pair | undefined {
    const { pairs } = this;
    const top = pairs[0];
    const last = pairs.pop();
    if (!last || pairs.length === 0) return top;
    pairs[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < pairs.length && isBefore(pairs[child]!, pairs[least]!)) least = child;
      if (least === i) return top;
      [pairs[i], pairs[least]] = [pairs[least]!, pairs[i]!];
      i = least;
    }
  }
}

const isBefore = (a: Pair, b: Pair): boolean => a.rank < b.rank || (a.rank === b.rank && a.place < b.place);
