import { z } from "zod";
import { addedToken, cutter } from "./added-tokens.js";
import { bertNormalizer, normalizerOf } from "./bert-normalizer.js";
import { classes, classTable } from "./characters.js";
import type { Tokenizer } from "./tokenizer.js";

const isVocabulary = (value: unknown): value is Readonly<Record<string, number>> =>
  typeof value === "object" &&
  value !== null &&
  Object.values(value).every((id) => Number.isSafeInteger(id) && (id as number) >= 0);

const wordPiece = z.looseObject({
  normalizer: bertNormalizer,
  pre_tokenizer: z.looseObject({ type: z.literal("BertPreTokenizer") }),
  model: z.looseObject({
    type: z.literal("WordPiece"),
    vocab: z.custom<Readonly<Record<string, number>>>(isVocabulary, "a vocabulary gives each token its id"),
    unk_token: z.string().default("[UNK]"),
    continuing_subword_prefix: z.string().default("##"),
    max_input_chars_per_word: z.int().positive().default(100),
  }),
  added_tokens: z.array(addedToken).default([]),
});
type WordPieceDocument = z.infer<typeof wordPiece>;

/** Whether a tokenizer.json is of this kind. */
export const isWordPiece = (document: unknown): boolean =>
  (document as { model?: { type?: unknown } } | null)?.model?.type === "WordPiece";

/**
 * BERT's tokenizer from its tokenizer.json: the same ids as the Rust library gives, special tokens not added. An added token
 * that a text spells becomes that token, as there.
 * @throws ZodError where the document is not of this kind, or has another normalizer
 */
export function parseWordPiece(raw: unknown): Tokenizer {
  const document = wordPiece.parse(raw);
  if (document.model.vocab[document.model.unk_token] === undefined)
    throw new Error(`the vocabulary has no ${document.model.unk_token}`);
  return new WordPieces(document);
}

/** Words that are remembered; then all are forgotten, which bounds the memory of hostile text. */
const mostRemembered = 50_000;

/** UTF-16 units that are normalised at once, so that the end of a long text is not read where it is cut anyway. */
const unitsAtOnce = 4096;

class WordPieces implements Tokenizer {
  readonly vocabulary: number;
  private readonly ids: ReadonlyMap<string, number>;
  private readonly tokens: string[] = [];
  /** UTF-16 units of the longest token, which has no more characters. */
  private readonly longest: number;
  private readonly markIds: ReadonlySet<number>;
  private readonly unknown: readonly number[];
  private readonly normalise: (text: string) => string;
  private readonly rawSections: ReturnType<typeof cutter>;
  private readonly normalSections: ReturnType<typeof cutter>;
  private readonly remembered = new Map<string, readonly number[]>();

  constructor(private readonly document: WordPieceDocument) {
    const { model, added_tokens: added, normalizer } = document;
    this.ids = new Map(Object.entries(model.vocab));
    for (const [token, id] of this.ids) this.tokens[id] = token;
    for (const { id, content } of added) this.tokens[id] = content;
    this.vocabulary = this.tokens.length;
    this.longest = [...this.ids.keys()].reduce((most, { length }) => Math.max(most, length), 0);
    this.markIds = new Set(added.map(({ id }) => id));
    this.unknown = [this.ids.get(model.unk_token)!];
    this.normalise = normalizerOf(normalizer);
    this.rawSections = cutter(added.filter(({ normalized }) => !normalized));
    this.normalSections = cutter(
      added.filter(({ normalized }) => normalized),
      ({ content }) => this.normalise(content),
    );
  }

  encode(text: string, most = Number.POSITIVE_INFINITY): Int32Array {
    const ids: number[] = [];
    for (const section of this.rawSections(text.toWellFormed())) {
      if (ids.length >= most) break;
      if (typeof section === "number") ids.push(section);
      else this.encodeSection(section, most, ids);
    }
    return Int32Array.from(ids.length > most ? ids.slice(0, most) : ids);
  }

  bytes(id: number): Uint8Array {
    const token = this.tokens[id];
    if (token === undefined || this.markIds.has(id)) return new Uint8Array();
    const { continuing_subword_prefix: prefix } = this.document.model;
    return Buffer.from(token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`);
  }

  decode(ids: Iterable<number>): string {
    return Buffer.concat(Array.from(ids, (id) => this.bytes(id)))
      .toString("utf8")
      .trimStart();
  }

  private encodeSection(text: string, most: number, ids: number[]): void {
    for (let from = 0; from < text.length && ids.length < most; ) {
      const to = cutBefore(text, from + unitsAtOnce);
      for (const section of this.normalSections(this.normalise(text.slice(from, to))))
        if (typeof section === "number") ids.push(section);
        else for (const word of wordsOf(section)) for (const id of this.pieces(word)) ids.push(id);
      from = to;
    }
  }

  private pieces(word: string): readonly number[] {
    const known = this.remembered.get(word);
    if (known) return known;
    if (this.remembered.size >= mostRemembered) this.remembered.clear();
    const found = this.cut(word);
    this.remembered.set(word, found);
    return found;
  }

  /** The longest token that the rest of the word begins with, again and again; one unknown token where there is none. */
  private cut(word: string): readonly number[] {
    const { continuing_subword_prefix: prefix, max_input_chars_per_word: most } = this.document.model;
    // places where characters begin, and the end
    const places: number[] = [];
    for (let at = 0; at < word.length; at += word.codePointAt(at)! > 0xffff ? 2 : 1) places.push(at);
    if (places.length > most) return this.unknown;
    places.push(word.length);
    const found: number[] = [];
    for (let from = 0; from < places.length - 1; ) {
      const before = from > 0 ? prefix : "";
      let to = Math.min(places.length - 1, from + this.longest);
      let id: number | undefined;
      for (; to > from; to--) {
        id = this.ids.get(before + word.slice(places[from], places[to]));
        if (id !== undefined) break;
      }
      if (id === undefined) return this.unknown;
      found.push(id);
      from = to;
    }
    return found;
  }
}

/** The first blank at or after `place`, so that no word and no run of marks is cut; the text's end where there is none. */
function cutBefore(text: string, place: number): number {
  for (let at = place; at < text.length; at++) if (text[at] === " " || text[at] === "\n") return at;
  return text.length;
}

/** Words and single marks of punctuation, as BertPreTokenizer cuts them. */
function wordsOf(text: string): string[] {
  const table = classTable();
  const words: string[] = [];
  let from = 0;
  for (let at = 0; at < text.length; ) {
    const point = text.codePointAt(at)!;
    const next = at + (point > 0xffff ? 2 : 1);
    const kind = table[point]! & (classes.blank | classes.punctuation);
    if (kind) {
      if (at > from) words.push(text.slice(from, at));
      if (kind & classes.punctuation) words.push(text.slice(at, next));
      from = next;
    }
    at = next;
  }
  if (from < text.length) words.push(text.slice(from));
  return words;
}
