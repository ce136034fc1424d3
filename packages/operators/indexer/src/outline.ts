// internal: chunkCode
import type { Passage } from "@tessera/core";
import { estimateTokens } from "@tessera/core/internal";
import { hasPattern, patternedDefinitions } from "./blocks.js";
import { partsOf } from "./component.js";
import type { Definition } from "./definitions.js";
import { shortened } from "./file-text.js";
import { languageOf } from "./languages.js";
import { hasWords, isBlank } from "./line.js";
import { linesOf, type Piece, passagesOf, type Rows, splitRows, trimmed } from "./pieces.js";
import { layoutOf } from "./readers/layout.js";
import { documentSections } from "./sections.js";
import { canParse, definitionsOf, hasGrammar } from "./syntax.js";

// a definition of another kind and of fewer lines goes with its neighbours
const standsAlone = new Set(["function", "method", "class"]);
const fewLines = 3;

/** Cuts fall at the least indented row, rather after a blank line, and never before what closes a bracket. */
function indentation(lines: readonly string[]): (row: number) => number {
  return (row) => {
    const line = lines[row]!;
    const depth = line.search(/\S/);
    if (depth < 0) return 1_000;
    return (
      2 * depth + (isBlank(lines[row - 1]!) ? 0 : 1) + (/^\s*(?:[)\]}]|else\b|catch\b|finally\b)/.test(line) ? 500 : 0)
    );
  };
}

/** A file as pieces: what is defined in it, and the lines between. */
class Outline {
  readonly pieces: Piece[] = [];
  readonly #path: string;
  readonly #lines: readonly string[];
  readonly #sizes: readonly number[];
  readonly #maximum: number;

  constructor(path: string, lines: readonly string[], maximum: number) {
    this.#path = path;
    this.#lines = lines;
    this.#sizes = lines.map(estimateTokens);
    this.#maximum = maximum;
  }

  /** Adds a run of lines, in parts where it is too long; the first part is the parent of the others, and returned. */
  add(rows: Rows, { kind, symbol, parent, symbols = [] }: Described): Piece | undefined {
    let first: Piece | undefined;
    const kept = trimmed(this.#lines, rows);
    if (!kept || !this.#lines.slice(kept[0], kept[1] + 1).some(hasWords)) return undefined;
    for (const part of splitRows(this.#sizes, kept, this.#maximum, indentation(this.#lines))) {
      const within = trimmed(this.#lines, part);
      if (!within) continue;
      const piece: Piece = {
        rows: within,
        title: symbol === undefined ? this.#path : `${this.#path}: ${symbol}`,
        symbol,
        anchor: first || parent?.symbol === symbol ? undefined : symbol,
        parent: symbol === undefined ? undefined : (first ?? parent),
        metadata: { kind, ...(symbols.length > 0 && { symbols: [...symbols] }) },
      };
      this.pieces.push(piece);
      first ??= piece;
    }
    return first;
  }

  /** Adds the definitions of a scope and the lines they leave; the first of those lines are the header of a class. */
  fill(rows: Rows, definitions: readonly Definition[], scope: Described): void {
    let header: Piece | undefined;
    let next = rows[0];
    let symbols: string[] = [];
    const rest = (to: number) => {
      const piece = this.add([next, to], { ...scope, parent: header, symbols });
      if (scope.symbol !== undefined) header ??= piece;
      symbols = [];
    };
    for (const { kind, name, names = [name], rows: lines, members } of definitions) {
      const own: Rows = [Math.max(lines[0], next), lines[1]]; // a line that two share goes with the first
      if (own[0] > own[1]) continue;
      const few = own[1] - own[0] + 1 < fewLines && !standsAlone.has(kind);
      // several names of one declaration are no definition of its own
      if (few || names.length > 1) {
        symbols.push(...names);
        continue;
      }
      rest(own[0] - 1);
      const symbol = scope.symbol === undefined ? name : `${scope.symbol}.${name}`;
      const size = this.#sizes.slice(own[0], own[1] + 1).reduce((sum, tokens) => sum + tokens, 0);
      if (size > this.#maximum && members.length > 0) this.fill(own, members, { kind, symbol });
      else this.add(own, { kind, symbol, parent: header });
      next = own[1] + 1;
    }
    rest(rows[1]);
  }
}

interface Described {
  readonly kind: string;
  readonly symbol?: string | undefined;
  readonly parent?: Piece | undefined;
  readonly symbols?: readonly string[];
}

/**
 * Cuts a document by its syntax tree where its language has a grammar, by headings where it is Markdown, and at the
 * best lines otherwise. Text of each passage is its lines, exactly; lines without a letter or a digit may be left out.
 * Without the packages that parse code, files of code are cut at the best lines, which a warning says once.
 * @throws TesseraError DEPENDENCY_MISSING where the parser is installed and cannot be loaded; the reason of the signal
 */
export async function chunkCode(
  document: Passage,
  { maximum }: { maximum: number },
  signal?: AbortSignal,
): Promise<Passage[]> {
  const path = document.source?.path ?? document.id;
  const layout = layoutOf(document);
  const language = layout?.headings ? "markdown" : languageOf(path);
  const whole = linesOf(document.text);
  if (language === "markdown") return passagesOf(document, whole, documentSections(document, whole, maximum));
  const lines = language === "text" ? whole : whole.map(shortened);
  const outline = new Outline(path, lines, maximum);
  if (language === "vue" || language === "svelte")
    for (const { kind, language: own, rows } of partsOf(whole)) {
      // what is before the part are blank lines, so that the rows of its definitions are the file's
      const part = whole.slice(0, rows[1]).map((line, row) => (row > rows[0] ? line : ""));
      outline.fill(rows, await definitionsIn(part, own, signal), { kind });
    }
  else {
    const known = hasGrammar(language) || hasPattern(language);
    outline.fill([0, lines.length - 1], await definitionsIn(whole, language, signal), {
      kind: known ? "module" : "text",
    });
  }
  return passagesOf({ ...document, metadata: { ...document.metadata, language } }, lines, outline.pieces);
}

async function definitionsIn(
  lines: readonly string[],
  language: string,
  signal: AbortSignal | undefined,
): Promise<readonly Definition[]> {
  if (hasGrammar(language)) return canParse() ? definitionsOf(lines.join("\n"), language, signal) : [];
  return hasPattern(language) ? patternedDefinitions(lines, language) : [];
}
