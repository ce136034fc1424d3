const openings = "[【［〔";
const closings: Readonly<Record<string, string>> = { "[": "]", "【": "】", "［": "］", "〔": "〕" };

// what stands between the brackets of a marker: "1", "1, 2", "1-3", "1 and 2", "passage 2", "1†source"
const label = /^(?:passages?|sources?|documents?|docs?|refs?)?[ \t]*#?/i;
const joint =
  /[ \t]*(?:[,;，、；](?:[ \t]*(?<also>and|or|und|et|y|och|og)(?=[ \t]))?|(?<range>[-–—~～])|(?<sign>[&+和及与と]|및))[ \t]*|[ \t]+(?<word>and|und|et|y|e|en|och|og|ja|i|и)[ \t]+/iuy;
const tail = /^(?:†[^\]】\n]{0,40})?$/;
/** The longest text between brackets that can be a marker, in UTF-16 code units. */
const longest = 80;
/** A number above this is a year or an amount and no marker, where there are fewer passages. */
const mostNamed = 99;

/** How much of what follows a marker is looked at where it is attached to a word, in UTF-16 code units. */
const lookAhead = 24;

interface Marker {
  /** Each number once, in order. */
  readonly numbers: readonly number[];
  /** Written with a comma or a dash, as intervals are written too. */
  readonly interval: boolean;
  /** Written with numbers alone, as an index may be. */
  readonly bare: boolean;
}

/** Digits, also full-width ones, at a place; at most four. */
function numberAt(text: string, at: number): { value: number; end: number } | undefined {
  const found = /^[0-9０-９]{1,4}(?![0-9０-９.])/.exec(text.slice(at));
  if (!found) return undefined;
  return { value: Number(found[0].normalize("NFKC")), end: at + found[0].length };
}

/** What the text between two brackets names, or `undefined` where it names no passages. */
function readMarker(inner: string): Marker | undefined {
  const first = label.exec(inner)![0].length;
  const numbers = new Set<number>();
  let interval = false;
  let listed = false;
  let from: number | undefined;
  for (let at = first; ; ) {
    const number = numberAt(inner, at);
    if (!number) return undefined;
    if (from !== undefined && number.value > from && number.value - from <= mostNamed)
      for (let one = from + 1; one < number.value; one++) numbers.add(one);
    numbers.add(number.value);
    if (tail.test(inner.slice(number.end).trimEnd()))
      return { numbers: [...numbers], interval: interval && !listed, bare: /^[\d \t,;:–-]+$/.test(inner) };
    joint.lastIndex = number.end;
    const joined = joint.exec(inner);
    if (!joined) return undefined;
    const { also, range, sign, word } = joined.groups!;
    from = range === undefined ? undefined : number.value;
    if (also ?? sign ?? word) listed = true;
    else interval = true;
    at = joint.lastIndex;
  }
}

const name = /[\p{L}_$][\p{L}\p{N}_$]*(?:\.[\p{L}_$][\p{L}\p{N}_$]*)*$/u;
const looksLikeCode = /[_$.]|\p{Ll}\p{Lu}|\p{L}\d/u;

/** The names that a text uses as lists: those with an index that names no passage, and those in code spans. */
function indexedNames(text: string, count: number): ReadonlySet<string> {
  const names = new Set<string>();
  for (const [, before, inner] of text.matchAll(/([\p{L}\p{N}_$.]{1,80})\[([^[\]\n]{0,80})\]/gu)) {
    const indexed = name.exec(before!)?.[0];
    const marker = readMarker(inner!);
    const named = marker?.numbers.every((number) => number >= 1 && number <= count);
    if (indexed !== undefined && !named) names.add(indexed);
  }
  for (const [, spanned] of text.matchAll(/`([\p{L}_$][\p{L}\p{N}_$.]{0,80})[[`]/gu)) names.add(spanned!);
  return names;
}

