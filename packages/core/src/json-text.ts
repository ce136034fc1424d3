// internal: parsingJson
import { TesseraError } from "./errors.js";
import { limits } from "./limits.js";
import type { Sliced } from "./slices.js";

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const white = /[ \t\n\r]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON does not take them in a text
const special = /[\\\u0000-\u001f]/;
const literals = new Map<string, unknown>([
  ["t", true],
  ["f", false],
  ["n", null],
]);

/** A list or an object whose end has not come yet; `key` is that of the member that comes next. */
type Open =
  | { readonly list: unknown[] }
  | { readonly object: Record<string, unknown>; key: string; members: number; readonly list?: undefined };

/**
 * Reads a JSON text as `JSON.parse` does, in slices and without recursion.
 * @throws TesseraError BAD_JSON where it is none, or nested more than 256 deep; DOCUMENT_TOO_LARGE where it holds
 * more than a document may
 */
export function* parsingJson(text: string): Sliced<unknown> {
  const reader = new Reader(text);
  for (let values = 1; !reader.step(); values++) {
    if (values > limits.values)
      throw new TesseraError("DOCUMENT_TOO_LARGE", `a document may hold ${limits.values} values`);
    if (values % 1000 === 0) yield;
  }
  return reader.value;
}

class Reader {
  value: unknown;
  private at = 0;
  private readonly opened: Open[] = [];

  constructor(private readonly text: string) {}

  /** Reads one value, or the beginning of one that holds others. @returns whether all of the text is read */
  step(): boolean {
    const next = this.next();
    if (next === "{" || next === "[") this.open(next);
    else this.put(next === '"' ? this.string() : this.scalar(next));
    return this.opened.length === 0;
  }

  /** The next character that is no white space; it is not passed. */
  private next(): string {
    white.lastIndex = this.at;
    white.test(this.text);
    this.at = white.lastIndex;
    return this.text[this.at] ?? "";
  }

  private open(bracket: "{" | "["): void {
    if (this.opened.length === limits.nesting)
      throw new TesseraError("BAD_JSON", `values may be nested ${limits.nesting} deep`);
    this.at++;
    const end = bracket === "{" ? "}" : "]";
    if (this.next() === end) {
      this.at++;
      return this.put(bracket === "{" ? {} : []);
    }
    this.opened.push(bracket === "{" ? { object: {}, key: this.key(), members: 0 } : { list: [] });
  }

  private key(): string {
    if (this.next() !== '"') throw this.wrong();
    const key = this.string();
    if (this.next() !== ":") throw this.wrong();
    this.at++;
    return key;
  }

  /** Puts a whole value where it belongs, and ends what it is the last member of. */
  private put(value: unknown): void {
    let whole = value;
    for (let top = this.opened.at(-1); top; top = this.opened.at(-1)) {
      const count = top.list ? top.list.push(whole) : this.add(top, whole);
      if (count > limits.members)
        throw new TesseraError("DOCUMENT_TOO_LARGE", `one list or object may hold ${limits.members} values`);
      const next = this.next();
      this.at++;
      if (next === ",") {
        if (!top.list) top.key = this.key();
        return;
      }
      if (next !== (top.list ? "]" : "}")) throw this.wrong(this.at - 1);
      this.opened.pop();
      whole = top.list ?? top.object;
    }
    if (this.next() !== "") throw this.wrong();
    this.value = whole;
  }

  private add(top: Exclude<Open, { list: unknown[] }>, value: unknown): number {
    if (top.key === "__proto__")
      Object.defineProperty(top.object, top.key, { value, writable: true, enumerable: true, configurable: true });
    else top.object[top.key] = value;
    return ++top.members;
  }

  private string(): string {
    const { text, at: from } = this;
    let end = text.indexOf('"', from + 1);
    for (; end >= 0 && this.isEscaped(end); end = text.indexOf('"', end + 1));
    if (end < 0) throw this.wrong();
    this.at = end + 1;
    // a long part of a text would keep all of the text in memory
    const inner = end - from > 12 ? undefined : text.slice(from + 1, end);
    if (inner !== undefined && !special.test(inner)) return inner;
    try {
      return JSON.parse(text.slice(from, end + 1));
    } catch {
      throw this.wrong(from);
    }
  }

  /** Whether an odd number of backslashes stands before a place. */
  private isEscaped(place: number): boolean {
    let before = place;
    while (this.text[before - 1] === "\\") before--;
    return (place - before) % 2 === 1;
  }

  private scalar(first: string): unknown {
    if (literals.has(first)) {
      const value = literals.get(first);
      const word = String(value);
      if (!this.text.startsWith(word, this.at)) throw this.wrong();
      this.at += word.length;
      return value;
    }
    number.lastIndex = this.at;
    const [digits] = number.exec(this.text) ?? [];
    if (digits === undefined) throw this.wrong();
    this.at += digits.length;
    return Number(digits);
  }

  private wrong(at = this.at): TesseraError {
    return new TesseraError("BAD_JSON", `the text is no JSON: character ${at} of ${this.text.length}`);
  }
}
