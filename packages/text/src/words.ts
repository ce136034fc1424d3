// public: longestWord, WordReader, words
import { Joints } from "./joints.js";
import { segmented } from "./segment.js";

/** The longest word in UTF-16 code units: a longer part is cut, a longer whole is left out. */
export const longestWord = 64;

const separator = 0;
const lower = 1;
const upper = 2;
const digit = 3;
const unspaced = 4; // of a script that puts no spaces between words
const mark = 5;
const connector = 6;
const unseen = 7; // a soft hyphen and the like, which is no part of a word
const composable = 8; // a part of a letter that Unicode has whole
const surrogate = 9;
const unknown = 10;

const pictograph = /(?![\p{ASCII}©®™])\p{Extended_Pictographic}/u;
const noSpaces =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\u30fc]/u;
const invisible = /[\u00ad\u200b-\u200f\u2060\ufeff]|[\ufe00-\ufe0f]|\u034f/;
// half-width kana, kana's own marks and Hangul in parts
const inParts = /[\u1100-\u11ff\u3099\u309a\uff66-\uff9f]/;

function classify(character: string): number {
  if (character === "_") return connector;
  if (invisible.test(character)) return unseen;
  if (inParts.test(character)) return composable;
  if (/[\ud800-\udfff]/.test(character) && character.length === 1) return surrogate;
  if (/\p{N}/u.test(character)) return digit;
  if (pictograph.test(character)) return unspaced;
  if (noSpaces.test(character) && /[\p{L}\p{M}]/u.test(character)) return unspaced;
  if (/\p{M}/u.test(character)) return mark;
  if (/[\p{Lu}\p{Lt}]/u.test(character)) return upper;
  return /\p{L}/u.test(character) ? lower : separator;
}

/** A character in lower case and in its plain form: full width, ligatures, styles; a final sigma as any sigma. */
function lowered(character: string): string {
  const compatible = character.normalize("NFKC");
  const plain = /^[\p{L}\p{N}]+$/u.test(compatible) ? compatible : character;
  const low = plain.toLowerCase();
  if (low === "ς") return "σ";
  const [first = "", ...rest] = low;
  return /\p{Nd}/u.test(first) && rest.length === 0 ? String(digitOf(first)) : low.replace(/^i\u0307$/, "i");
}

