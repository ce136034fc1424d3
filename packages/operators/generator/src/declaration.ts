/** What a reader looks at first in a piece of code. */
export interface Declaration {
  /** The text of its comments before the code, or of its docstring, without marks and tags. */
  readonly comment: string;
  /** The declaration up to its body, on one line. */
  readonly signature: string;
  /** The lines after the signature, with their numbers in the piece, from 0. */
  readonly body: readonly { readonly text: string; readonly line: number }[];
}

const lineComment = /^\s*(?:\/\/+!?|#(?!!|\[|include|define|if|endif|pragma)|--(?=\s))\s?/;
const imported =
  /^\s*(?:import\b|from\s+\S+\s+import\b|export\s+(?:type\s+)?(?:\*|\{[^}]*\})\s*from\b|#include\b|using\s|require\b)/;
const decorator = /^\s*@[\w.]+/;
const quotes = /^\s*[rRuUbB]{0,2}("""|''')/;

/** A comment's text: without tags such as @param, and with its lines joined to paragraphs. */
function prose(lines: readonly string[]): string {
  const text = lines
    .join("\n")
    .replace(/^\s*@(?!\w+\s*$)\w[\s\S]*$/m, "")
    .replace(/\{@\w+\s+([^}\s|]+)[^}]*\}/g, "$1");
  return text
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replace(/\s+/g, " ").trim())
    .filter((paragraph) => /\p{L}/u.test(paragraph) && !/^@?__\w+__$/.test(paragraph))
    .join("\n");
}

/** Where the comment that begins at a row ends, and its text; `undefined` where none begins there. */
function commentAt(lines: readonly string[], row: number): { end: number; text: string[] } | undefined {
  const line = lines[row]!;
  if (lineComment.test(line)) return { end: row, text: [line.replace(lineComment, "")] };
  if (!/^\s*\/\*/.test(line)) return undefined;
  let end = row;
  while (end < lines.length - 1 && !lines[end]!.includes("*/")) end++;
  const text = lines
    .slice(row, end + 1)
    .map((part) => part.replace(/^\s*\/?\*+!?\/?\s?/, "").replace(/\s*\*+\/.*$/, ""));
  return { end, text };
}

const depth = (text: string): number => {
  const bare = text.replace(/(["'`])(?:\\.|(?!\1).)*\1|\/\/.*$/g, "").replace(/[=-]>/g, "");
  return (bare.match(/[([<]/g)?.length ?? 0) - (bare.match(/[)\]>]/g)?.length ?? 0);
};

/** Where the declaration that begins at a row ends: at its opening brace, its colon, its arrow or its semicolon. */
function signatureEnd(lines: readonly string[], row: number): number {
  let open = 0;
  for (let end = row; end < Math.min(lines.length, row + 12); end++) {
    open += depth(lines[end]!);
    if (/(?:=>|\))\s*\{$/.test(lines[end]!)) return end;
    if (open <= 0 && (/(?:[{:;]|=>)\s*(?:\/\/.*)?$/.test(lines[end]!) || !/^\s*[{.&|?:=]/.test(lines[end + 1] ?? "")))
      return end;
  }
  return row;
}

/**
 * Reads a piece of code in any language with C-like or Python-like comments; it needs no grammar. Where the code does
 * not begin with the declaration of `symbol` ("Class.method" or "function"), all of it is body.
 */
export function declarationOf(code: string, symbol = ""): Declaration {
  const lines = code.split("\n");
  const comments: string[] = [];
  let row = 0;
  for (; row < lines.length; row++) {
    const comment = commentAt(lines, row);
    if (comment) {
      // a licence or a lint directive is no description
      if (
        !/\b(?:copyright|licen[cs]e|eslint|biome-ignore|prettier-ignore|@ts-|noqa|#region)\b/i.test(
          comment.text.join(" "),
        )
      )
        comments.push(...comment.text);
      row = comment.end;
    } else if (lines[row]!.trim() !== "" && !imported.test(lines[row]!) && !decorator.test(lines[row]!)) break;
    else if (lines[row]!.trim() === "" && comments.length > 0) comments.push("");
  }
  if (row >= lines.length) return { comment: prose(comments), signature: "", body: [] };

  const name = symbol.split(".").at(-1)!;
  let end = signatureEnd(lines, row);
  if (name === "" || !lines.slice(row, end + 1).some((line) => line.includes(name))) end = row - 1;
  const signature = lines
    .slice(row, end + 1)
    .map((line) => line.trim())
    .join(" ")
    .replace(/\s*(?:=>?\s*)?\{$|(?<=^(?:async |def |class ).*):$/, "")
    .replace(/([([]) | (?=[)\]])/g, "$1")
    .replace(/,(?=[)\]])/g, "");
  let body = end + 1;
  const quote = quotes.exec(lines[body] ?? "")?.[1];
  if (quote) {
    let close = body;
    while (close < lines.length - 1 && !lines[close]!.replace(close === body ? quotes : "", "").includes(quote))
      close++;
    comments.push("", ...lines.slice(body, close + 1).map((line) => line.replaceAll(quote, "")));
    body = close + 1;
  }
  return {
    comment: prose(comments),
    signature,
    body: lines
      .slice(body)
      .map((text, index) => ({ text, line: body + index }))
      .filter(({ text }) => /\p{L}/u.test(text) && !imported.test(text)),
  };
}
