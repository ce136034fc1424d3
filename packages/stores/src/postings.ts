import type { Admission } from "./passage-table.js";
import { enlarged } from "./terms.js";
import type { TopHeap } from "./top-heap.js";

/** Inverted lists of the slots `from` to `end`: for each term the slots that hold it, rising, and how often. */
export interface Segment {
  readonly from: number;
  readonly end: number;
  /** The list of term t is at `offsets[t]` to `offsets[t + 1]`; terms beyond came later and have none. */
  readonly offsets: Int32Array;
  readonly slots: Int32Array;
  readonly frequencies: Uint16Array;
  /** By term: the most frequent use and the shortest length in its list, which bound every score of the list. */
  readonly most: Uint16Array;
  readonly shortest: Int32Array;
}

/** What a query asks of a term: its number, and idf · occurrences in the query. */
export interface QueryTerm {
  readonly term: number;
  readonly weight: number;
}

/** Lengths by slot in words, and what BM25 needs besides. */
export interface Scoring {
  readonly lengths: Int32Array;
  readonly average: number;
  readonly k1: number;
  readonly b: number;
}

/**
 * The part of BM25 that depends on the document: tf (k1 + 1) / (tf + k1 (1 − b + b · length / average)); without an end
 * to k1 its limit, tf / (1 − b + b · length / average).
 */
export const saturation = (frequency: number, length: number, { average, k1, b }: Omit<Scoring, "lengths">): number =>
  k1 === Number.POSITIVE_INFINITY
    ? frequency / (1 - b + (b * length) / average)
    : (frequency * (k1 + 1)) / (frequency + k1 * (1 - b + (b * length) / average));

const mostFrequency = 65535;

/** The terms of documents as they come, slot by slot, until they become a segment. */
export class OpenSegment {
  #terms = new Int32Array(4096);
  #frequencies = new Uint16Array(4096);
  #ends = new Int32Array(256); // by document
  #place = new Int32Array(4096); // by term: where the current document has it
  size = 0;
  documents = 0;

  constructor(readonly from: number) {}