/** The value of a decimal digit of any script: each has its ten in a row. */
function digitOf(character: string): number {
  const code = character.codePointAt(0)!;
  let zero = code;
  while (zero > code - 9 && /\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
  return code - zero;
}

const classes = new Uint8Array(65536).fill(unknown);
const single = new Uint16Array(65536); // by code unit: its lower case, or 0 where that is longer
const longer = new Map<number, string>();

function learn(code: number): number {
  const character = String.fromCharCode(code);
  const kind = classify(character);
  classes[code] = kind;
  if (kind === lower || kind === upper || kind === digit || kind === mark) {
    const low = lowered(character);
    if (low.length === 1) single[code] = low.charCodeAt(0);
    else longer.set(code, low);
  }
  return kind;
}
for (let code = 0; code < 128; code++) learn(code);

/** The kind of the character of which index holds a half; a lone half is none. */
function kindOfPair(text: string, index: number): number {
  const code = text.charCodeAt(index);
  const point = text.codePointAt(code >= 0xdc00 ? index - 1 : index) ?? 0;
  if (point < 0x10000) return separator;
  let kind = pairs.get(point);
  if (kind === undefined) {
    kind = classify(String.fromCodePoint(point));
    if (kind > connector) kind = separator;
    else if (kind === mark) kind = lower;
    pairs.set(point, kind);
  }
  return kind;
}
const pairs = new Map<number, number>();

const lowerOfPair = (text: string, index: number): string => lowered(String.fromCodePoint(text.codePointAt(index)!));

const kindAt = (text: string, index: number): number => {
  const code = text.charCodeAt(index);
  const kind = classes[code] === unknown ? learn(code) : classes[code]!;
  return kind === surrogate ? kindOfPair(text, index) : kind;
};

/** Where the run of a script without spaces that begins at an index ends. */
function endOfUnspaced(text: string, index: number): number {
  let end = index + 1;
  for (; end < text.length; end++) {
    const kind = kindAt(text, end);
    if (kind !== unspaced && kind !== mark && kind !== composable && kind !== unseen) break;
  }
  return end;
}

/**
 * Reads the words of texts into buffers that are used again, without making a string of each.
 *
 * Words are runs of letters and digits in lower case and in their plain forms: full width, ligatures and styled letters
 * as plain ones, without what is not seen (a soft hyphen). Beside their parts stand as one word:
 * - an identifier without its connectors: `maxRetry2`, `max_retry_2` and `MAX_RETRY_2` are max, retry, 2 and maxretry2;
 * - words that a hyphen joins: `e-mail` is e, mail and email;
 * - a dotted name or file name: `path.join` is path, join and path.join;
 * - a number of several parts, with what it begins with: `2.1.0` is 2, 1, 2.1, 0 and 2.1.0; dates and times likewise. Its
 *   thousands are joined: `1,000,000` is 1000000 as well;
 * - a name with its sign: `.NET`, `g++`, `-40`. A single letter with a sign is that name alone: C, C++ and C# are three.
 *
 * What stands without spaces is parted by the dictionaries of Unicode (`Intl.Segmenter`); of a word of several Han
 * characters each is a word as well.
 */
export class WordReader {
  /** The words' UTF-16 code units, one word after another. */
  codes = new Uint16Array(1024);
  /** Where each word of the text ends in `codes`. */
  ends = new Int32Array(1024);
  #count = 0;
  #length = 0;
  #reserve = 0; // what the rest of the text needs at most
  readonly #joints = new Joints((word) => this.#push(word));

  /** Reads a text in place of the last one, and returns how many words it has. */
  // biome-ignore lint/complexity/noExcessiveLinesPerFunction: one loop over the code units of every text that is indexed, over a dozen numbers
  read(text: string): number {
    this.#reserve = 2 * text.length + 4 * longestWord;
    this.#grow(this.#reserve);
    this.#count = 0;
    this.#length = 0;
    this.#joints.reset();
    let { codes, ends } = this;
    let count = 0;
    let length = 0; // of what is written to `codes`
    let part = 0; // where the open part begins
    let run = 0; // where the open run begins
    let from = 0; // where the open run begins in the text
    let parts = 0; // how many parts of the open run are closed
    let before = separator;

    for (let i = 0; i <= text.length; i++) {
      const code = i < text.length ? text.charCodeAt(i) : 32;
      let kind = classes[code]!;
      if (kind === unknown) kind = learn(code);
      if (kind >= unspaced && kind !== connector) {
        if (kind === unseen) continue;
        if (kind === mark || kind === composable) {
          const composed = text.normalize(kind === mark ? "NFC" : "NFKC");
          if (composed !== text) return this.read(composed);
          kind = before === separator || before === connector ? lower : before; // a mark belongs to what it stands on
          if (single[code] === 0) single[code] = code;
        }
        if (kind === surrogate) kind = kindOfPair(text, i);
      }
      if (kind === before && kind !== unspaced) {
        if (kind !== separator && kind !== connector && length - part < longestWord) {
          const low = single[code]!;
          if (low !== 0) codes[length++] = low;
          else {
            length = this.#write(length, part + longestWord, text, i);
            ({ codes, ends } = this);
          }
        }
        continue;
      }
      if (before === upper && kind === lower) {
        // in HTTPServer the last capital begins the next part
        if (length - part > 1) {
          ends[count++] = length - 1;
          part = length - 1;
          parts++;
        }
      } else if (length > part) {
        ends[count++] = length;
        part = length;
        parts++;
      }
      if (kind === separator || kind === unspaced) {
        if (parts > 1 && length - run <= longestWord) {
          codes.copyWithin(length, run, length);
          length += length - run;
          ends[count++] = length;
        }
        if (parts > 0 && this.#joints.concern(text, from, i, code)) {
          const said = { from, to: i, parts };
          const lone = this.#joints.replaces(text, said);
          this.#count = lone ? count - 1 : count;
          this.#length = lone ? run : length;
          this.#joints.close(text, said);
          ({ codes, ends } = this);
          count = this.#count;
          length = this.#length;
        }
        run = length;
        part = length;
        parts = 0;
        if (kind === unspaced) {
          const end = endOfUnspaced(text, i);
          this.#count = count;
          this.#length = length;
          for (const word of segmented(text.slice(i, end))) this.#push(word);
          this.#joints.reset();
          ({ codes, ends } = this);
          count = this.#count;
          length = this.#length;
          run = length;
          part = length;
          i = end - 1;
          before = separator;
          continue;
        }
      } else if (before === separator) from = i;
      if (kind !== separator && kind !== connector && length - part < longestWord) {
        const low = single[code]!;
        if (low !== 0) codes[length++] = low;
        else {
          length = this.#write(length, part + longestWord, text, i);
          ({ codes, ends } = this);
        }
      }
      before = kind;
    }
    return count;
  }

  /** The word at an index of the last text. */
  word(index: number): string {
    return String.fromCharCode(...this.codes.subarray(index === 0 ? 0 : this.ends[index - 1]!, this.ends[index]!));
  }

  /** Makes room for so many code units. */
  #grow(room: number): void {
    if (this.codes.length >= room) return;
    const [codes, ends] = [this.codes, this.ends];
    this.codes = new Uint16Array(2 * room);
    this.ends = new Int32Array(2 * room);
    this.codes.set(codes);
    this.ends.set(ends);
  }

  /** Writes a character whose lower case is several code units, or a pair of surrogates, and returns the new length. */
  #write(length: number, limit: number, text: string, index: number): number {
    const code = text.charCodeAt(index);
    if (code >= 0xdc00 && code < 0xe000) return length; // written with its first half
    const low = longer.get(code) ?? lowerOfPair(text, index);
    this.#grow(length + low.length + this.#reserve);
    let at = length;
    if (at + low.length > limit) return length;
    for (let i = 0; i < low.length; i++) this.codes[at++] = low.charCodeAt(i);
    return at;
  }

  /** Adds a word of its own. */
  #push(word: string): void {
    if (word.length === 0 || word.length > longestWord) return;
    this.#grow(this.#length + word.length + this.#reserve);
    for (let i = 0; i < word.length; i++) this.codes[this.#length++] = word.charCodeAt(i);
    this.ends[this.#count++] = this.#length;
  }
}

const reader = new WordReader();

/** The words of a text, in order; see `WordReader` for what a word is. */
export function words(text: string): string[] {
  const count = reader.read(text);
  const result: string[] = [];
  for (let i = 0; i < count; i++) result.push(reader.word(i));
  return result;
}
