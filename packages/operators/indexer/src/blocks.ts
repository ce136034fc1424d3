import type { Definition } from "./definitions.js";
import { isBlank } from "./line.js";

// languages without a grammar here whose declarations begin with a word, and end with a bracket or a word
const patterned = new Set([
  "dart",
  "elixir",
  "groovy",
  "julia",
  "kotlin",
  "lua",
  "perl",
  "r",
  "scala",
  "scss",
  "solidity",
  "swift",
  "terraform",
  "zig",
]);

/** Whether definitions of a language are found by how its lines begin and are indented. */
export const hasPattern = (language: string): boolean => patterned.has(language);

const modifiers =
  "(?:(?:public|private|protected|internal|fileprivate|open|override|abstract|final|sealed|static|suspend|inline|data|export|pub|local|async|mutating|companion|external|const|lazy|implicit|case|indirect|convenience|required|@\\w+(?:\\([^)]*\\))?)\\s+)*";
const words: Record<string, string> = {
  actor: "class",
  class: "class",
  contract: "class",
  def: "function",
  defmodule: "namespace",
  defp: "function",
  enum: "enum",
  extension: "class",
  fn: "function",
  fun: "function",
  func: "function",
  function: "function",
  init: "function",
  interface: "interface",
  mixin: "class",
  module: "namespace",
  object: "class",
  protocol: "interface",
  record: "class",
  struct: "class",
  sub: "function",
  trait: "interface",
};
const word = new RegExp(
  `^(\\s*)${modifiers}(${Object.keys(words).join("|")})\\b(?:\\s+(?:<[^>]*>\\s*)?([\\w$.:]+[?!]?)|\\s*\\()`,
);
const terraform = /^()(resource|data|variable|module|output|provider|locals)\b\s*(?:"([^"]+)")?\s*(?:"([^"]+)")?\s*\{/;
// Dart: a type, a name, parameters and a body
const typed = /^(\s*)(?:[\w<>?,[\] ]+\s)([\w$]+)\s*\([^;]*(?:\)\s*(?:async\*?\s*|sync\*\s*)?(?:\{|=>)|,\s*$|\(\s*$)/;
const statement = /^\s*(?:if|for|while|switch|catch|return|else|throw|await|new|assert|case)\b/;
const comment = /^\s*(?:\/\/|\/\*|\*|#(?!\{)|--|@\w)/;
const closing = /^\s*(?:\}|end\b|\)|\])/;

function nameOf(line: string, language: string): { indent: number; kind: string; name: string } | undefined {
  if (language === "terraform") {
    const found = terraform.exec(line);
    return found
      ? { indent: 0, kind: "class", name: [found[2], found[3], found[4]].filter(Boolean).join(".") }
      : undefined;
  }
  const found = word.exec(line);
  if (found) return { indent: found[1]!.length, kind: words[found[2]!]!, name: found[3] ?? found[2]! };
  const other = language === "dart" && !statement.test(line) ? typed.exec(line) : null;
  return other ? { indent: other[1]!.length, kind: "function", name: other[2]! } : undefined;
}

/** The definitions of a language without a grammar, in lines that are indented as its formatter does. */
export function patternedDefinitions(lines: readonly string[], language: string): Definition[] {
  const read = (from: number, to: number, depth: number): Definition[] => {
    const found: Definition[] = [];
    for (let row = from; row <= to; row++) {
      const head = nameOf(lines[row]!, language);
      if (!head || head.indent < depth) continue;
      let end = row;
      for (let next = row + 1; next <= to; next++) {
        const line = lines[next]!;
        if (isBlank(line)) continue;
        if (line.search(/\S/) > head.indent) end = next;
        else if (closing.test(line)) {
          end = next;
          // `) {` and `} else {` go on
          if (!/[{(:]\s*$|\bdo\s*$/.test(line)) break;
        } else break;
      }
      let start = row;
      while (start > from && comment.test(lines[start - 1]!)) start--;
      const inside = /class|interface|namespace|enum/.test(head.kind);
      const members = inside && end > row ? read(row + 1, end, head.indent + 1) : [];
      found.push({ kind: head.kind, name: head.name, rows: [start, end], members });
      row = end;
    }
    return found;
  };
  return read(0, lines.length - 1, 0);
}
