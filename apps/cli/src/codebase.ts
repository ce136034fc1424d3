import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { sha256, TesseraError } from "@tessera/core";
import { type OpenedCodebase, updateCodebase } from "@tessera/tessera";
import type { Terminal } from "./terminal.js";

/** What makes vectors where nothing else is said. */
export const defaultEncoder = "hash";

/** Where a folder's index is kept, one for each encoder: `$TESSERA_HOME` or `.tessera` of the working directory. */
export function indexFolder(source: string, encoder: string = defaultEncoder): string {
  const root = resolve(source);
  const home = process.env.TESSERA_HOME ?? join(process.cwd(), ".tessera");
  return join(home, "indexes", `${basename(root)}-${sha256(`${root}\n${encoder}`).slice(0, 8)}`);
}

/**
 * Brings the index of a folder up to date, with a progress bar, and opens it.
 * @throws TesseraError BAD_SOURCE where the folder is none.
 */
export async function openSource(
  terminal: Terminal,
  source: string,
  { encoder, rebuild, signal }: { encoder?: string; rebuild?: boolean; signal?: AbortSignal } = {},
): Promise<OpenedCodebase> {
  const root = resolve(source);
  if (!(await stat(root).catch(() => undefined))?.isDirectory())
    throw new TesseraError("BAD_SOURCE", "there is no such folder", { path: root });
  const opened = await updateCodebase({
    root,
    folder: indexFolder(source, encoder),
    encoder,
    rebuild,
    signal,
    progress: ({ stage, done, total }) => terminal.progress(stage, done, total),
  });
  terminal.clear();
  if (opened.vectors.kind === "exact") terminal.note(opened.vectors.reason);
  return opened;
}
