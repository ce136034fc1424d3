import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, TesseraError } from "@tessera/core";
import { z } from "zod";
import type { DataSet } from "./dataset.js";

/** Makes a data set of a published one. */
export interface Converter {
  readonly name: string;
  /** What it holds, in one line. */
  readonly about: string;
  /** The files it is made of, below the folder of all data. */
  readonly files: readonly string[];
  /** From the parsed files, in their order. @throws TesseraError BAD_SOURCE where they are shaped otherwise. */
  readonly convert: (contents: readonly unknown[]) => DataSet;
}

/** Checks a parsed file. @throws TesseraError BAD_SOURCE with the file and the place in it. */
export function shaped<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
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

/**
 * Reads the files of a published data set and converts them.
 * @throws TesseraError BAD_SOURCE where a file is missing, no JSON, or shaped otherwise.
 */
export async function convertFrom(folder: string, { files, convert }: Converter): Promise<DataSet> {
  const contents: unknown[] = [];
  for (const file of files) {
    const text = await readPublished(folder, file);
    try {
      contents.push(parseWithNaN(text));
    } catch (cause) {
      const path = join(folder, file);
      throw new TesseraError("BAD_SOURCE", `the file is not JSON: ${messageOf(cause)}`, { path, cause });
    }
  }
  return convert(contents);
}
