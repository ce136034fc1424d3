// internal: measureCodePassages
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import type { Passage } from "@tessera/core";
import { estimateTokens } from "@tessera/core/internal";
import { Codebase } from "@tessera/indexer";
import type { Output } from "../reports/output.js";
import { fetchPackage } from "./packages.js";
import { readPlaces } from "./place-set.js";

type Language = "go" | "java" | "rust" | "cpp";

/** How a line looks at which a function begins, in code that is formatted as is usual in its language. */
const starts: Readonly<Record<Language, RegExp>> = {
  go: /^func\b/,
  rust: /^\s*(?:pub(?:\([^)]*\))?\s+)?(?:const\s+|async\s+|unsafe\s+)*fn\s+\w+/,
  java: /^ {4}(?:@\w+\s+)*(?:(?:public|protected|private|static|final|synchronized|abstract|native)\s+)+(?:<[^>]+>\s+)?[\w<>[\], .?]+\(/,
  cpp: /^\s*(?!(?:if|for|while|switch|return|else|do|catch|namespace|class|struct|enum|union|typedef|using|template)\b)(?:[\w:~&*<>,]+\s+)*[\w:~&*<>]+\([^;]*$/,
};
const endings: Readonly<Record<Language, string>> = { go: ".go", java: ".java", rust: ".rs", cpp: ".hpp" };
const comment = /^\s*(?:\/\/|\/\*|\*)/;
const mark = /^\s*(?:#\[|@\w)/; // an attribute or annotation between comment and function
/** What a passage holds at most, in tokens as the indexer counts them. */
const maximum = 400;

/** A function with the comment above it; rows count from 0. */
interface FunctionRows {
  /** Of the comment; that of the function where it has none. */
  readonly from: number;
  readonly start: number;
  readonly to: number;
}

/**
 * The functions of a file by how its lines look: from a line that begins one to the first line of the same depth that
 * begins with a closing brace. It needs no grammar, so that it can be held against what was cut by one. Functions within
 * functions are not counted.
 */
export function functionsIn(lines: readonly string[], language: Language): FunctionRows[] {
  const found: FunctionRows[] = [];
  for (let start = 0; start < lines.length; start++) {
    if (!starts[language].test(lines[start]!) || comment.test(lines[start]!)) continue;
    let head = start;
    while (head < Math.min(start + 12, lines.length) && !/[{;]\s*(?:\/\/.*)?$|\}\s*$/.test(lines[head]!)) head++;
    if (!/\{\s*(?:\/\/.*)?$/.test(lines[head] ?? "")) {
      if (!/\{.*\}\s*$/.test(lines[head] ?? "")) continue; // a declaration without a body
      found.push({ from: commentAbove(lines, start), start, to: head });
      start = head;
      continue;
    }
    const depth = lines[start]!.search(/\S/);
    let to = head + 1;
    while (to < lines.length && !(lines[to]!.search(/\S/) === depth && /^\s*\}/.test(lines[to]!))) to++;
    if (to === lines.length) continue;
    found.push({ from: commentAbove(lines, start), start, to });
    start = to;
  }
  return found;
}

function commentAbove(lines: readonly string[], start: number): number {
  let from = start;
  while (from > 0 && (comment.test(lines[from - 1]!) || mark.test(lines[from - 1]!))) from--;
  return from;
}

/** What passages make of the functions of a file. */
interface CodeFigures {
  readonly functions: number;
  /** Functions with their comment that fit in a passage, and of these those that are in one. */
  readonly fitting: number;
  readonly whole: number;
  /** Functions that have a comment, and of these those whose comment begins in another passage than they do. */
  readonly commented: number;
  readonly parted: number;
  readonly passages: number;
  /** Passages in which more than one function begins. */
  readonly several: number;
}

export function figuresOf(
  lines: readonly string[],
  functions: readonly FunctionRows[],
  passages: readonly (readonly [from: number, to: number])[],
): CodeFigures {
  const at = (row: number) => passages.findIndex(([from, to]) => from <= row && row <= to);
  const sizes = lines.map(estimateTokens);
  const fits = ({ from, to }: FunctionRows) =>
    sizes.slice(from, to + 1).reduce((sum, size) => sum + size, 0) <= maximum;
  const fitting = functions.filter(fits);
  const commented = functions.filter(({ from, start }) => from < start);
  return {
    functions: functions.length,
    fitting: fitting.length,
    whole: fitting.filter(({ from, to }) => at(from) >= 0 && at(from) === at(to)).length,
    commented: commented.length,
    parted: commented.filter(({ from, start }) => at(from) !== at(start)).length,
    passages: passages.length,
    several: passages.filter(([from, to]) => functions.filter(({ start }) => from <= start && start <= to).length > 1)
      .length,
  };
}

const sources: Readonly<Record<Language, string>> = {
  go: "golang-github-spf13-cobra-dev",
  java: "react-native-async-storage",
  rust: "librust-ignore-dev",
  cpp: "libcli11-dev",
};

/** Measures how functions and comments of a Go, a Java, a Rust and a C++ package lie in passages, and prints a table. */
export async function measureCodePassages(output: Output, signal?: AbortSignal): Promise<number> {
  const { packages } = await readPlaces();
  const rows: (string | number)[][] = [];
  for (const [language, name] of Object.entries(sources) as [Language, string][]) {
    signal?.throwIfAborted();
    const pack = packages.get(name)!;
    const total = await measureFiles(join(await fetchPackage(name, pack), pack.root), language);
    const share = (part: number, whole: number) => `${part} of ${whole}`;
    rows.push([
      `${language}: ${name} ${pack.version}`,
      total.functions,
      share(total.whole, total.fitting),
      share(total.parted, total.commented),
      share(total.several, total.passages),
    ]);
    output.line({ metric: "code passages", language, package: name, ...total });
  }
  output.table(
    [
      "",
      "functions",
      "that fit, in one passage",
      "comments parted from their function",
      "passages of several functions",
    ],
    rows,
  );
  return 0;
}

async function measureFiles(root: string, language: Language): Promise<CodeFigures> {
  const folder = await mkdtemp(join(tmpdir(), "tessera-code-passages-"));
  try {
    const { codebase } = await Codebase.update(folder, { root });
    const byPath = Map.groupBy(await codebase.passages(), ({ source }: Passage) => source?.path ?? "");
    const all: CodeFigures[] = [];
    for (const [path, passages] of byPath) {
      if (extname(path) !== endings[language]) continue;
      const lines = (await readFile(join(root, path), "utf8")).split("\n");
      const rows = passages.flatMap(({ source }) =>
        source?.lines ? [[source.lines[0] - 1, source.lines[1] - 1] as const] : [],
      );
      all.push(figuresOf(lines, functionsIn(lines, language), rows));
    }
    const sum = (take: (one: CodeFigures) => number) => all.reduce((total, one) => total + take(one), 0);
    return {
      functions: sum(({ functions }) => functions),
      fitting: sum(({ fitting }) => fitting),
      whole: sum(({ whole }) => whole),
      commented: sum(({ commented }) => commented),
      parted: sum(({ parted }) => parted),
      passages: sum(({ passages }) => passages),
      several: sum(({ several }) => several),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
