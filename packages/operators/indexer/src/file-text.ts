import type { Json, Passage } from "@tessera/core";
import type { Unread } from "@tessera/core/internal";
import { hasWords } from "./pieces.js";
import { layoutKey, wrapLines } from "./readers/layout.js";
import type { UnreadPart } from "./readers/reader.js";
import type { ReadResult } from "./readers/reading.js";

/** A file or folder that is left out although nothing asked for that. */
export type Skipped = Unread;

const longestLine = 10_000;
const keptOfLine = 200;

/** A line of code, or the beginning of one that no person wrote. */
export const shortened = (line: string): string =>
  line.length > longestLine ? `${line.slice(0, keptOfLine)} …` : line;

/** The numbers of the lines of code that are shortened, from 1. */
const longLines = (text: string): number[] =>
  text.length <= longestLine
    ? []
    : text.split("\n").flatMap((line, index) => (line.length > longestLine ? [index + 1] : []));

/** Whether the long lines of a file are all that it says, but for comments. */
const isMinified = (text: string): boolean =>
  !text
    .split("\n")
    .some((line) => line.length <= longestLine && hasWords(line) && !/^\s*(?:\/\/|\/?\*|#|<!--)/.test(line));

// by the names that test runners look for
const isTest = (path: string): boolean =>
  /(?:^|\/)(?:tests?|__tests__|specs?)\/|[._-](?:test|spec)\.\w+$|(?:^|\/)test_[^/]*\.py$/.test(path);

/** What reading a file came to: a document, and what of it was not read. */
export interface ReadFile {
  readonly document?: Passage | undefined;
  readonly unread: readonly Skipped[];
}

const unreadOf = (path: string, { reason, detail }: UnreadPart): Skipped => ({
  path,
  reason,
  ...(detail && { detail }),
});

/**
 * A whole file as a passage; the chunkers cut it, and put a "#" before what they add to its id. `metadata.test` is there
 * where the file is a test, so that a filter can leave tests out; so are `metadata.generated` and `metadata.vendored`.
 */
export function documentOf(path: string, read: ReadResult): ReadFile {
  if (!("text" in read)) return { unread: [unreadOf(path, read)] };
  const { text, title, language, layout, reader } = read;
  const unread: Skipped[] = read.unread.map((part) => unreadOf(path, part));
  const prose = language === "markdown" || language === "text";
  const long = layout || prose ? [] : longLines(text);
  if (long.length > 0 && isMinified(text)) return { unread: [{ path, reason: "minified" }] };
  if (long.length > 0) {
    const lines = `${long.length === 1 ? "line" : "lines"} ${long.slice(0, 5).join(", ")}${long.length > 5 ? ", …" : ""}`;
    unread.push({
      path,
      reason: "partial",
      detail: `${lines}: of more than ${longestLine} characters the first ${keptOfLine} are read`,
    });
  }
  const even = layout === undefined && prose ? wrapLines(text.split("\n")) : undefined;
  const laid = layout ?? even?.layout;
  const document: Passage = {
    id: path.replaceAll("#", "%23"),
    text: even?.text ?? text,
    ...(title !== undefined && title !== "" && { title }),
    source: { path },
    metadata: {
      language,
      ...(layout && { reader }),
      ...(isTest(path) && { test: true }),
      ...(laid && { [layoutKey]: laid as unknown as Json }),
    },
  };
  return { document, unread };
}
