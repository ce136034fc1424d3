// public: Bm25Settings, Bm25Share, Bm25Store
// internal: tfIdf
import {
  type ChangeOptions,
  type Hit,
  type Passage,
  type Principal,
  type Store,
  type StoreQuery,
  TesseraError,
} from "@tessera/core";
import {
  type Asked,
  askedIn,
  formsOf,
  type Language,
  languagesOfTexts,
  pieceWeight,
  type Vocabulary,
  WordReader,
  wordsRevision,
} from "@tessera/text";
import { z } from "zod";
import { indexedText } from "./indexed-text.js";
import { assertTop, type LoadSettings, PassageTable, passagesAsJson, type SaveSettings } from "./passage-table.js";
import { merge, OpenSegment, type QueryTerm, type Segment, saturation, searchSegment, segmentOf } from "./postings.js";
import { alignedBuffer, bytesOf, readSnapshot, writeSnapshot } from "./snapshot.js";
import { enlarged, Terms } from "./terms.js";
import { TopHeap } from "./top-heap.js";

/** The parameters of BM25: k1 bounds what a repeated word adds, b weighs the length of a passage. */
export interface Bm25Settings {
  /**
   * How fast repeated occurrences of a word stop to add to the score; 1.2 by default. With Infinity they never stop.
   */
  readonly k1?: number;
  /** How much the length of a passage lowers its score, from 0 to 1; 0.75 by default. */
  readonly b?: number;
  /** The language of the questions. By default it is guessed from their words, or else from the passages. */
  readonly language?: Language | undefined;
  /** Whether other forms of a word are found too; true by default. */
  readonly forms?: boolean;
}

/** What one word adds to the score of a passage. */
export interface Bm25Share {
  /** As the index holds it: folded, or another form of the word that was asked. */
  readonly word: string;
  /** How many passages hold it. */
  readonly passages: number;
  /** How often it stands in this one; 0 where it does not. */
  readonly times: number;
  /** Its idf, times how often and in which form it was asked. */
  readonly weight: number;
  /** What it adds. The scores of all words of the query sum to the score that `search` gives. */
  readonly score: number;
}

/**
 * TF-IDF, which is BM25 where more of the same word never stops to count: score(q, d) = Σ idf(t) · qf · tf · average / |d|
 * (Salton and Buckley 1988, with the idf of `referenceBm25`).
 */
export const tfIdf: Bm25Settings = { k1: Number.POSITIVE_INFINITY, b: 1 };

const format = { format: "tessera.bm25", version: 2 } as const;
// JSON has no infinity
const endless = z.null().transform(() => Number.POSITIVE_INFINITY);
const header = z.object({
  k1: z.union([z.number(), endless]),
  b: z.number(),
  language: z.custom<Language>((value) => typeof value === "string").optional(),
  forms: z.boolean(),
  words: z.literal(wordsRevision),
  revision: z.string(),
});
const tailLimit = 1 << 20; // entries

/**
 * Full-text search by BM25 (or `tfIdf`) over the title and the text of passages. Identifiers are found as a whole and
 * by their parts. The formula is that of `referenceBm25`, and the ranks are equal. Memory: 6 bytes for each different
 * word of each passage, and the passages themselves. New passages go into an open segment, which the next search
 * closes. A segment is merged with its older neighbour when it is at least as large, so that each entry moves O(log n)
 * times.
 */
export class Bm25Store implements Store {
  readonly #k1: number;
  readonly #b: number;
  readonly #language: Language | undefined;
  readonly #forms: boolean;
  #table = new PassageTable("store.bm25");
  #terms = new Terms();
  #segments: Segment[] = [];
  #tail = new OpenSegment(0);
  #holders = new Int32Array(512); // by term: how many passages hold it
  #lengths = new Int32Array(256); // by slot, in words
  #total = 0; // of the lengths
  readonly #reader = new WordReader();
  #languages: { readonly revision: string; readonly list: readonly Language[] } | undefined; // of the passages

  /** @throws TesseraError BAD_ARGUMENT */
  constructor({ k1 = 1.2, b = 0.75, language, forms = true }: Bm25Settings = {}) {
    if (!(k1 >= 0) || !(b >= 0 && b <= 1))
      throw new TesseraError("BAD_ARGUMENT", `k1 = ${k1}, b = ${b}`, { hint: "k1 is at least 0, b from 0 to 1" });
    this.#k1 = k1;
    this.#b = b;
    this.#language = language;
    this.#forms = forms;
  }

  get revision(): string {
    return this.#table.revision;
  }

  /** How many passages it holds. */
  get size(): number {
    return this.#table.size;
  }

