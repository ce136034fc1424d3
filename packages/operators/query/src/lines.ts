import { normalQuery } from "@tessera/core/internal";

const bullet = /^\s*(?:[-*•–]|\(?#?\d{1,3}[.):]|q(?:uery|uestion)?\s*\d{1,3}\s*[.:)])\s+/i;
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

/**
 * Reads a list of texts out of what a model said: a JSON array or object, numbered or bulleted lines, or plain lines.
 * Quotes, emphasis, code fences, sentences that only introduce the list, and repetitions are dropped.
 */
export function readList(answer: string): string[] {
  const json = readJson(answer);
  const lines = answer.split(/\r?\n/).filter((line) => !/^\s*(```|~~~)/.test(line));
  const marked = lines.filter((line) => bullet.test(line));
  const read = Array.isArray(json)
    ? json.flatMap(textOf)
    : json !== undefined
      ? textOf(json)
      : (marked.length > 0 ? marked : lines.filter((line) => !/:\s*$/.test(line))).map(bare);
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
  const line = inner.trim().replace(/^(?:[a-z]+ ){0,3}(?:query|question|answer|rewrite)\s*:\s*/i, "");
  return bare(line.split(/\r?\n\s*\r?\n/)[0]!.replace(/\s+/g, " "));
}
