import { readFile } from "node:fs/promises";
import { toUSVString } from "node:util";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { messageOf, TesseraError } from "@tessera/core";
import { z } from "zod";

/** Text to token ids and back, by byte-level BPE. */
export interface Tokenizer {
  /** One more than the largest id. */
  readonly vocabulary: number;
  /**
   * The ids of a text, or its first `most` ids. No marks such as [cls] are added. Lone surrogates count as U+FFFD.
   * With our own tokenizer the time is linear in the text, and with `most` it ends as soon as there are enough.
   */
  encode(text: string, most?: number): Int32Array;
  /** The bytes of one token: UTF-8, of which a token may hold a part of a character. Marks have none. */
  bytes(id: number): Uint8Array;
  /** The text of a sequence of tokens; bytes that are not UTF-8 become U+FFFD. */
  decode(ids: Iterable<number>): string;
}

const document = z.looseObject({
  normalizer: z.unknown(),
  pre_tokenizer: z.unknown(),
  model: z.looseObject({
    type: z.literal("BPE"),
    vocab: z.record(z.string(), z.int().nonnegative()),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
    ignore_merges: z.boolean().nullish(),
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

/**
 * Reads a tokenizer.json in the usual format.
 * @throws TesseraError BAD_BUNDLE
 */
export async function readTokenizer(path: string): Promise<Tokenizer> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new TesseraError("BAD_BUNDLE", `the file cannot be read: ${messageOf(cause)}`, { path, cause });
  }
  return parseTokenizer(text, path);
}

/**
 * A tokenizer from the text of its tokenizer.json; `path` is for errors only.
 * @throws TesseraError BAD_BUNDLE
 */
export function parseTokenizer(text: string, path = "tokenizer.json"): Tokenizer {
  const bad = (message: string, cause: unknown): TesseraError =>
    new TesseraError("BAD_BUNDLE", message, { path, cause });
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw bad(`the file is not JSON: ${messageOf(cause)}`, cause);
  }
  const parsed = document.safeParse(raw);
  if (!parsed.success) throw bad(z.prettifyError(parsed.error), parsed.error);
  try {
    const library = new Library(raw as object, {});
    const whole = (part: string): number[] => library.encode(part, { add_special_tokens: false }).ids;
    return new VocabularyTokenizer(parsed.data, pieceEncoder(parsed.data, whole));
  } catch (cause) {
    throw bad(`the tokenizer cannot be built: ${messageOf(cause)}`, cause);
  }
}

type Encode = (text: string, most: number) => Int32Array;

/** At most this many pieces are remembered; then all are forgotten, which bounds the memory of hostile text. */
const mostRemembered = 50_000;

/**
 * Encodes piece by piece and remembers each piece's ids: the library is asked once for every word. Where a tokenizer
 * does not cut text this way, the library gets the whole of it.
 */
function pieceEncoder(tokenizer: Document, whole: (text: string) => number[]): Encode {
  const cut = pieces.safeParse(tokenizer.pre_tokenizer);
  if (!cut.success || tokenizer.normalizer || tokenizer.added_tokens.length > 0)
    return (text, most) => Int32Array.from(whole(text).slice(0, most));
  const pattern = new RegExp(cut.data.pretokenizers[0].pattern.Regex, "gu");
  const remembered = new Map<string, readonly number[]>();
  return (text, most) => {
    const ids: number[] = [];
    for (const [piece] of text.matchAll(pattern)) {
      if (ids.length >= most) break;
      let found = remembered.get(piece);
      if (!found) {
        if (remembered.size >= mostRemembered) remembered.clear();
        found = whole(piece);
        remembered.set(piece, found);
      }
      for (const id of found) ids.push(id);
    }
    return Int32Array.from(ids.length > most ? ids.slice(0, most) : ids);
  };
}

class VocabularyTokenizer implements Tokenizer {
  readonly vocabulary: number;
  private readonly tokens: Uint8Array[] = [];

  constructor(
    { model, added_tokens }: Document,
    private readonly pieces: Encode,
  ) {
    const marks = new Set(added_tokens.map(({ id }) => id));
    const made = new Set(
      model.merges.map((pair) => (typeof pair === "string" ? pair.replace(" ", "") : pair.join(""))),
    );
    const byteOf = byteLevelAlphabet();
    for (const [token, id] of Object.entries(model.vocab)) {
      const bytes = Array.from(token, (character) => byteOf.get(character));
      // a mark is a token that no merge makes, so that no text can spell it
      const isUnmade = bytes.length > 1 && !made.has(token) && !model.ignore_merges;
      const isMark = marks.has(id) || isUnmade || bytes.includes(undefined);
      this.tokens[id] = isMark ? new Uint8Array() : Uint8Array.from(bytes as number[]);
    }
    this.vocabulary = Math.max(this.tokens.length, ...marks, 0);
  }

  encode(text: string, most = Number.POSITIVE_INFINITY): Int32Array {
    return this.pieces(toUSVString(text), most);
  }

  bytes(id: number): Uint8Array {
    return this.tokens[id] ?? new Uint8Array();
  }

  decode(ids: Iterable<number>): string {
    return Buffer.concat(Array.from(ids, (id) => this.bytes(id))).toString("utf8");
  }
}

/** The printable character that stands for each byte in a byte-level vocabulary, as in GPT-2. */
function byteLevelAlphabet(): Map<string, number> {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const alphabet = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) alphabet.set(String.fromCodePoint(isPrintable(byte) ? byte : next++), byte);
  return alphabet;
}