  async search({ text = "", top, filter, principal }: StoreQuery, signal?: AbortSignal): Promise<Hit[]> {
    this.#table.assertOpen();
    signal?.throwIfAborted();
    assertTop(top);
    this.#settle();
    const best = new TopHeap(top, this.#table.idAt);
    const scoring = { lengths: this.#lengths, average: this.#total / this.size, k1: this.#k1, b: this.#b };
    const query = this.#query(text);
    const admission = this.#table.admission(filter, principal);
    for (const segment of this.#segments) searchSegment(segment, query, scoring, best, admission);
    return this.#table.hits(best.ranked());
  }

  /**
   * What each word of a query adds to the scores of passages, in the order of the ids, largest first. Nothing for an id that
   * is unknown or that the principal may not see.
   */
  explain(text: string, ids: readonly string[], principal?: Principal): Bm25Share[][] {
    this.#table.assertOpen();
    const query = this.#query(text);
    const scoring = { average: this.#total / this.size, k1: this.#k1, b: this.#b };
    return this.#table.get(ids, principal).map((passage) => {
      if (!passage) return [];
      const count = this.#reader.read(indexedText(passage));
      const { codes, ends } = this.#reader;
      const held = new Map<number, number>();
      for (let i = 0; i < count; i++) {
        const term = this.#terms.find(codes, i === 0 ? 0 : ends[i - 1]!, ends[i]!);
        held.set(term, (held.get(term) ?? 0) + 1);
      }
      return query
        .map(({ term, weight }) => {
          const times = held.get(term) ?? 0;
          const score = times === 0 ? 0 : weight * saturation(times, count, scoring);
          return { word: this.#terms.word(term), passages: this.#holders[term]!, times, weight, score };
        })
        .sort((a, b) => b.score - a.score || b.weight - a.weight);
    });
  }

  async get(ids: readonly string[], principal?: Principal): Promise<(Passage | undefined)[]> {
    return this.#table.get(ids, principal);
  }

  /** @throws TesseraError BAD_ARGUMENT, CLOSED */
  async upsert(passages: readonly Passage[], _?: readonly Float32Array[], how?: ChangeOptions): Promise<void> {
    this.#table.assertOpen();
    const change = passagesAsJson(passages);
    if (passages.length === 0 || this.#table.isMade(how)) return;
    for (const passage of passages) {
      this.#remove(passage.id);
      this.#add(passage);
    }
    this.#table.note(change, how);
    this.#tidy();
  }

  async delete(ids: readonly string[], how?: ChangeOptions): Promise<void> {
    this.#table.assertOpen();
    if (this.#table.isMade(how)) return;
    const removed = ids.filter((id) => this.#remove(id));
    this.#table.note(removed.length > 0 ? ["delete", ...removed] : [], how);
    this.#tidy();
  }

  /** @throws TesseraError CLOSED */
  async check(): Promise<void> {
    this.#table.assertOpen();
  }

  async close(): Promise<void> {
    this.#table.close();
  }

  /**
   * Writes the index into a folder, and replaces what was saved there.
   * @throws TesseraError STORE_FAILED
   */
  async save(folder: string, { passages = "all" }: SaveSettings = {}): Promise<void> {
    this.#table.assertOpen();
    this.#settle();
    while (this.#segments.length > 1) this.#mergeLast();
    const { offsets, slots, frequencies } = this.#segments[0] ?? new OpenSegment(0).toSegment(0, this.#lengths);
    const { codes, ends } = this.#terms.arrays();
    const head = {
      k1: Number.isFinite(this.#k1) ? this.#k1 : null,
      b: this.#b,
      ...(this.#language && { language: this.#language }),
      forms: this.#forms,
      words: wordsRevision,
      revision: this.revision,
    };
    await writeSnapshot(
      folder,
      { ...format, header: head },
      {
        ...this.#table.toFiles(passages),
        keys: this.#table.keyLines(),
        codes: bytesOf(codes),
        ends: bytesOf(ends),
        holders: bytesOf(this.#holders.subarray(0, this.#terms.size)),
        lengths: bytesOf(this.#lengths.subarray(0, this.#table.end)),
        offsets: bytesOf(offsets),
        slots: bytesOf(slots),
        frequencies: bytesOf(frequencies),
      },
    );
  }

  /** @throws TesseraError INDEX_MISSING, INDEX_CORRUPT, STORE_FAILED */
  static async load(folder: string, { passages }: LoadSettings = {}): Promise<Bm25Store> {
    const { header: head, files } = await readSnapshot(folder, { ...format, header });
    const buffer = (name: string) => alignedBuffer(files[name]?.bytes ?? Buffer.alloc(0));
    const store = new Bm25Store(head);
    store.#table = PassageTable.fromFiles("store.bm25", head.revision, files, passages);
    store.#table.readKeys(files.keys?.bytes);
    store.#terms = Terms.from(new Uint16Array(buffer("codes")), new Int32Array(buffer("ends")));
    store.#lengths = new Int32Array(buffer("lengths"));
    const offsets = new Int32Array(buffer("offsets"));
    const [slots, frequencies] = [new Int32Array(buffer("slots")), new Uint16Array(buffer("frequencies"))];
    const { end } = store.#table;
    if (store.#lengths.length !== end || offsets.at(-1) !== slots.length || slots.length !== frequencies.length)
      throw new TesseraError("INDEX_CORRUPT", "the parts of the index do not fit", {
        path: folder,
        hint: "index again",
      });
    if (end > 0) store.#segments = [segmentOf(0, end, offsets, slots, frequencies, store.#lengths)];
    store.#tail = new OpenSegment(end);
    store.#holders = new Int32Array(buffer("holders"));
    for (let slot = 0; slot < end; slot++) if (store.#table.at(slot)) store.#total += store.#lengths[slot]!;
    return store;
  }

  /** The words of a query and their forms, each with what it weighs; see `referenceBm25`. */
  #query(text: string): QueryTerm[] {
    const weights = new Map<number, number>();
    const vocabulary = this.#vocabulary();
    const { languages, words } = this.#asked(text);
    for (const [word, { times, content, piece }] of words) {
      const own = this.#terms.of(word);
      const forms =
        this.#forms && content
          ? [...formsOf(word, languages, vocabulary)].map(([form, weight]) => ({ term: this.#terms.of(form), weight }))
          : own >= 0
            ? [{ term: own, weight: 1 }]
            : [];
      const idfs = forms.map(({ term }) => this.#idf(term));
      const most = own >= 0 && this.#holders[own]! > 0 ? this.#idf(own) : Math.min(...idfs);
      for (const [index, { term, weight }] of forms.entries())
        weights.set(
          term,
          (weights.get(term) ?? 0) + Math.min(idfs[index]!, most) * times * weight * (piece ? pieceWeight : 1),
        );
    }
    return [...weights].map(([term, weight]) => ({ term, weight }));
  }

  #idf(term: number): number {
    const df = this.#holders[term]!;
    return Math.log(1 + (this.size - df + 0.5) / (df + 0.5));
  }

  #asked(text: string): Asked {
    if (this.#language) return askedIn(text, [], this.#language);
    if (this.#languages?.revision !== this.revision) {
      const list = languagesOfTexts((word) => this.#holders[this.#terms.of(word)] ?? 0);
      this.#languages = { revision: this.revision, list };
    }
    return askedIn(text, this.#languages.list);
  }

  /** The words that a passage holds now. */
  #vocabulary(): Vocabulary {
    const held = (terms: readonly number[]) =>
      terms.filter((term) => this.#holders[term]! > 0).map((term) => this.#terms.word(term));
    return {
      has: (word) => (this.#holders[this.#terms.of(word)] ?? 0) > 0,
      beginning: (letters) => held(this.#terms.beginning(letters)),
      holding: (letters) => held(this.#terms.holding(letters)),
    };
  }

  #add(passage: Passage): void {
    const slot = this.#table.put(passage);
    const count = this.#reader.read(indexedText(passage));
    const { codes, ends } = this.#reader;
    for (let i = 0; i < count; i++) {
      const term = this.#terms.add(codes, i === 0 ? 0 : ends[i - 1]!, ends[i]!);
      if (!this.#tail.add(term)) continue;
      if (term >= this.#holders.length) this.#holders = enlarged(this.#holders, term + 1);
      this.#holders[term]!++;
    }
    this.#tail.closeDocument();
    if (slot >= this.#lengths.length) this.#lengths = enlarged(this.#lengths, slot + 1);
    this.#lengths[slot] = count;
    this.#total += count;
    if (this.#tail.size >= tailLimit) this.#settle();
  }

  #remove(id: string): boolean {
    const slot = this.#table.slotOf(id);
    if (slot === undefined) return false;
    const count = this.#reader.read(indexedText(this.#table.at(slot)!));
    const { codes, ends } = this.#reader;
    const held = new Set<number>();
    for (let i = 0; i < count; i++) held.add(this.#terms.find(codes, i === 0 ? 0 : ends[i - 1]!, ends[i]!));
    for (const term of held) this.#holders[term]!--;
    this.#total -= this.#lengths[slot]!;
    this.#table.clear(slot);
    return true;
  }

  /** Turns the tail into a segment. */
  #settle(): void {
    if (this.#tail.documents === 0) return;
    this.#segments.push(this.#tail.toSegment(this.#terms.size, this.#lengths));
    this.#tail = new OpenSegment(this.#table.end);
    while (
      this.#segments.length > 1 &&
      this.#segments.at(-2)!.slots.length <= Math.max(1024, this.#segments.at(-1)!.slots.length)
    )
      this.#mergeLast();
  }

  #mergeLast(): void {
    const [left, right] = this.#segments.splice(-2) as [Segment, Segment];
    this.#segments.push(merge(left, right, this.#lengths, (slot) => this.#table.at(slot) !== undefined));
  }

  /** Indexes again what is left where most slots are empty; words that nobody holds go too. */
  #tidy(): void {
    if (this.#table.end < 1024 || this.#table.end < 2 * this.size) return;
    const before = this.#table;
    this.#table = new PassageTable(before.store, before.revision);
    this.#table.takeKeys(before);
    this.#terms = new Terms();
    this.#segments = [];
    this.#tail = new OpenSegment(0);
    this.#holders = new Int32Array(512);
    this.#lengths = new Int32Array(256);
    this.#total = 0;
    for (let slot = 0; slot < before.end; slot++) {
      const passage = before.at(slot);
      if (passage) this.#add(passage);
    }
  }
}
