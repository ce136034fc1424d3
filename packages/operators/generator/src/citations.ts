// "[1]", "[1, 2]", "[1-3]", "[passage 2]", "[^1]", and the brackets that some models were trained on: "【1†source】"
const marker =
  /[ \t]*[[【]\^?(?:(?:passage|source|document)s?)?[ \t]*(\d{1,4}(?:[ \t]*[-–,;][ \t]*\d{1,4})*)(?:†[^\]】\n]{0,40})?[\]】]/iy;
const opening = /[ \t]*(?:[[【]\^?[a-z]{0,9}[ \t]*[\d \t,;–-]{0,40}(?:†[^\]】\n]{0,40})?)?$/iy;

/** The numbers that a marker names, each once. */
function numbersOf(list: string): number[] {
  const numbers = list.split(/[,;]/).flatMap((part) => {
    const [from, to = from] = part.split(/[-–]/).map(Number) as [number, number?];
    return to >= from && to - from < 100 ? Array.from({ length: to - from + 1 }, (_, i) => from + i) : [from, to];
  });
  return [...new Set(numbers)];
}

/**
 * Reads an answer as it streams, and lets only markers of the `count` passages through, written `[1][2]`. A marker of
 * no passage is removed, with the space before it. Brackets inside backticks are code, and stay.
 */
export class CitationReader {
  /** The passages cited so far. */
  readonly cited = new Set<number>();
  /** The numbers that were removed. */
  readonly unknown = new Set<number>();
  private held = "";
  private fence = 0; // how many backticks opened the code that is being read

  constructor(private readonly count: number) {}

  /** The next part of the answer's clean text; what could still become a marker is held back. */
  push(text: string): string {
    return this.read(this.held + text, false);
  }

  /** The rest. */
  end(): string {
    return this.read(this.held, true);
  }

  private read(text: string, last: boolean): string {
    let clean = "";
    let i = 0;
    while (i < text.length) {
      const character = text[i]!;
      if (character === "`") {
        const run = /`+/y;
        run.lastIndex = i;
        const ticks = run.exec(text)![0].length;
        if (i + ticks === text.length && !last) break;
        if (this.fence === 0) this.fence = ticks;
        else if (this.fence === ticks) this.fence = 0;
        clean += text.slice(i, i + ticks);
        i += ticks;
        continue;
      }
      if (character === "\n" && this.fence < 3) this.fence = 0; // a code span ends with its line
      if (this.fence === 0 && /[ \t[【]/.test(character)) {
        marker.lastIndex = i;
        const found = marker.exec(text);
        if (found) {
          clean += this.keep(found);
          i = marker.lastIndex;
          continue;
        }
        opening.lastIndex = i;
        if (!last && opening.test(text)) break;
      }
      clean += character;
      i++;
    }
    this.held = text.slice(i);
    return clean;
  }

  private keep([whole, list]: RegExpExecArray): string {
    const known: number[] = [];
    for (const number of numbersOf(list!)) {
      if (number < 1 || number > this.count) this.unknown.add(number);
      else {
        this.cited.add(number);
        known.push(number);
      }
    }
    return known.length === 0 ? "" : `${/^[ \t]*/.exec(whole)![0]}${known.map((number) => `[${number}]`).join("")}`;
  }
}
