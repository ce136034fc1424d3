// internal: Converter
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { z } from "zod";
import type { DataSet } from "./data-set.js";

/** Makes a data set of a published one. */
export interface Converter {
  readonly name: string;
  /** What it holds, in one line. */
  readonly about: string;
  /**
   * Reads and converts its files, below the folder of all data.
   * @throws TesseraError BAD_SOURCE where one is missing, or shaped otherwise.
   */
  readonly read: (folder: string) => Promise<DataSet>;
}

/** Checks a parsed file. @throws TesseraError BAD_SOURCE with the file and the place in it. */
export function shaped<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [issue] = error.issues;
  throw new TesseraError("BAD_SOURCE", `${z.core.toDotPath(issue!.path)}: ${issue!.message}`, { path: file });
}

/** Parses JSON in which a number may be NaN, as Python writes it: it becomes null. */
export function parseWithNaN(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|\bNaN\b/g, (token) => (token === "NaN" ? "null" : token)));
  }
}

/** The text of a published file. Nothing is downloaded. @throws TesseraError BAD_SOURCE where it is missing. */
export async function readPublished(folder: string, file: string): Promise<string> {
  const path = join(folder, file);
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new TesseraError("BAD_SOURCE", `the data is missing: ${messageOf(cause)}`, {
      path,
      hint: "TESSERA_DATA names the folder that holds the published data sets",
      cause,
    });
  }
}

/** A published file of JSON, in which a number may be NaN. @throws TesseraError BAD_SOURCE where it is missing or none. */
export async function readPublishedJson(folder: string, file: string): Promise<unknown> {
  return parsePublished(await readPublished(folder, file), join(folder, file));
}

/** Parses the text, or a part, of a published file. @throws TesseraError BAD_SOURCE with the file where it is no JSON. */
export function parsePublished(text: string, path: string): unknown {
  try {
    return parseWithNaN(text);
  } catch (cause) {
    throw new TesseraError("BAD_SOURCE", `the file is not JSON: ${messageOf(cause)}`, { path, cause });
  }
}

/** The records of a published file of JSON Lines, checked. @throws TesseraError BAD_SOURCE with file and line. */
export async function readPublishedLines<T>(folder: string, file: string, schema: z.ZodType<T>): Promise<T[]> {
  const path = join(folder, file);
  return (await readPublished(folder, file)).split("\n").flatMap((line, index) => {
    const at = `${path}:${index + 1}`;
    return line.trim() === "" ? [] : [shaped(schema, parsePublished(line, at), at)];
  });
}

/** Reads files of JSON, and converts what they hold, in their order. */
export const ofJson =
  (files: readonly string[], convert: (contents: readonly unknown[]) => DataSet): Converter["read"] =>
  async (folder) => {
    const contents: unknown[] = [];
    for (const file of files) contents.push(await readPublishedJson(folder, file));
    return convert(contents);
  };

/** The id of each different text, in the order in which they first stand: its number, from 0. */
export function idsOf(texts: Iterable<string>): Map<string, string> {
  const ids = new Map<string, string>();
  for (const text of texts) if (!ids.has(text)) ids.set(text, `${ids.size}`);
  return ids;
}
