import { createReadStream } from "node:fs";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import type { z } from "zod";

/** A record of a file, and where it stands: "folder/corpus.jsonl:17". */
export interface Line<T> {
  readonly value: T;
  readonly path: string;
}

/** The lines of a text file without their line feeds; `whole` is false for a last line that none ends. `hint` says what it holds. */
export async function* linesOf(file: string, hint?: string): AsyncGenerator<{ text: string; whole: boolean }> {
  let rest = "";
  try {
    for await (const chunk of createReadStream(file, "utf8")) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) yield { text: line, whole: true };
    }
  } catch (cause) {
    throw new TesseraError("BAD_SOURCE", `the file cannot be read: ${messageOf(cause)}`, { path: file, hint, cause });
  }
  if (rest !== "") yield { text: rest, whole: false };
}

/** Checks one line of JSON against a schema. @throws TesseraError BAD_SOURCE with the place, and the hint. */
export function parseLine<T>(text: string, schema: z.ZodType<T>, path: string, hint?: string): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TesseraError("BAD_SOURCE", `the line is not JSON: ${messageOf(cause)}`, { path, hint, cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue!.path.length > 0 ? `${issue!.path.join(".")}: ` : "";
  throw new TesseraError("BAD_SOURCE", `${at}${issue!.message}`, { path, hint });
}

/** The records of a JSON Lines file, one at a time; empty lines are passed over. @throws TesseraError BAD_SOURCE */
export async function* recordsOf<T>(file: string, schema: z.ZodType<T>, hint?: string): AsyncGenerator<Line<T>> {
  let number = 0;
  for await (const { text } of linesOf(file, hint)) {
    const path = `${file}:${++number}`;
    const line = number === 1 ? text.replace(/^\uFEFF/, "") : text;
    if (line.trim() !== "") yield { value: parseLine(line, schema, path, hint), path };
  }
}
