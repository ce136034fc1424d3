import { closingOf, normalQuery, withoutIntroduction } from "@tessera/core/internal";

const bullet =
  /^\s*(?:(?:[-*+•–—‣▪●◦]|\(?#?\d{1,3}[.):]|\(?[a-z]\)|q(?:uery|uestion)?\s*\d{1,3}\s*[.:)])\s+|\d{1,3}[、．]\s*)(?:\[[ x]\]\s+)?/i;
const longest = 1000;

const bare = (line: string): string => {
  let text = line.replace(bullet, "").trim();
  for (let before = ""; before !== text; ) {
    before = text;
    text = text.replace(/^(["'`“‘]|\*\*|__)([\s\S]*)(["'`”’]|\*\*|__),?$/, "$2").trim();
  }
  return text;
};

function textOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  const found = Object.values(value).find((member) => typeof member === "string" || Array.isArray(member));
  return Array.isArray(found) ? found.flatMap(textOf) : found === undefined ? [] : [found as string];
}

/** The JSON value that an answer holds, between whatever else was said; `undefined` where there is none. */
export function readJson(answer: string): unknown {
  for (const [open, close] of ["[]", "{}"] as const) {
    const [from, to] = [answer.indexOf(open!), answer.lastIndexOf(close!)];
    if (from < 0 || to < from) continue;
    try {
      return JSON.parse(answer.slice(from, to + 1));
    } catch {
      // it was no JSON, or not all of it
    }
  }
  return undefined;
}

const mostTried = 50;

/**
 * The texts of the first JSON array or object of an answer that holds any. Brackets in a numbered or bulleted line are
 * part of what the line says, and so are brackets without a text, such as "[2024]".
 */
function jsonTexts(answer: string): string[] | undefined {
  const opening = /[[{]/g;
  let tried = 0;
  for (let found = opening.exec(answer); found && tried < mostTried; found = opening.exec(answer)) {
    tried++;
    const line = answer.slice(answer.lastIndexOf("\n", found.index) + 1, found.index);
    const end = bullet.test(line) ? undefined : closingOf(answer, found.index);
    if (end === undefined) continue;
    try {
      const value: unknown = JSON.parse(answer.slice(found.index, end));
      const texts = Array.isArray(value) ? value.flatMap(textOf) : textOf(value);
      if (texts.some((text) => /\p{L}/u.test(text))) return texts;
    } catch {} // it was no JSON
    opening.lastIndex = end;
  }
  return undefined;
}

/**
 * Reads a list of texts out of what a model said: a JSON array or object, numbered or bulleted lines, or plain lines.
 * Quotes, emphasis, code fences, sentences that only introduce the list, and repetitions are dropped.
 */
export function readList(answer: string): string[] {
  const lines = answer.split(/\r\n?|\n/).filter((line) => !/^\s*(```|~~~)/.test(line));
  const marked = lines.filter((line) => bullet.test(line));
  const plain = () => lines.filter((line) => !/[:：]\s*$/.test(line));
  const read = jsonTexts(answer) ?? (marked.length > 0 ? marked : plain()).map(bare);
  const seen = new Set<string>();
  return read
    .map((text) => text.trim())
    .filter((text) => {
      const key = normalQuery(text);
      if (!/\p{L}/u.test(key) || text.length > longest || seen.has(key)) return false;
      seen.add(key);
      return true;
    });
}

/** One text out of what a model said: without quotes, a code fence or a label such as "Query:". */
export function readOne(answer: string): string {
  const inner = /```[a-z]*\n([\s\S]*?)```/i.exec(answer)?.[1] ?? answer;
  const line = withoutIntroduction(inner)
    .trim()
    .replace(/^(?:[a-z]+ ){0,3}(?:query|question|answer|rewrite)\s*:\s*/i, "");
  return bare(line.split(/\r?\n\s*\r?\n/)[0]!.replace(/\s+/g, " "));
}

/** The queries of an answer's list that differ from the one asked, `count` at most. */
export const otherQueries = (answer: string, query: string, count: number): string[] =>
  readList(answer)
    .filter((other) => normalQuery(other) !== normalQuery(query))
    .slice(0, count);
