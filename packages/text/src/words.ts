// public: longestWord, WordReader, words
/** The longest word in UTF-16 code units: a longer part is cut, a longer whole is left out. */
export const longestWord = 64;

const separator = 0;
const lower = 1;
const upper = 2;
const digit = 3;
const ideograph = 4;
const mark = 5;
const connector = 6;
const unknown = 7;

function classify(code: number): number {
  const character = String.fromCharCode(code);
  if (character === "_") return connector;
  if (/\p{M}/u.test(character)) return mark;
  if (/\p{N}/u.test(character)) return digit;
  if (/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u.test(character)) return ideograph;
  if (/\p{Lu}/u.test(character)) return upper;
  if (/\p{L}/u.test(character) || (code >= 0xd800 && code < 0xe000)) return lower;
  return separator;
}

function lowerCase(code: number): number {
  const character = String.fromCharCode(code).toLowerCase();
  return character.length === 1 ? character.charCodeAt(0) : code;
}

const classes = new Uint8Array(65536).fill(unknown);
const lowered = new Uint16Array(65536);

function learn(code: number): number {
  lowered[code] = lowerCase(code);
  classes[code] = classify(code);
  return classes[code]!;
}
for (let code = 0; code < 128; code++) learn(code);

/**
 * Reads the words of texts into buffers that are used again, without making a string of each.
 *
 * Words are runs of letters and digits in lower case. An identifier gives its parts and then its whole without the
 * connectors, so that `maxRetry2`, `max_retry_2` and `MAX_RETRY_2` have the words max, retry, 2 and maxretry2.
 * Each character of a script that is written without spaces is a word. Texts are compared in Unicode's form NFC.
 */
export class WordReader {
  /** The words' UTF-16 code units, one word after another. */
  codes = new Uint16Array(1024);
  /** Where each word of the text ends in `codes`. */
  ends = new Int32Array(1024);

  /** Reads a text in place of the last one, and returns how many words it has. */
  read(text: string): number {
    const room = 2 * text.length + longestWord;
    if (this.codes.length < room) {
      this.codes = new Uint16Array(2 * room);
      this.ends = new Int32Array(2 * room);
    }
    const { codes, ends } = this;
    let count = 0;
    let length = 0; // of what is written to `codes`
    let part = 0; // where the open part begins
    let run = 0; // where the open run begins
    let parts = 0; // how many parts of the open run are closed
    let before = separator;

    for (let i = 0; i <= text.length; i++) {
      const code = i < text.length ? text.charCodeAt(i) : 32;
      let kind = classes[code]!;
      if (kind === unknown) kind = learn(code);
      if (kind === mark) {
        const composed = text.normalize("NFC");
        if (composed !== text) return this.read(composed);
        kind = before === separator ? lower : before; // a mark belongs to what it stands on
      }
      if (kind === before && kind !== ideograph) {
        if (kind !== separator && kind !== connector && length - part < longestWord) codes[length++] = lowered[code]!;
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
      if (kind === separator || kind === ideograph || before === ideograph) {
        if (parts > 1 && length - run <= longestWord) {
          codes.copyWithin(length, run, length);
          length += length - run;
          ends[count++] = length;
        }
        run = length;
        part = length;
        parts = 0;
      }
      if (kind !== separator && kind !== connector && length - part < longestWord) codes[length++] = lowered[code]!;
      before = kind;
    }
    return count;
  }
}

const reader = new WordReader();

/** The words of a text, in order; see `WordReader` for what a word is. */
export function words(text: string): string[] {
  const count = reader.read(text);
  const result: string[] = [];
  for (let i = 0; i < count; i++)
    result.push(String.fromCharCode(...reader.codes.subarray(i === 0 ? 0 : reader.ends[i - 1]!, reader.ends[i]!)));
  return result;
}
