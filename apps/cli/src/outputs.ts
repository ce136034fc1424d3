import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { writeRecords } from "@tessera/generator/internal";

type Split = { readonly split: "train" | "test" };

const areRecords = (value: unknown): value is Split[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((one) => one !== null && typeof one === "object" && (one.split === "train" || one.split === "test"));

/**
 * Writes the outputs of a run: records of training data as `<port>/train.jsonl` and `<port>/test.jsonl`, by their `split`,
 * and everything else as `<port>.json`. Nothing is written over.
 * @returns what to show, by port: of numbers and flags the value, of others the path.
 * @throws TesseraError BAD_ARGUMENT where one of them is there already, STORE_FAILED where the folder cannot be written.
 */
export async function writeOutputs(
  folder: string,
  output: Readonly<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  const entries = Object.entries(output).map(([port, value]) => {
    const path = join(folder, areRecords(value) ? port : `${port}.json`);
    return { port, value, path };
  });
  const there = entries.find(({ path }) => existsSync(path));
  if (there)
    throw new TesseraError("BAD_ARGUMENT", `"${there.path}" is there already`, {
      path: "--out",
      hint: "name another folder: what was written before is kept",
    });
  try {
    await mkdir(folder, { recursive: true });
    for (const { value, path } of entries)
      if (areRecords(value)) await writeRecords(path, value);
      else await writeFile(path, `${JSON.stringify(value, undefined, 2)}\n`);
  } catch (cause) {
    if (TesseraError.is(cause)) throw cause;
    throw new TesseraError("STORE_FAILED", `the outputs cannot be written: ${messageOf(cause)}`, {
      path: folder,
      cause,
    });
  }
  const isShort = (value: unknown): boolean => typeof value === "number" || typeof value === "boolean";
  return Object.fromEntries(entries.map(({ port, value, path }) => [port, isShort(value) ? value : path]));
}
