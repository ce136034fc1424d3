import { readFileSync } from "node:fs";
import type { Passage } from "@tessera/core";
import { whereOf } from "@tessera/core/internal";
import { documentOf } from "../file-text.js";
import { chunkCode } from "../outline.js";
import { builtinReaders } from "./builtin.js";
import { type ReaderLimits, readerLimits } from "./reader.js";
import { Reading, type ReadResult } from "./reading.js";

const folder = new URL("../../fixtures/", import.meta.url);

/** The bytes of a file of fixtures. */
export const fixture = (name: string): Uint8Array => readFileSync(new URL(name, folder));

/** What reading bytes comes to, in this process. */
export const read = (
  path: string,
  bytes: Uint8Array | string,
  limits: Partial<ReaderLimits> = {},
): Promise<ReadResult> =>
  new Reading(builtinReaders, { ...readerLimits, ...limits }).file({
    path,
    bytes: typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes,
  });

/** The passages of bytes, as an index has them. @throws where there is no text, with the reason */
export async function passagesOf(path: string, bytes: Uint8Array | string): Promise<Passage[]> {
  const { document, unread } = documentOf(path, await read(path, bytes));
  if (!document) throw new Error(`${unread[0]!.reason}: ${unread[0]!.detail}`);
  return chunkCode(document, { maximum: 400 });
}

/** Where each passage stands, and its text. */
export const shown = async (path: string, bytes: Uint8Array | string = fixture(path)): Promise<[string, string][]> =>
  (await passagesOf(path, bytes)).map(({ source, text }) => [whereOf(source!), text]);