/** A fence of code that is open. */
interface Fence {
  readonly mark: string;
  readonly length: number;
}

const fenceLine = /^[ \t]*(`{3,}|~{3,})(.*)$/;
const listItem = /^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+/;
const clauseEnd = /^[ \t]*(?:$|\n|[.,;:!?…)\]}】］〕。，；：！？、）"'”’»*_|–—-])/;

/**
 * Reads an answer as it streams, and makes `[1][2]` of each marker that names passages among the first `count`.
 *
 * A marker is a number or a list of numbers in brackets (`[1]`, `[1, 2]`, `[1 and 2]`, `[passage 2]`, `【1†source】`,
 * `［1］`). Everything else stays as it is: code in fences, indented code and code spans, formulas between dollars, links and
 * their definitions, footnotes, indexes (`rows[0]`), intervals (`[0, 1]`, and `[1, 2]` in the middle of a clause) and
 * years. A single number up to 99 of no passage, apart from a word, is removed with the space before it.
 *
 * The result is the same however the answer is cut into parts. Whether `rows[2]` is an index is decided by what stands
 * before it; by the whole answer where `whole` gives it.
 */
export class CitationReader {
  /** The passages cited so far. */
  readonly cited = new Set<number>();
  /** The numbers that were removed. */
  readonly unknown = new Set<number>();
  private readonly names: ReadonlySet<string> | undefined;
  private held = "";
  /** The answer so far, up to what is held. */
  private past = "";
  private fence: Fence | undefined;
  private listIndent = 0;
  private afterBlank = true;
  private inIndentedCode = false;
  /** Where the last pair of brackets ended that is no marker. */
  private bracketEnd = -1;

  constructor(
    private readonly count: number,
    whole?: string,
  ) {
    this.names = whole === undefined ? undefined : indexedNames(whole, count);
  }

  /** The next part of the answer's clean text; what could still become something else is held back. */
  push(text: string): string {
    return this.read(this.held + text, false);
  }

  /** The rest. */
  end(): string {
    return this.read(this.held, true);
  }

  private read(text: string, last: boolean): string {
    let clean = "";
    let at = 0;
    while (at < text.length) {
      const rest = text.slice(at);
      const step = this.atLineStart() ? this.readLineStart(rest, last) : this.readInline(rest, last);
      if (!step) break;
      clean += step.clean;
      this.past += rest.slice(0, step.length);
      at += step.length;
    }
    this.held = text.slice(at);
    return clean;
  }

  private atLineStart(): boolean {
    return this.past === "" || this.past.endsWith("\n");
  }

  /** The line so far. */
  private line(): string {
    return this.past.slice(this.past.lastIndexOf("\n") + 1);
  }

  /** Code by lines, or the indentation of a line of prose. */
  private readLineStart(rest: string, last: boolean): Step | undefined {
    if (this.fence) return this.readFenced(rest, last);
    const end = rest.indexOf("\n");
    if (end < 0 && !last && (/^[ \t]*$/.test(rest) || /^[ \t]*[`~]+/.test(rest))) return undefined;
    const line = end < 0 ? rest : rest.slice(0, end);
    const whole = end < 0 ? line.length : end + 1;
    if (line.trim() === "") {
      this.afterBlank = true;
      return kept(rest, whole);
    }
    const indent = /^[ \t]*/.exec(line)![0].replace(/\t/g, "    ").length;
    const code = indent >= this.listIndent + 4 && (this.inIndentedCode || this.afterBlank);
    if (code && end < 0 && !last) return undefined;
    if (code) {
      this.inIndentedCode = true;
      return kept(rest, whole);
    }
    this.inIndentedCode = false;
    const opened = fenceLine.exec(line);
    if (opened && !(opened[1]!.startsWith("`") && opened[2]!.includes("`"))) {
      this.fence = { mark: opened[1]![0]!, length: opened[1]!.length };
      return kept(rest, whole);
    }
    return this.readProseStart(rest, line, indent, last);
  }

  private readProseStart(rest: string, line: string, indent: number, last: boolean): Step | undefined {
    if (!last && line === rest && /^[ \t]*(?:[-*+]|\d{1,9}[.)]?)?[ \t]*$/.test(line)) return undefined;
    const item = listItem.exec(line);
    if (item) this.listIndent = item[0].replace(/\t/g, "    ").length;
    else if (indent < this.listIndent && this.afterBlank) this.listIndent = 0;
    this.afterBlank = false;
    const definition = /^[ \t]*\[[^\]\n]{1,80}\]/.exec(line);
    if (definition) {
      const next = line[definition[0].length];
      if (next === undefined && line === rest && !last) return undefined;
      if (next === ":") return kept(rest, definition[0].length);
    } else if (!last && line === rest && /^[ \t]*\[[^\]\n]{0,80}$/.test(line)) return undefined;
    const lead = item?.[0].length ?? /^[ \t]*/.exec(line)![0].length;
    return lead > 0 ? kept(rest, lead) : this.readInline(rest, last);
  }

  /**
   * Lines of a fence up to the one that closes it. A line that was meant to close it, with too few marks or with more text,
   * does so where none follows that is right; until that is known the lines are held back.
   */
  private readFenced(rest: string, last: boolean): Step | undefined {
    const { mark, length } = this.fence!;
    let meant: number | undefined;
    for (let at = 0; at < rest.length; ) {
      const end = rest.indexOf("\n", at);
      const line = rest.slice(at, end < 0 ? rest.length : end);
      const next = end < 0 ? rest.length : end + 1;
      const found = fenceLine.exec(line);
      if (found && (end >= 0 || last)) {
        const right = found[1]!.startsWith(mark) && found[1]!.length >= length && found[2]!.trim() === "";
        if (right) {
          this.fence = undefined;
          this.afterBlank = true;
          return kept(rest, next);
        }
        if (!/^[ \t]*[\w+#.-]/.test(found[2]!)) meant ??= at + line.length - found[2]!.length;
      }
      if (end < 0 && !last) return meant === undefined && at > 0 ? kept(rest, at) : undefined;
      at = next;
    }
    if (meant === undefined) return kept(rest, rest.length);
    if (!last) return undefined;
    this.fence = undefined;
    this.afterBlank = true;
    return kept(rest, meant);
  }

  private readInline(rest: string, last: boolean): Step | undefined {
    const plain = /^[^\n`$\\[【［〔 \t]+/.exec(rest)?.[0].length ?? 0;
    if (plain > 0) return kept(rest, plain);
    const first = rest[0]!;
    if (first === "\n") return kept(rest, 1);
    if (first === "`") return spanAt(rest, last);
    if (first === "$") return formulaAt(rest, last);
    if (first === "\\") return rest.length === 1 && !last ? undefined : kept(rest, Math.min(2, rest.length));
    const blanks = /^[ \t]*/.exec(rest)![0].length;
    if (blanks === rest.length) return last ? kept(rest, blanks) : undefined;
    if (!openings.includes(rest[blanks]!)) return kept(rest, blanks);
    return this.readBracket(rest, blanks, last);
  }

  private readBracket(rest: string, blanks: number, last: boolean): Step | undefined {
    const close = rest.indexOf(closings[rest[blanks]!]!, blanks);
    const inner = rest.slice(blanks + 1, close < 0 ? undefined : close);
    if (inner.length > longest || /[\n[]/.test(inner)) return kept(rest, blanks + 1);
    if (close < 0) return last ? kept(rest, blanks + 1) : undefined;
    const marker = readMarker(inner);
    const after = rest.slice(close + 1);
    const before = (this.line() + rest.slice(0, blanks)).slice(-200);
    const needed = name.test(before) ? lookAhead : 1;
    if (marker && !last && !after.includes("\n") && after.trimStart().length < needed) return undefined;
    const isIndex = rest[blanks] === "["; // other brackets are never written around one
    if (!marker || !this.stands({ ...marker, bare: marker.bare && isIndex }, before, after.slice(0, lookAhead))) {
      this.bracketEnd = this.past.length + close + 1;
      return kept(rest, close + 1);
    }
    const known = marker.numbers.filter((number) => number >= 1 && number <= this.count);
    for (const number of known) this.cited.add(number);
    for (const number of marker.numbers) if (!known.includes(number)) this.unknown.add(number);
    if (known.length === 0) return { clean: "", length: close + 1 };
    return { clean: rest.slice(0, blanks) + known.map((number) => `[${number}]`).join(""), length: close + 1 };
  }

  /** Whether numbers in brackets stand where a marker can stand, and can name passages. */
  private stands({ numbers, interval, bare }: Marker, before: string, after: string): boolean {
    const isPassage = (number: number): boolean => number >= 1 && number <= this.count;
    const known = numbers.some(isPassage);
    const isOther = (number: number): boolean =>
      !isPassage(number) && (number > mostNamed || (number === 0 && numbers.length > 1));
    if (numbers.some(isOther)) return false;
    if (after.startsWith("(")) return false; // a link
    if (bare && this.bracketEnd === this.past.length && !/[ \t]$/.test(before)) return false; // [text][1], rows[0][1]
    const ends = clauseEnd.test(after) || openings.includes(after.trimStart()[0]!);
    if (interval && !ends) return false;
    if (!bare) return true;
    if (/[\p{L}\p{N}_$]\([^()]*\)$/u.test(before)) return false; // f(x)[1]
    const attached = name.exec(before)?.[0];
    if (attached === undefined) return true;
    if (!known || looksLikeCode.test(attached) || /^(?:\.?\w|(?:\[[^[\]]{0,9}\]){0,3}[ \t]*[-+*/]?=)/.test(after))
      return false;
    return !(this.names ?? indexedNames(this.past, this.count)).has(attached);
  }
}

/** A stretch of the answer that was read, and what is shown of it. */
interface Step {
  readonly clean: string;
  readonly length: number;
}

const kept = (rest: string, length: number): Step => ({ clean: rest.slice(0, length), length });

/** Where the paragraph of a text ends, or `undefined` where that is not known yet. */
function paragraphEnd(rest: string, last: boolean): number | undefined {
  const end = /\n[ \t]*\n/.exec(rest)?.index;
  return end ?? (last ? rest.length : undefined);
}

/** A code span, which a run of as many backticks closes in the same paragraph; else backticks that mean themselves. */
function spanAt(rest: string, last: boolean): Step | undefined {
  const run = /^`+/.exec(rest)![0].length;
  if (run === rest.length && !last) return undefined;
  const end = paragraphEnd(rest, last);
  for (const { 0: ticks, index } of rest.slice(0, end).matchAll(/`+/g)) {
    if (index === 0 || ticks.length !== run) continue;
    if (index + run === rest.length && !last) return undefined;
    return kept(rest, index + run);
  }
  return end === undefined ? undefined : kept(rest, run);
}

/** A formula between dollars of one line, or between double ones of one paragraph; else an amount of money. */
function formulaAt(rest: string, last: boolean): Step | undefined {
  if (rest.length < 2 && !last) return undefined;
  const found = /^\$\$[\s\S]*?\$\$|^\$(?![\s$])(?:[^$\n\\]|\\.)*?(?<=[^\s\\])\$(?!\d)/.exec(rest);
  if (found && (last || found[0].length < rest.length)) return kept(rest, found[0].length);
  const end = rest.startsWith("$$") ? paragraphEnd(rest, last) : rest.includes("\n") || last ? 0 : undefined;
  return end === undefined ? undefined : kept(rest, 1);
}
