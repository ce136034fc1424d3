import { z } from "zod";
import { type AddedToken, addedToken, cutter, type Section } from "./added-tokens.js";
import { byteLevelAlphabet } from "./byte-level-alphabet.js";
import { Merger } from "./merger.js";
import { type Cut, cutsOf, normaliserOf } from "./pieces.js";
import { TokenBytes } from "./token-bytes.js";
// A circle of types: `readTokenizer` chooses one of the tokenizers, and each of them is a `Tokenizer`.
import type { Tokenizer } from "./tokenizer.js";

// checked by hand: of tens of thousands of entries a schema makes tens of milliseconds
const isVocabulary = (value: unknown): value is Readonly<Record<string, number>> =>
  typeof value === "object" && value !== null && Object.values(value).every(isId);
const isId = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
type Merge = string | readonly [string, string];
const areMerges = (value: unknown): value is readonly Merge[] =>
  Array.isArray(value) && value.every((merge) => (typeof merge === "string" ? merge.split(" ") : merge).length === 2);

/** The model of a `tokenizer.json` that merges pairs. */
export const bytePairModel = z.looseObject({
  type: z.literal("BPE"),
  vocab: z.custom<Readonly<Record<string, number>>>(isVocabulary, "a vocabulary gives each token its id"),
  merges: z.custom<readonly Merge[]>(areMerges, "merges are pairs of tokens"),
  ignore_merges: z.boolean().nullish(),
});

const document = z.looseObject({
  normalizer: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),

  model: bytePairModel.extend({
    unk_token: z.string().nullish(),
    byte_fallback: z.boolean().nullish(),
    fuse_unk: z.boolean().nullish(),
    continuing_subword_prefix: z.enum([""]).nullish(),
    end_of_word_suffix: z.enum([""]).nullish(),
    dropout: z.literal(0).nullish(),
  }),
  added_tokens: z.array(addedToken.extend({ special: z.boolean().default(false) })).default([]),
});
type Added = AddedToken & { readonly special: boolean };

/** At most this many pieces are remembered; then all are forgotten, which bounds the memory of hostile text. */
const mostRemembered = 50_000;
/** UTF-16 units that are normalised at once, so that the end of a long text is not read where it is cut anyway. */
const unitsAtOnce = 16_384;

/**
 * Byte-pair encoding as published models have it: over bytes that stand for characters (GPT-2), or over characters with
 * blanks written as ▁ (SentencePiece). Ids are those of the Rust library with `encode_special_tokens`: a mark that a text
 * spells stays text; added tokens that are no marks, such as runs of blanks, are tokens of the text.
 * @throws UnknownStepError where it has steps that are not computed here; ZodError where it is no such document
 */
export function* parseBpe(raw: unknown): Generator<void, Tokenizer> {
  const parsed = document.parse(raw);
  const pre = parsed.pre_tokenizer ? cutsOf(parsed.pre_tokenizer) : undefined;
  const normalise = normaliserOf(parsed.normalizer);
  yield;
  const merger = yield* Merger.of(parsed.model, pre?.byteLevel ? byteLevelAlphabet() : undefined);
  const tokens = yield* bytesOf(parsed.model.vocab, parsed.added_tokens, pre?.byteLevel ?? false);
  return new BpeTokenizer(merger, tokens, parsed.added_tokens, normalise, pre);
}

/** Entries of a vocabulary in one turn of the event loop. */
const entriesPerTurn = 1024;

class BpeTokenizer extends TokenBytes implements Tokenizer {
  readonly marks: readonly string[];
  private readonly cut: Cut;
  /** Texts may be read in parts: no piece crosses a blank between letters. */
  private readonly inParts: boolean;
  /** Added tokens that are text, and all of them; those that are looked for in the text as it is, and in the normalised one. */
  private readonly sections: Readonly<Record<"text" | "all", { readonly raw: Cutter; readonly normal: Cutter }>>;
  private readonly remembered = new Map<string, readonly number[]>();

