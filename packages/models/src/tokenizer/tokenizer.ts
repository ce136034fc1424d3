// internal: Tokenizer, readTokenizer, tokenizerPath
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setImmediate as pause } from "node:timers/promises";
import type { Tokenizer as Library } from "@huggingface/tokenizers";
import { TesseraError } from "@tessera/core";
import { messageOf, missing } from "@tessera/core/internal";
import { z } from "zod";
import { isGguf, readGguf } from "../formats/gguf.js";
import { bytePairModel, parseBpe } from "./bpe.js";
import { byteLevelAlphabet } from "./byte-level-alphabet.js";
import { BytePairs } from "./byte-pairs.js";
import { ggufTokenizer } from "./gguf-tokenizer.js";
import { UnknownStepError } from "./pieces.js";
import { TokenBytes } from "./token-bytes.js";
import { isWordPiece, parseWordPiece } from "./word-piece.js";

/** Text to token ids and back, by byte-level BPE or by WordPiece. */
export interface Tokenizer {
  /** One more than the largest id. */
  readonly vocabulary: number;
  /**
   * The ids of a text, or its first `most` ids. No marks such as [cls] are added. Lone surrogates count as U+FFFD.
   * With our own tokenizer the time is linear in the text, and with `most` it ends as soon as there are enough.
   */
  encode(text: string, most?: number): Int32Array;
  /** Marks that `encode` does not make of a text that spells them, and `encodeMarked` does; absent where there are none. */
  readonly marks?: readonly string[] | undefined;
  /**
   * As `encode`, and marks that the text spells become their ids, unless `seam` stands within them; every seam is left out.
   * So a prompt's own marks count, and those that a user wrote into it stay text.
   */
  encodeMarked?(text: string, seam: string, most?: number): Int32Array;
  /** The bytes of one token: UTF-8, of which a token may hold a part of a character. Marks have none. */
  bytes(id: number): Uint8Array;
  /** The text of a sequence of tokens; bytes that are not UTF-8 become U+FFFD. */
  decode(ids: Iterable<number>): string;
}

const document = z.looseObject({
  normalizer: z.unknown(),
  pre_tokenizer: z.unknown(),
  model: bytePairModel.extend({
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    dropout: z.number().nullish(),
  }),
  added_tokens: z.array(z.looseObject({ id: z.int().nonnegative(), content: z.string() })).default([]),
});
type Document = z.infer<typeof document>;

/** A pattern that cuts text into pieces, no token crossing a cut: what docs/models/bundle.md says of our tokenizer.json. */
const pieces = z.object({
  type: z.literal("Sequence"),
  pretokenizers: z.tuple([
    z.looseObject({
      type: z.literal("Split"),
      pattern: z.object({ Regex: z.string() }),
      behavior: z.literal("Isolated"),
      invert: z.literal(false),
    }),
    z.looseObject({
      type: z.literal("ByteLevel"),
      add_prefix_space: z.literal(false),
      use_regex: z.literal(false),
    }),
  ]),
});

/** Where a model's tokenizer is: beside its config, or in its GGUF file. */
export const tokenizerPath = (path: string): string => (isGguf(path) ? path : join(path, "tokenizer.json"));

/** The text of a tokenizer.json; of a GGUF file, one that its metadata make. */
async function documentOf(path: string): Promise<string> {
  if (isGguf(path)) return ggufTokenizer(await readGguf(path));
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new TesseraError("BAD_BUNDLE", `the file cannot be read: ${messageOf(cause)}`, { path, cause });
  }
}

/**
 * Reads a tokenizer.json in the usual format, or the tokenizer of a GGUF file.
 * @throws TesseraError BAD_BUNDLE
 */
export async function readTokenizer(path: string): Promise<Tokenizer> {
  const text = await documentOf(path);
  const parts = tokenizerOf(text, path);
  for (;;) {
    const { done, value } = parts.next();
    if (done) return value;
    await pause();
  }
}

/**
 * A tokenizer from the text of its tokenizer.json, in one turn of some tens of milliseconds; `path` is for errors only.
 * @throws TesseraError BAD_BUNDLE
 */
export function parseTokenizer(text: string, path = "tokenizer.json"): Tokenizer {
  const parts = tokenizerOf(text, path);
  for (;;) {
    const { done, value } = parts.next();
    if (done) return value;
  }
}

/** Entries of a vocabulary in one turn of the event loop. */
const entriesPerTurn = 1024;

/** Makes a tokenizer in parts, between which the event loop may turn. */
function* tokenizerOf(text: string, path: string): Generator<void, Tokenizer> {
  const bad = (message: string, cause: unknown): TesseraError =>
    new TesseraError("BAD_BUNDLE", message, { path, cause });
  yield;
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw bad(`the file is not JSON: ${messageOf(cause)}`, cause);
  }
  yield;
  try {
    if (isWordPiece(raw)) return parseWordPiece(raw);
    if (isOfOthers(raw)) return yield* parseBpe(raw);
  } catch (cause) {
    // what has a step that is not computed here is left to the library
    if (!(cause instanceof UnknownStepError))
      throw bad(cause instanceof z.ZodError ? z.prettifyError(cause) : messageOf(cause), cause);
  }
  const parsed = document.safeParse(raw);
  if (!parsed.success) throw bad(z.prettifyError(parsed.error), parsed.error);
  try {
    yield;
    const encode = yield* pieceEncoder(parsed.data, raw as object);
    return new VocabularyTokenizer(encode, yield* bytesOfTokens(parsed.data));
  } catch (cause) {
    if (TesseraError.is(cause)) throw cause;
    throw bad(`the tokenizer cannot be built: ${messageOf(cause)}`, cause);
  }
}

