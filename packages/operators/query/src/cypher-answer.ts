import { readCypher } from "./cypher.js";
import { readJson } from "./lines.js";

const clause = /\b(?:OPTIONAL MATCH|MATCH|WITH|UNWIND|RETURN|CALL)\b/gi;

const writing = /\b(?:create|merge|delete|set|remove|drop|foreach|insert|load\s+csv)\b/i;

/**
 * The query that an answer holds: the last that can be read, from its code blocks, else from its spans and its prose. Where
 * none can, what stands in its last block, or from its first clause on, for the guard to say why.
 */
export function readQuery(answer: string, admitted: readonly string[] = []): string {
  const texts = [/(`{3,}|~{3,})[ \t]*\w*[ \t]*\n?([\s\S]*?)(?:\1|$)/g, /(`)([^`\n]+)`(?!`)/g].flatMap((pattern) =>
    [...answer.matchAll(pattern)].map(([, , inner]) => inner!.trim()).reverse(),
  );
  const json = readJson(answer);
  if (typeof json === "object" && json !== null)
    for (const [key, value] of Object.entries(json))
      if (typeof value === "string" && /cypher|query|statement/i.test(key)) texts.unshift(value.trim());
  const readable = (text: string): boolean => typeof readCypher(text, admitted) !== "string";
  const found = texts.find((text) => readable(text));
  if (found !== undefined) return found;
  let said: string | undefined;
  for (const { index } of [...answer.slice(0, 20_000).matchAll(clause)].slice(0, 50)) {
    // a query ends at a blank line, at a line, or with the text
    const rest = answer.slice(index);
    const ends = [...rest.matchAll(/\n[ \t]*\n|\n|;/g)].slice(0, 50).map((end) => end.index);
    const end = [rest.length, ...ends.reverse()].find((at) => readable(rest.slice(0, at)));
    // what is left of a query behind a clause that writes is not read in its place
    const before = answer
      .slice(0, index)
      .split(/\n[ \t]*\n/)
      .at(-1)!;
    if (end !== undefined) return writing.test(before) ? before + rest.slice(0, end) : rest.slice(0, end).trim();
    said ??= rest;
  }
  return (texts[0] ?? said ?? answer).trim();
}