  constructor(
    private readonly merger: Merger,
    tokens: readonly Uint8Array[],
    added: readonly Added[],
    private readonly normalise: (text: string) => string,
    pre: ReturnType<typeof cutsOf> | undefined,
  ) {
    super(tokens);
    this.cut = pre?.cut ?? ((text) => (text === "" ? [] : [text]));
    this.inParts = pre?.byteLevel ?? false;
    const cutters = (some: readonly Added[]) => ({
      raw: cutter(some.filter(({ normalized }) => !normalized)),
      normal: cutter(
        some.filter(({ normalized }) => normalized),
        ({ content }) => normalise(content),
      ),
    });
    this.sections = { text: cutters(added.filter(({ special }) => !special)), all: cutters(added) };
    this.marks = added.filter(({ special }) => special).map(({ content }) => content);
  }

  encode(text: string, most = Number.POSITIVE_INFINITY): Int32Array {
    return this.read(text.toWellFormed(), "text", "", most);
  }

  encodeMarked(text: string, seam: string, most = Number.POSITIVE_INFINITY): Int32Array {
    return this.read(text.toWellFormed(), "all", seam, most);
  }

  private read(text: string, which: "text" | "all", seam: string, most: number): Int32Array {
    const { raw, normal } = this.sections[which];
    const ids: number[] = [];
    const plain = (part: string): void => {
      for (const section of normal(this.normalise(seam === "" ? part : part.replaceAll(seam, "")))) {
        if (ids.length >= most) return;
        if (typeof section === "number") ids.push(section);
        else this.pieces(section, ids, most);
      }
    };
    for (const section of raw(text)) {
      if (ids.length >= most) break;
      if (typeof section === "number") ids.push(section);
      else for (const part of this.inParts ? parts(section, most) : [section]) plain(part);
    }
    return Int32Array.from(ids.length > most ? ids.slice(0, most) : ids);
  }

  private pieces(text: string, ids: number[], most: number): void {
    for (const piece of this.cut(text)) {
      if (ids.length >= most) return;
      let found = this.remembered.get(piece);
      if (!found) {
        if (this.remembered.size >= mostRemembered) this.remembered.clear();
        found = this.merger.encode(piece);
        if (piece.length < 256) this.remembered.set(piece, found);
      }
      for (const id of found) ids.push(id);
    }
  }
}

type Cutter = (text: string) => Section[];

/** A long text in parts that end before a blank behind a letter, where no piece crosses; whole where all is wanted. */
function* parts(text: string, most: number): Generator<string> {
  if (most === Number.POSITIVE_INFINITY || text.length <= unitsAtOnce) return yield text;
  let from = 0;
  while (from < text.length) {
    let end = Math.min(text.length, from + unitsAtOnce);
    while (
      end < text.length &&
      !(text[end] === " " && /[a-z]/.test(text[end - 1]!) && /[a-z]/.test(text[end + 1] ?? ""))
    )
      end++;
    yield text.slice(from, end);
    from = end;
  }
}

/** The bytes of every token by its id; marks have none. */
function* bytesOf(
  vocab: Readonly<Record<string, number>>,
  added: readonly Added[],
  byteLevel: boolean,
): Generator<void, Uint8Array[]> {
  const tokens: Uint8Array[] = [];
  const byteOf = byteLevelAlphabet();
  for (const [i, [token, id]] of Object.entries(vocab).entries()) {
    if (i % entriesPerTurn === 0) yield;
    if (byteLevel) {
      const bytes = Array.from(token, (character) => byteOf.get(character));
      tokens[id] = bytes.includes(undefined) ? Buffer.from(token) : Uint8Array.from(bytes as number[]);
    } else {
      const byte = /^<0x([0-9A-F]{2})>$/.exec(token);
      tokens[id] = byte ? Uint8Array.of(Number.parseInt(byte[1]!, 16)) : Buffer.from(token.replaceAll("▁", " "));
    }
  }
  for (const { id, content, special } of added) tokens[id] = special ? new Uint8Array() : Buffer.from(content);
  for (let id = 0; id < tokens.length; id++) tokens[id] ??= new Uint8Array();
  return tokens;
}