/** Whether a tokenizer is of byte pairs, and not one of our own, which have neither added tokens nor other cuts. */
function isOfOthers(raw: unknown): boolean {
  const { model, added_tokens, normalizer, pre_tokenizer } = (raw ?? {}) as Record<string, unknown>;
  if ((model as { type?: unknown } | undefined)?.type !== "BPE") return false;
  const isPlain = !normalizer && (!Array.isArray(added_tokens) || added_tokens.length === 0);
  return !isPlain || !pieces.safeParse(pre_tokenizer).success;
}

type Encode = (text: string, most: number) => Int32Array;

/** At most this many pieces are remembered; then all are forgotten, which bounds the memory of hostile text. */
const mostRemembered = 50_000;

/** The bytes of the longest piece that `BytePairs` gets; those of our own pattern have 65 at most. */
const longestPiece = 256;

/** The library's tokenizer of a tokenizer.json. @throws TesseraError DEPENDENCY_MISSING */
function libraryOf(raw: object): Library {
  const name = "@huggingface/tokenizers";
  let library: typeof import("@huggingface/tokenizers");
  try {
    library = createRequire(import.meta.url)(name);
  } catch (cause) {
    return missing(name)(cause);
  }
  return new library.Tokenizer(raw, {});
}

/**
 * Encodes piece by piece and remembers each piece's ids. Where a tokenizer does not cut text this way, or does more than
 * to merge bytes, the library gets the whole of it.
 */
function* pieceEncoder(tokenizer: Document, raw: object): Generator<void, Encode> {
  let library: Library | undefined;
  const whole = (text: string): number[] => {
    library ??= libraryOf(raw);
    return library.encode(text, { add_special_tokens: false }).ids;
  };
  const cut = pieces.safeParse(tokenizer.pre_tokenizer);
  if (!cut.success || tokenizer.normalizer || tokenizer.added_tokens.length > 0) {
    library = libraryOf(raw);
    return (text, most) => Int32Array.from(whole(text).slice(0, most));
  }
  const { continuing_subword_prefix, end_of_word_suffix, dropout, ignore_merges } = tokenizer.model;
  const more = continuing_subword_prefix || end_of_word_suffix || dropout || ignore_merges;
  const pairs = more ? undefined : yield* BytePairs.of(tokenizer.model, byteLevelAlphabet(), entriesPerTurn);
  const encoded = (piece: string): readonly number[] => {
    const bytes = Buffer.from(piece);
    return pairs && bytes.length <= longestPiece ? pairs.encode(bytes) : whole(piece);
  };
  const pattern = new RegExp(cut.data.pretokenizers[0].pattern.Regex, "gu");
  const remembered = new Map<string, readonly number[]>();
  return (text, most) => {
    const ids: number[] = [];
    for (const [piece] of text.matchAll(pattern)) {
      if (ids.length >= most) break;
      let found = remembered.get(piece);
      if (!found) {
        if (remembered.size >= mostRemembered) remembered.clear();
        found = encoded(piece);
        remembered.set(piece, found);
      }
      for (const id of found) ids.push(id);
    }
    return Int32Array.from(ids.length > most ? ids.slice(0, most) : ids);
  };
}

/** The bytes of every token by its id; marks have none. */
function* bytesOfTokens({ model, added_tokens }: Document): Generator<void, Uint8Array[]> {
  const tokens: Uint8Array[] = [];
  const marks = new Set(added_tokens.map(({ id }) => id));
  const made = new Set<string>();
  for (const [i, pair] of model.merges.entries()) {
    if (i % entriesPerTurn === 0) yield;
    made.add(typeof pair === "string" ? pair.replace(" ", "") : pair.join(""));
  }
  const byteOf = byteLevelAlphabet();
  for (const [i, [token, id]] of Object.entries(model.vocab).entries()) {
    if (i % entriesPerTurn === 0) yield;
    const bytes = Array.from(token, (character) => byteOf.get(character));
    // a mark is a token that no merge makes, so that no text can spell it
    const isUnmade = bytes.length > 1 && !made.has(token) && !model.ignore_merges;
    const isMark = marks.has(id) || isUnmade || bytes.includes(undefined);
    tokens[id] = isMark ? new Uint8Array() : Uint8Array.from(bytes as number[]);
  }
  for (const id of marks) tokens[id] ??= new Uint8Array();
  return tokens;
}

class VocabularyTokenizer extends TokenBytes implements Tokenizer {
  constructor(
    private readonly pieces: Encode,
    tokens: readonly Uint8Array[],
  ) {
    super(tokens);
  }

  encode(text: string, most = Number.POSITIVE_INFINITY): Int32Array {
    return this.pieces(text.toWellFormed(), most);
  }
}
