// internal: writeRecords
import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";

/** Records as JSON lines: one object a line, the last one ended as well. */
export const jsonLines = (records: readonly object[]): string =>
  records.map((record) => `${JSON.stringify(record)}\n`).join("");

/**
 * Appends records to `train.jsonl` and `test.jsonl` of a folder, by their `split`; each file by one write.
 * @throws TesseraError STORE_FAILED where the folder cannot be written.
 */
export async function writeRecords(
  folder: string,
  records: readonly { readonly split: "train" | "test" }[],
): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    for (const split of ["train", "test"] as const) {
      const lines = jsonLines(records.filter((record) => record.split === split));
      if (lines !== "") await appendFile(join(folder, `${split}.jsonl`), lines);
    }
  } catch (cause) {
    throw new TesseraError("STORE_FAILED", `the records cannot be written: ${messageOf(cause)}`, {
      path: folder,
      cause,
    });
  }
}
