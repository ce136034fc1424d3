/** What of a tokenizer.json's model byte-pair encoding needs. */
interface Merges {
  readonly vocab: Readonly<Record<string, number>>;
  /** Pairs that become one token, the first ones before the others. */
  readonly merges: readonly (string | readonly [string, string])[];
}

const most = 2 ** 20; // of ids and of merges

/**
 * Byte-pair encoding of a short text: of its adjacent pairs the one of the lowest rank, the leftmost of equal ones, becomes
 * one token, until no pair has a rank (Sennrich et al. 2016, over bytes). A text of n bytes takes O(n²).
 */
export class BytePairs {
  private constructor(
    private readonly single: Int32Array,
    /** By left · 2²⁰ + right: rank · 2²⁰ + the id of the pair. */
    private readonly joins: ReadonlyMap<number, number>,
  ) {}

  /**
   * Undefined where a byte or the result of a merge is no token, or there are too many. In parts of `perPart` merges.
   * @param alphabet The byte that each character of a token stands for.
   */
  static *of(
    { vocab, merges }: Merges,
    alphabet: ReadonlyMap<string, number>,
    perPart: number,
  ): Generator<void, BytePairs | undefined> {
    const single = new Int32Array(256);
    for (const [character, byte] of alphabet) {
      const id = vocab[character];
      if (id === undefined) return undefined;
      single[byte] = id;
    }
    const joins = new Map<number, number>();
    for (const [rank, merge] of merges.entries()) {
      if (rank % perPart === 0) yield;
      const [left, right] = typeof merge === "string" ? merge.split(" ") : merge;
      const ids = [vocab[left!], vocab[right!], vocab[`${left}${right}`]];
      if (ids.some((id) => id === undefined || id >= most) || rank >= most) return undefined;
      const key = ids[0]! * most + ids[1]!;
      if (!joins.has(key)) joins.set(key, rank * most + ids[2]!);
    }
    return new BytePairs(single, joins);
  }

  encode(bytes: Uint8Array): number[] {
    return joinPairs(
      Array.from(bytes, (byte) => this.single[byte]!),
      this.joins,
      most,
    );
  }
}

/**
 * Joins pairs of ids in place: the one of the lowest rank first, the leftmost of equal ones, until no pair has a rank.
 * @param joins By left · most + right: rank · most + the id of the pair.
 */
export function joinPairs(ids: number[], joins: ReadonlyMap<number, number>, most: number): number[] {
  for (;;) {
    let best = Number.POSITIVE_INFINITY;
    let place = -1;
    for (let i = 1; i < ids.length; i++) {
      const join = joins.get(ids[i - 1]! * most + ids[i]!);
      if (join !== undefined && join < best) {
        best = join;
        place = i;
      }
    }
    if (place < 0) return ids;
    ids.splice(place - 1, 2, best % most);
  }
}
