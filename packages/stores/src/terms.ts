import { beginningOf, folded } from "@tessera/text";

/** A copy of a typed array with at least twice its length. */
export const enlarged = <T extends Int32Array | Uint16Array>(array: T, room: number): T => {
  const larger = new (array.constructor as new (length: number) => T)(Math.max(room, 2 * array.length));
  larger.set(array);
  return larger;
};

/** Numbers words from 0 in the order in which they first come: a hash table over typed arrays, without a string a word. */
export class Terms {
  #codes: Uint16Array; // the terms' UTF-16 code units, one after another
  #ends: Int32Array; // by term
  #hashes: Int32Array; // by term
  #table = new Int32Array(1024).fill(-1); // the terms, by hash; open addressing
  readonly #beginnings = new Map<string, number[]>();
  #begun = 0; // how many terms stand in it
  size = 0;

  constructor(codes = new Uint16Array(4096), ends = new Int32Array(512)) {
    this.#codes = codes;
    this.#ends = ends;
    this.#hashes = new Int32Array(ends.length);
  }

  #hash(codes: Uint16Array, from: number, to: number): number {
    let hash = -2128831035; // FNV-1a
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ codes[i]!, 16777619);
    return hash ^ (hash >>> 15);
  }

  #place(hash: number, codes: Uint16Array, from: number, to: number): number {
    const mask = this.#table.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const term = this.#table[place]!;
      if (term < 0) return place;
      if (this.#hashes[term] !== hash) continue;
      let at = term === 0 ? 0 : this.#ends[term - 1]!;
      if (this.#ends[term]! - at !== to - from) continue;
      let i = from;
      while (i < to && this.#codes[at] === codes[i]) {
        i++;
        at++;
      }
      if (i === to) return place;
    }
  }

  /** The number of the word at `codes[from..to)`, or -1. */
  find(codes: Uint16Array, from: number, to: number): number {
    return this.#table[this.#place(this.#hash(codes, from, to), codes, from, to)]!;
  }

  /** The number of a word, which is new where it was not seen before. */
  add(codes: Uint16Array, from: number, to: number): number {
    const hash = this.#hash(codes, from, to);
    const place = this.#place(hash, codes, from, to);
    const found = this.#table[place]!;
    if (found >= 0) return found;
    const term = this.size++;
    const start = term === 0 ? 0 : this.#ends[term - 1]!;
    if (start + to - from > this.#codes.length) this.#codes = enlarged(this.#codes, start + to - from);
    if (term >= this.#ends.length) {
      this.#ends = enlarged(this.#ends, term + 1);
      this.#hashes = enlarged(this.#hashes, term + 1);
    }
    for (let i = from; i < to; i++) this.#codes[start + i - from] = codes[i]!;
    this.#ends[term] = start + to - from;
    this.#hashes[term] = hash;
    this.#table[place] = term;
    if (2 * this.size > this.#table.length) this.#rehash(2 * this.#table.length);
    return term;
  }

  #rehash(room: number): void {
    this.#table = new Int32Array(room).fill(-1);
    const mask = room - 1;
    for (let term = 0; term < this.size; term++) {
      let place = this.#hashes[term]! & mask;
      while (this.#table[place]! >= 0) place = (place + 1) & mask;
      this.#table[place] = term;
    }
  }

  /** The word of a term. */
  word(term: number): string {
    return String.fromCharCode(...this.#codes.subarray(term === 0 ? 0 : this.#ends[term - 1]!, this.#ends[term]!));
  }

  /** The number of a word, or -1. */
  of(word: string): number {
    const codes = new Uint16Array(word.length);
    for (let i = 0; i < word.length; i++) codes[i] = word.charCodeAt(i);
    return this.find(codes, 0, word.length);
  }

  /** The terms whose words begin as `beginningOf` says. */
  beginning(letters: string): readonly number[] {
    for (; this.#begun < this.size; this.#begun++) {
      const start = beginningOf(this.word(this.#begun));
      const known = this.#beginnings.get(start);
      if (known) known.push(this.#begun);
      else this.#beginnings.set(start, [this.#begun]);
    }
    return this.#beginnings.get(letters) ?? [];
  }

  /** The terms whose words hold some folded letters, and more than these. */
  holding(letters: string): number[] {
    const wanted = Array.from({ length: letters.length }, (_, index) => letters.charCodeAt(index));
    const found: number[] = [];
    for (let term = 0, from = 0; term < this.size; from = this.#ends[term++]!) {
      const last = this.#ends[term]! - wanted.length;
      let plain = true; // as far as it was read
      let held = false;
      for (let at = from; at <= last && !held; at++) {
        if (this.#codes[at]! > 127) plain = false;
        let i = 0;
        while (i < wanted.length && this.#codes[at + i] === wanted[i]) i++;
        held = i === wanted.length;
      }
      if (held ? this.#ends[term]! - from > wanted.length : !plain && this.#holdsFolded(term, letters))
        found.push(term);
    }
    return found;
  }

  #holdsFolded(term: number, letters: string): boolean {
    const plain = folded(this.word(term));
    return plain.length > letters.length && plain.includes(letters);
  }

  /** What `Terms.from` takes. */
  arrays(): { codes: Uint16Array; ends: Int32Array } {
    const ends = this.#ends.subarray(0, this.size);
    return { codes: this.#codes.subarray(0, ends.at(-1) ?? 0), ends };
  }

  static from(codes: Uint16Array<ArrayBuffer>, ends: Int32Array<ArrayBuffer>): Terms {
    const terms = new Terms(codes, ends);
    terms.size = ends.length;
    for (let term = 0; term < ends.length; term++)
      terms.#hashes[term] = terms.#hash(codes, term === 0 ? 0 : ends[term - 1]!, ends[term]!);
    let room = 1024;
    while (room < 2 * ends.length) room *= 2;
    terms.#rehash(room);
    return terms;
  }
}
