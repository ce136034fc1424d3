import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { TesseraError } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import type { chooseEngine } from "@tessera/models";
import { type OpenedCodebase, updateCodebase } from "@tessera/tessera";
import { type EncoderOptions, openEngine } from "./engine.js";
import type { Terminal } from "./terminal.js";

/** What makes the vectors of a folder of code where nothing else is said: hash features and our encoder, in one vector. */
export const defaultEncoder = "hash+code-encoder";

/** Where a folder's index is kept, one for each encoder: `$TESSERA_HOME` or `.tessera` of the working directory. */
export function indexFolder(source: string, encoder: string = defaultEncoder): string {
  const root = resolve(source);
  const home = process.env.TESSERA_HOME ?? join(process.cwd(), ".tessera");
  return join(home, "indexes", `${basename(root)}-${sha256(`${root}\n${encoder}`).slice(0, 8)}`);
}

/**
 * Brings the index of a folder up to date, with a progress bar, and opens it. Closing it closes the engine too. Where the
 * default encoder's model cannot be computed on this machine, a line says so and the vectors are hash features alone.
 * @throws TesseraError BAD_SOURCE where the folder is none; else as `openEngine` and `updateCodebase`
 */
export async function openSource(
  terminal: Terminal,
  source: string,
  { encoder = defaultEncoder, ...options }: EncoderOptions & { rebuild?: boolean; signal?: AbortSignal } = {},
  choose?: typeof chooseEngine,
): Promise<OpenedCodebase> {
  const root = resolve(source);
  if (!(await stat(root).catch(() => undefined))?.isDirectory())
    throw new TesseraError("BAD_SOURCE", "there is no such folder", { path: root });
  try {
    return await openWith(terminal, root, { ...options, encoder }, choose);
  } catch (error) {
    if (encoder !== defaultEncoder || !TesseraError.is(error) || error.code !== "DEPENDENCY_MISSING") throw error;
    terminal.note(`vectors by hash features alone: ${error.message}`);
    return openWith(terminal, root, { ...options, encoder: "hash" }, choose);
  }
}

async function openWith(
  terminal: Terminal,
  root: string,
  {
    encoder,
    engine: kind,
    rebuild,
    signal,
  }: EncoderOptions & { encoder: string; rebuild?: boolean; signal?: AbortSignal },
  choose?: typeof chooseEngine,
): Promise<OpenedCodebase> {
  // who asked for nothing is told nothing
  const says = kind === undefined ? encoder !== defaultEncoder : kind !== "cpu";
  const choice = encoder === "hash" ? undefined : await openEngine(terminal, kind, choose, says);
  if (choice === undefined && kind !== undefined && kind !== "cpu")
    terminal.note("engine cpu: the hash encoder is no model");
  try {
    const opened = await updateCodebase({
      root,
      folder: indexFolder(root, encoder),
      encoder,
      engine: choice?.engine,
      rebuild,
      signal,
      progress: ({ stage, done, total }) => terminal.progress(stage, done, total),
    });
    terminal.clear();
    if (opened.vectors.kind === "exact") terminal.note(opened.vectors.reason);
    return { ...opened, close: () => opened.close().finally(() => choice?.close()) };
  } catch (error) {
    await choice?.close();
    throw error;
  }
}