  /** Adds an occurrence to the open document, and returns whether it is the document's first of that term. */
  add(term: number): boolean {
    if (term >= this.#place.length) this.#place = enlarged(this.#place, term + 1);
    const start = this.documents === 0 ? 0 : this.#ends[this.documents - 1]!;
    const place = this.#place[term]!;
    if (place >= start && place < this.size && this.#terms[place] === term) {
      if (this.#frequencies[place]! < mostFrequency) this.#frequencies[place]!++;
      return false;
    }
    if (this.size === this.#terms.length) {
      this.#terms = enlarged(this.#terms, this.size + 1);
      this.#frequencies = enlarged(this.#frequencies, this.size + 1);
    }
    this.#terms[this.size] = term;
    this.#frequencies[this.size] = 1;
    this.#place[term] = this.size++;
    return true;
  }

  closeDocument(): void {
    if (this.documents === this.#ends.length) this.#ends = enlarged(this.#ends, this.documents + 1);
    this.#ends[this.documents++] = this.size;
  }

  /** A counting sort by term. */
  toSegment(terms: number, lengths: Int32Array): Segment {
    const offsets = new Int32Array(terms + 1);
    for (let i = 0; i < this.size; i++) offsets[this.#terms[i]! + 1]!++;
    for (let term = 0; term < terms; term++) offsets[term + 1]! += offsets[term]!;
    const next = offsets.slice();
    const slots = new Int32Array(this.size);
    const frequencies = new Uint16Array(this.size);
    for (let document = 0, i = 0; document < this.documents; document++) {
      for (const end = this.#ends[document]!; i < end; i++) {
        const place = next[this.#terms[i]!]!++;
        slots[place] = this.from + document;
        frequencies[place] = this.#frequencies[i]!;
      }
    }
    return bounded({ from: this.from, end: this.from + this.documents, offsets, slots, frequencies }, lengths);
  }
}

function bounded(lists: Omit<Segment, "most" | "shortest">, lengths: Int32Array): Segment {
  const { offsets, slots, frequencies } = lists;
  const most = new Uint16Array(offsets.length - 1);
  const shortest = new Int32Array(offsets.length - 1);
  for (let term = 0; term < most.length; term++) {
    let frequency = 0;
    let length = 2147483647;
    for (let i = offsets[term]!; i < offsets[term + 1]!; i++) {
      if (frequencies[i]! > frequency) frequency = frequencies[i]!;
      if (lengths[slots[i]!]! < length) length = lengths[slots[i]!]!;
    }
    most[term] = frequency;
    shortest[term] = length;
  }
  return { ...lists, most, shortest };
}

/** Two neighbours as one segment, without the slots that are empty by now. */
export function merge(left: Segment, right: Segment, lengths: Int32Array, alive: (slot: number) => boolean): Segment {
  const terms = Math.max(left.offsets.length, right.offsets.length) - 1;
  const offsets = new Int32Array(terms + 1);
  const slots = new Int32Array(left.slots.length + right.slots.length);
  const frequencies = new Uint16Array(slots.length);
  let size = 0;
  for (let term = 0; term < terms; term++) {
    for (const part of [left, right]) {
      if (term >= part.most.length) continue;
      for (let i = part.offsets[term]!; i < part.offsets[term + 1]!; i++) {
        if (!alive(part.slots[i]!)) continue;
        slots[size] = part.slots[i]!;
        frequencies[size++] = part.frequencies[i]!;
      }
    }
    offsets[term + 1] = size;
  }
  const lists = { from: left.from, end: right.end, offsets };
  if (size === slots.length) return bounded({ ...lists, slots, frequencies }, lengths);
  return bounded({ ...lists, slots: slots.slice(0, size), frequencies: frequencies.slice(0, size) }, lengths);
}

export const segmentOf = (
  from: number,
  end: number,
  offsets: Int32Array,
  slots: Int32Array,
  frequencies: Uint16Array,
  lengths: Int32Array,
): Segment => bounded({ from, end, offsets, slots, frequencies }, lengths);

/** A query's term in a segment: where the slots that hold it stand, of those not yet passed. */
interface List {
  readonly weight: number;
  begin: number;
  readonly end: number;
}

/** Scores the given slots of a segment one by one, looking each up in the lists: for queries that few are admitted to. */
function searchSlots(
  { from, end, slots, frequencies }: Segment,
  lists: readonly List[],
  scoring: Scoring,
  best: TopHeap,
  admitted: Int32Array,
): void {
  for (const slot of admitted) {
    if (slot < from) continue;
    if (slot >= end) return;
    let score = 0; // in the order of the query, as the reference adds
    let held = false;
    for (const list of lists) {
      const at = reached(slots, list, slot);
      list.begin = at;
      if (at === list.end || slots[at] !== slot) continue;
      score += list.weight * saturation(frequencies[at]!, scoring.lengths[slot]!, scoring);
      held = true;
    }
    if (held) best.offer(slot, score);
  }
}

/** Where a list has reached a slot: looked for in steps that double, then between the last two. */
function reached(slots: Int32Array, { begin, end }: List, slot: number): number {
  let step = 1;
  let low = begin;
  while (low < end && slots[low]! < slot) {
    begin = low + 1;
    low += step;
    step *= 2;
  }
  let high = Math.min(low, end);
  while (begin < high) {
    const middle = (begin + high) >> 1;
    if (slots[middle]! < slot) begin = middle + 1;
    else high = middle;
  }
  return begin;
}

const windowSize = 4096; // slots; its sums stay in the nearest cache
const sums = new Float64Array(windowSize);
const touched = new Int32Array(windowSize);
const slack = 1 - 1e-9; // sums in another order may differ in their last digits

/**
 * Offers the best documents of a segment. Exact: MaxScore (Turtle and Flood 1995) over windows of slots. Terms whose
 * bounds together cannot reach the threshold are not read through, only looked up for documents that others brought.
 */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: the two loops over a window are the hot path of every search and share a dozen numbers
export function searchSegment(
  segment: Segment,
  query: readonly QueryTerm[],
  scoring: Scoring,
  best: TopHeap,
  { admits, slots: admitted }: Admission,
): void {
  const { offsets, slots, frequencies } = segment;
  const { lengths, average, k1, b } = scoring;
  const lists = query
    .filter(({ term }) => term < segment.most.length && offsets[term]! < offsets[term + 1]!)
    .map(({ term, weight }) => ({
      weight,
      bound: weight * saturation(segment.most[term]!, segment.shortest[term]!, scoring),
      begin: offsets[term]!, // of what this window and later ones hold, at the latest
      next: 0,
      end: offsets[term + 1]!,
    }));
  if (admitted && admitted.length < lists.reduce((sum, { begin, end }) => sum + end - begin, 0))
    return searchSlots(segment, lists, scoring, best, admitted);
  const rising = [...lists].sort((x, y) => x.bound - y.bound);
  const reach = [0]; // reach[n]: what the n weakest terms can bring at most
  for (const { bound } of rising) reach.push(reach.at(-1)! + bound);
  const endless = k1 === Number.POSITIVE_INFINITY;
  const flat = endless ? 1 - b : k1 * (1 - b);
  const slope = (endless ? b : k1 * b) / average;
  const own = endless ? 0 : 1; // how far more of a word stops to count

  const frequencyIn = (list: { begin: number; end: number }, slot: number): number => {
    let low = list.begin;
    let high = list.end;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (slots[middle]! < slot) low = middle + 1;
      else high = middle;
    }
    return low < list.end && slots[low] === slot ? frequencies[low]! : 0;
  };
  const contribution = (weight: number, frequency: number, slot: number): number =>
    frequency === 0 ? 0 : weight * saturation(frequency, lengths[slot]!, scoring);

  let optional = 0; // the weakest terms that alone cannot reach the threshold
  for (let base = segment.from; base < segment.end; base += windowSize) {
    let threshold = best.threshold * slack;
    while (optional < rising.length && reach[optional + 1]! < threshold) optional++;
    if (optional === rising.length) return;

    const first = optional;
    const limit = base + windowSize;
    let count = 0;
    for (let n = first; n < rising.length; n++) {
      const list = rising[n]!;
      const scale = endless ? list.weight : list.weight * (k1 + 1);
      let i = list.begin;
      for (; i < list.end && slots[i]! < limit; i++) {
        const slot = slots[i]!;
        const frequency = frequencies[i]!;
        const at = slot - base;
        if (sums[at] === 0) touched[count++] = at;
        sums[at]! += (scale * frequency) / (own * frequency + flat + slope * lengths[slot]!);
      }
      list.next = i;
    }

    for (let c = 0; c < count; c++) {
      const at = touched[c]!;
      const slot = base + at;
      let sum = sums[at]!;
      sums[at] = 0;
      let n = first;
      while (n > 0 && sum + reach[n]! >= threshold) {
        const list = rising[--n]!;
        sum += contribution(list.weight, frequencyIn(list, slot), slot);
      }
      if (n > 0 || sum < threshold || !admits(slot)) continue;
      let score = 0; // in the order of the query, as the reference adds
      for (const list of lists) score += contribution(list.weight, frequencyIn(list, slot), slot);
      best.offer(slot, score);
      threshold = best.threshold * slack;
    }
    for (let n = first; n < rising.length; n++) rising[n]!.begin = rising[n]!.next;
  }
}
