import type { Passage } from "@tessera/core";
import type { Unread } from "@tessera/core/internal";
import { languageOf } from "./languages.js";

/** A file or folder that is left out although nothing asked for that. */
export type Skipped = Unread;

const longestLine = 10_000;

/**
 * The text of a file: UTF-8 or UTF-16 by its byte order mark, or Windows-1252 where neither fits; else why there is none.
 * Binary is what holds a NUL byte, as in git, or control characters where it is no Unicode. Minified is code with a line
 * of more than 10,000 characters.
 */
export function textOf(path: string, bytes: Uint8Array): { text: string } | { reason: Skipped["reason"] } {
  const text = decode(bytes);
  if (text === undefined) return { reason: "binary" };
  const language = languageOf(path);
  if (language !== "markdown" && language !== "text" && hasLongLine(text)) return { reason: "minified" };
  return { text };
}

function decode(bytes: Uint8Array): string | undefined {
  const wide =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? "utf-16le"
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? "utf-16be"
        : undefined;
  if (!wide && bytes.includes(0)) return undefined;
  try {
    return new TextDecoder(wide ?? "utf-8", { fatal: true }).decode(bytes);
  } catch {
    if (wide || bytes.some((byte) => byte < 9 || (byte > 13 && byte < 27) || (byte > 27 && byte < 32) || byte === 127))
      return undefined;
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

function hasLongLine(text: string): boolean {
  for (let from = 0; from <= text.length; ) {
    const end = text.indexOf("\n", from);
    if ((end < 0 ? text.length : end) - from > longestLine) return true;
    if (end < 0) return false;
    from = end + 1;
  }
  return false;
}

// by the names that test runners look for
const isTest = (path: string): boolean =>
  /(?:^|\/)(?:tests?|__tests__|specs?)\/|[._-](?:test|spec)\.\w+$|(?:^|\/)test_[^/]*\.py$/.test(path);

/**
 * A whole file as a passage; the chunkers cut it, and put a "#" before what they add to its id. `metadata.test` is there
 * where the file is a test, so that a filter can leave tests out.
 */
export const documentOf = (path: string, text: string): Passage => ({
  id: path.replaceAll("#", "%23"),
  text,
  source: { path },
  metadata: { language: languageOf(path), ...(isTest(path) && { test: true }) },
});
