/** A run of letters and digits that a text has between two separators. */
export interface Run {
  /** Where it begins and ends in the text. */
  readonly from: number;
  readonly to: number;
  /** How many parts it has: `max`, `retry` and `2` of `maxRetry2`. */
  readonly parts: number;
}

const [dot, comma, hyphen, apostrophe, slash, colon, plus, sharp, minus] = [46, 44, 45, 39, 47, 58, 43, 35, 0x2212];
const [space, thin, narrow] = [0x00a0, 0x2009, 0x202f]; // between the thousands of a number

// a code unit that may join a run to the next one, or end a name
const joining = new Uint8Array(65536);
for (const code of [dot, comma, hyphen, apostrophe, slash, colon, plus, sharp, minus, space, thin, narrow])
  joining[code] = 1;

const isDigit = (code: number): boolean => code >= 48 && code <= 57;
const isLetter = (code: number): boolean =>
  (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code >= 0xc0;
const isCapital = (code: number): boolean => code >= 65 && code <= 90;
const setOf = (characters: string): ReadonlySet<number> =>
  new Set([...characters].map((character) => character.charCodeAt(0)));
const opening = setOf("([{\"'“‘„«<|,;=>*`/\u00a0");
const closing = setOf(")]}\"'”’»<|,;.:!?*`/\u00a0");
/** Whether a name may begin behind it: a space, an opening bracket or quote, the beginning of the text. */
const opens = (code: number): boolean => code <= 32 || opening.has(code) || Number.isNaN(code);
/** Whether a name may end before it. */
const closes = (code: number): boolean => code <= 32 || closing.has(code) || Number.isNaN(code);

/** Whether three digits and no more stand at an index. */
const isThousand = (text: string, index: number): boolean =>
  isDigit(text.charCodeAt(index)) &&
  isDigit(text.charCodeAt(index + 1)) &&
  isDigit(text.charCodeAt(index + 2)) &&
  !isDigit(text.charCodeAt(index + 3));

/** Whether what stands at an index joins the number before it to one behind it. */
function joinsNumbers(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  if (!isDigit(text.charCodeAt(index + 1))) return false;
  if (code === dot || code === colon || code === hyphen || code === slash) return true;
  if (code === apostrophe || code === space || code === thin || code === narrow) return isThousand(text, index + 1);
  // thousands, or a decimal comma as people write it: not (1,2), which are two numbers
  return code === comma && (isThousand(text, index + 1) || /^,\d{1,2}(?![\d,)\]}])/.test(text.slice(index, index + 4)));
}

/**
 * What signs make of the runs of a text besides the runs themselves: numbers of several parts, names with dots or
 * hyphens, names that end or begin with a sign. It is told of each run that it may concern, in order.
 */
export class Joints {
  #numbers = ""; // joined so far, with the sign that comes next at the end; "" for none
  #negative = false;
  #name = -1; // where a dotted or hyphenated name begins in the text; -1 for none
  #sign = 0; // what joins that name

  /** @param add takes each word that is found */
  constructor(private readonly add: (word: string) => void) {}

  reset(): void {
    this.#numbers = "";
    this.#name = -1;
  }

