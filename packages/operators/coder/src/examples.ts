import type { Json } from "@tessera/core";

export interface Example {
  readonly arguments: Json[];
  readonly expected: Json;
}

/** The examples of a docstring that are data: "name(1, [2]) -> 3" (or =>, ==, →), a line each. */
export function examplesOf(name: string, header: string): Example[] {
  const examples: Example[] = [];
  for (const line of header.split("\n")) {
    const start = line.indexOf(`${name}(`);
    const arrow = /\)\s*(?:->|=>|===?|→)\s*(.+?)\s*(?:\*\/)?$/.exec(line);
    if (start < 0 || !arrow || arrow.index < start) continue;
    const given = parse(`[${line.slice(start + name.length + 1, arrow.index)}]`);
    const expected = parse(`[${arrow[1]}]`);
    if (Array.isArray(given) && Array.isArray(expected) && expected.length === 1)
      examples.push({ arguments: given, expected: expected[0]! });
  }
  return examples;
}

/** JSON, with Python's names of constants, and single quotes. */
function parse(text: string): Json | undefined {
  const json = text
    .replace(/\bTrue\b/g, "true")
    .replace(/\bFalse\b/g, "false")
    .replace(/\bNone\b/g, "null");
  for (const candidate of [json, json.replace(/'/g, '"')]) {
    try {
      return JSON.parse(candidate) as Json;
    } catch {
      // not data: the example is for people
    }
  }
  return undefined;
}
