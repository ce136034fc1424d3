import type { Database } from "@tessera/core";

export interface SqlToken {
  readonly kind: "word" | "quoted" | "text" | "sign" | "comment";
  /** In lower case; of what is quoted, without the quotes. */
  readonly text: string;
  /** Where it begins and ends in the statement, in UTF-16 code units. */
  readonly start: number;
  readonly end: number;
}

interface Lexing {
  readonly dialect: Database["dialect"];
  /** Whether a backslash in quotes takes the next character with it. */
  readonly escapes: boolean;
}

/** Why the tokens end before the statement does, and the tokens so far. */
interface Unreadable {
  readonly reason: string;
  /** Whether every database finds this fault too, and runs nothing: an open quote, a backslash outside of quotes. */
  readonly void: boolean;
  readonly tokens: readonly SqlToken[];
}

/** What is said of a statement whose quote is never closed. */
export const openQuote = "a quote is not closed";

const closings: Record<string, string> = { "'": "'", '"': '"', "`": "`", "[": "]" };

/** Where a quote that opens at `at` ends, behind its closing sign; −1 where it does not. */
function closeOf(statement: string, at: number, closing: string, escapes: boolean): number {
  for (let end = at + 1; end < statement.length; end++) {
    if (statement[end] === "\\" && escapes && closing !== "]" && closing !== "`") end++;
    else if (statement[end] === closing) {
      if (closing === "]" || statement[end + 1] !== closing) return end + 1;
      end++;
    }
  }
  return -1;
}

/** The comment at a place, and whether it is a plain one: what stands in it is read by no database. */
function commentAt(
  statement: string,
  at: number,
  dialect: Database["dialect"],
): { end: number; plain: boolean } | undefined {
  const two = statement.slice(at, at + 2);
  const line = statement.indexOf("\n", at) < 0 ? statement.length : statement.indexOf("\n", at);
  if (two === "--") return { end: line, plain: dialect !== "mysql" || /^--(?:\s|$)/.test(statement.slice(at, at + 3)) };
  if (two[0] === "#" && dialect === "mysql") return { end: line, plain: true };
  if (two !== "/*") return undefined;
  const end = statement.indexOf("*/", at + 2);
  const inner = statement.slice(at + 2, end < 0 ? statement.length : end);
  return { end: end < 0 ? statement.length : end + 2, plain: end >= 0 && !/^[!+M]|\/\*/.test(inner) };
}

/**
 * The tokens of a statement as a database reads them, comments among them, or why they end early. What two versions of a
 * database may read differently is not read.
 */
export function sqlTokens(statement: string, { dialect, escapes }: Lexing): SqlToken[] | Unreadable {
  const tokens: SqlToken[] = [];
  const add = (kind: SqlToken["kind"], start: number, end: number, text = statement.slice(start, end)): number => {
    tokens.push({ kind, text: text.toLowerCase(), start, end });
    return end;
  };
  for (let at = 0; at < statement.length; ) {
    const character = statement[at]!;
    const comment = commentAt(statement, at, dialect);
    if (/[ \t\r\n]/.test(character)) at += 1;
    else if (comment) {
      if (!comment.plain) return { reason: "it holds a comment that a database may read", void: false, tokens };
      at = add("comment", at, comment.end);
    } else if (character in closings && !(character === "[" && dialect !== "sqlite")) {
      if (character === "`" && dialect === "postgresql") return { reason: "it holds a backtick", void: false, tokens };
      const end = closeOf(statement, at, closings[character]!, escapes);
      if (end < 0) return { reason: openQuote, void: true, tokens };
      const name = character !== "'" && !(character === '"' && dialect === "mysql");
      at = add(name ? "quoted" : "text", at, end, statement.slice(at + 1, end - 1));
    } else if (/[\p{L}\p{N}_]/u.test(String.fromCodePoint(statement.codePointAt(at)!))) {
      at = add("word", at, at + /^[\p{L}\p{N}\p{M}_]+/u.exec(statement.slice(at, at + 1000))![0].length);
    } else if (/^\[[^\]]*['"`]/.test(statement.slice(at, at + 200))) {
      return { reason: "it holds a quote in brackets", void: false, tokens };
    } else if (statement.startsWith(":=", at)) {
      return { reason: "it assigns a variable", void: false, tokens };
    } else if (/[-+*/%<>=!~^&|()[\].,;:?@#]/.test(character)) {
      at = add("sign", at, at + 1);
    } else
      return {
        reason: `it holds the character ${JSON.stringify(character)}`,
        void: character === "\\" && dialect !== "sqlite",
        tokens,
      };
  }
  return tokens;
}
