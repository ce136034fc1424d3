import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";

/** Parses a JSON file and hashes its bytes. */
export async function readJson(path: string): Promise<{ value: unknown; hash: string }> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new TesseraError("BAD_BUNDLE", `the file cannot be read: ${messageOf(cause)}`, { path, cause });
  }
  try {
    return { value: JSON.parse(bytes.toString("utf8")), hash: createHash("sha256").update(bytes).digest("hex") };
  } catch (cause) {
    throw new TesseraError("BAD_BUNDLE", `the file is not JSON: ${messageOf(cause)}`, { path, cause });
  }
}