  /** Whether a run that ends before `code` may have part in anything; asked for every run, so it is quick. */
  concern(text: string, from: number, to: number, code: number): boolean {
    if (this.#name >= 0 || this.#numbers !== "") return true;
    if (code < 65536 && joining[code] === 1) {
      if (code === dot || code === hyphen) {
        const next = text.charCodeAt(to + 1);
        if (isLetter(next) || isDigit(next)) return true;
      } else if (isDigit(text.charCodeAt(to + 1))) return true;
      if (code !== dot && code !== comma && code !== colon && to > 0 && isLetter(text.charCodeAt(to - 1))) return true;
    }
    if (from === 0) return false;
    const before = text.charCodeAt(from - 1);
    return (before === dot || before === hyphen || before === minus) && opens(text.charCodeAt(from - 2));
  }

  /** Whether a run is but a letter of a name, and no word: C before ++. */
  replaces(text: string, { from, to }: Run): boolean {
    return to - from === 1 && signBehind(text, from, to) !== "";
  }

  close(text: string, run: Run): void {
    const { from, to, parts } = run;
    const sign = signBehind(text, from, to);
    if (sign !== "") this.add(plain(text.slice(from, to)) + sign);
    const before = text.charCodeAt(from - 1);
    const starts = opens(text.charCodeAt(from - 2));
    if (before === dot && starts && isLetter(text.charCodeAt(from)) && this.#name < 0)
      this.add(`.${plain(text.slice(from, to))}`);

    const numeric = isDigit(text.charCodeAt(to - 1)) && joinsNumbers(text, to);
    const negative = (before === hyphen || before === minus) && starts && isDigit(text.charCodeAt(from));
    if (this.#numbers !== "") {
      this.#numbers += firstNumber(text, run);
      if (parts === 1 && numeric && this.#numbers.length < 40) {
        if (/^\d+(?:\.\d+)+$/.test(this.#numbers)) this.add(this.#numbers);
        this.#numbers += text[to]!;
        return;
      }
      this.#endNumbers();
    } else if (negative && !numeric) this.add(`-${firstNumber(text, run)}`);
    if (numeric && (parts > 1 || this.#numbers === "")) {
      this.#numbers = lastNumber(text, run) + text[to]!;
      this.#negative = negative && parts === 1;
    }
    if (!numeric) this.#joinNames(text, run);
    else this.#name = -1;
  }

  #endNumbers(): void {
    const numbers = this.#numbers;
    this.#numbers = "";
    const whole = /[^\d.]/.test(numbers) || /\.\d{3}\b/.test(numbers) ? wholeOf(numbers) : numbers;
    this.add(whole);
    if (whole !== numbers && /^[\d.]+$/.test(numbers)) this.add(numbers); // 1.000 may be a version too
    if (this.#negative) this.add(`-${whole}`);
    this.#negative = false;
  }

  #joinNames(text: string, { from, to }: Run): void {
    const code = text.charCodeAt(to);
    const next = text.charCodeAt(to + 1);
    const goesOn =
      (code === dot && (isLetter(next) || isDigit(next))) ||
      (code === hyphen && isLetter(next) && isLetter(text.charCodeAt(to - 1)));
    if (this.#name < 0) {
      if (!goesOn) return;
      this.#name = from;
      this.#sign = code;
    } else if (!goesOn || code !== this.#sign) {
      const name = text.slice(this.#name, to);
      this.add(plain(this.#sign === dot ? name.replace(/^(?:this|self)\./, "") : name.replaceAll("-", "")));
      this.#name = goesOn ? from : -1;
      this.#sign = code;
    }
  }
}

const ascii = /^[\x20-\x7e]*$/;

const plain = (name: string): string => {
  const known = ascii.test(name) ? name : name.normalize("NFKC").replaceAll("\u00ad", "");
  return (known.includes("_") ? known.replaceAll("_", "") : known).toLowerCase();
};

function firstNumber(text: string, { from, to }: Run): string {
  let end = from;
  while (end < to && isDigit(text.charCodeAt(end))) end++;
  return text.slice(from, end);
}

function lastNumber(text: string, { from, to }: Run): string {
  let begin = to;
  while (begin > from && isDigit(text.charCodeAt(begin - 1))) begin--;
  return text.slice(begin, to);
}

/** The sign that ends a name: C++, C#, the grade A-. */
function signBehind(text: string, from: number, to: number): string {
  const code = text.charCodeAt(to);
  if (code !== plus && code !== sharp && code !== hyphen && code !== minus) return "";
  if (!isLetter(text.charCodeAt(to - 1))) return "";
  const next = text.charCodeAt(to + 1);
  if (code === plus && next === plus) return closes(text.charCodeAt(to + 2)) ? "++" : "";
  if (!closes(next)) return "";
  if (code === sharp) return to - from <= 2 ? "#" : "";
  if (to - from !== 1 || !isCapital(text.charCodeAt(from))) return "";
  return code === plus ? "+" : "-";
}

/** Joined numbers as one: without what parts thousands, and with a point before decimals. */
function wholeOf(numbers: string): string {
  const grouped = /^(\d{1,3}(?:([,.'\u00a0\u2009\u202f])\d{3})(?:\2\d{3})*)(?:[.,](\d+))?$/.exec(numbers);
  if (grouped) {
    const [, thousands = "", , decimals] = grouped;
    const joined = thousands.replace(/\D/g, "");
    return decimals === undefined ? joined : `${joined}.${decimals}`;
  }
  return /^\d+,\d+$/.test(numbers) ? numbers.replace(",", ".") : numbers;
}
