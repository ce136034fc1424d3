import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { TesseraError } from "@tessera/core";
import { Readers } from "@tessera/indexer";
import type { chooseEngine } from "@tessera/models";
import { defaultEncoder, needsEngine } from "@tessera/models/internal";
import { type EncoderSettings, type OpenedCodebase, updateCodebase } from "@tessera/tessera";
import { type IndexEncoder, indexEncoderOf } from "./endpoints.js";
import { type EncoderOptions, openEngine } from "./engine.js";
import { locateIndex, noteIndex } from "./index-home.js";
import { settingsFor } from "./settings.js";
import type { Terminal } from "./terminal.js";

export { defaultEncoder };

/** How a source is opened. */
export interface SourceOptions extends Omit<EncoderOptions, "encoder"> {
  /** What makes the vectors; a text may be the name of one of the config's encoders. */
  readonly encoder?: EncoderSettings;
  /** Modules of further readers. */
  readonly reader?: readonly string[];
  /** False where the flow opens neither the store "dense" nor the encoder: then no vectors are made. */
  readonly vectors?: boolean;
  readonly rebuild?: boolean;
  readonly signal?: AbortSignal;
}

/** What is opened, and where its index lies. */
export interface OpenedSource extends OpenedCodebase {
  readonly folder: string;
}

/**
 * Brings the index of a folder up to date, with a progress bar, and opens it. Closing it closes the engine too. Where the
 * default encoder's model cannot be computed on this machine, a line says so and the vectors are hash features alone.
 * @throws TesseraError BAD_SOURCE where the folder is none; else as `openEngine` and `updateCodebase`
 */
export async function openSource(
  terminal: Terminal,
  source: string,
  { encoder: given, ...options }: SourceOptions = {},
  choose?: typeof chooseEngine,
): Promise<OpenedSource> {
  const chosen = await indexEncoderOf(terminal, given, defaultEncoder);
  const root = resolve(source);
  if (!(await stat(root).catch(() => undefined))?.isDirectory())
    throw new TesseraError("BAD_SOURCE", "there is no such folder", { path: root });
  // an index that has vectors is kept up to date with them
  const wordsAlone = options.vectors === false && !existsSync(await locateIndex(root, chosen.name));
  try {
    return await openWith(terminal, root, { ...options, ...(wordsAlone ? byName("none") : chosen) }, choose);
  } catch (error) {
    if (chosen.encoder !== defaultEncoder || !TesseraError.is(error) || error.code !== "DEPENDENCY_MISSING")
      throw error;
    terminal.note(`vectors by hash features alone: ${error.message}`);
    return openWith(terminal, root, { ...options, ...byName("hash") }, choose);
  }
}

const byName = (name: string): IndexEncoder => ({ name, encoder: name });

async function openWith(
  terminal: Terminal,
  root: string,
  { name, encoder, engine: kind, rebuild, signal, reader = [] }: Omit<SourceOptions, "encoder"> & IndexEncoder,
  choose?: typeof chooseEngine,
): Promise<OpenedSource> {
  const isModel = typeof encoder === "string" && encoder !== "none" && needsEngine(encoder);
  // the chosen engine is reported only to a user who named an encoder or an engine
  const says = kind === undefined ? encoder !== defaultEncoder : kind !== "cpu";
  const choice = isModel ? await openEngine(terminal, kind, choose, says) : undefined;
  if (encoder === "hash" && kind !== undefined && kind !== "cpu")
    terminal.note("engine cpu: the hash encoder is no model");
  const { config, at } = await settingsFor(terminal);
  const modules = [...reader.map((path) => resolve(path)), ...(config.readers ?? []).map(at)];
  const readers = modules.length > 0 ? await Readers.open({ modules }) : undefined;
  const folder = await locateIndex(root, name);
  try {
    const opened = await updateCodebase({
      root,
      folder,
      encoder,
      engine: choice?.engine,
      readers,
      rebuild,
      signal,
      progress: ({ stage, done, total }) => terminal.progress(stage, done, total),
    });
    await noteIndex(folder, root, name);
    terminal.clear();
    if (opened.report?.rebuilt !== undefined) terminal.note(`indexed again, since ${opened.report.rebuilt}`);
    if (opened.vectors.isFallback) terminal.note(opened.vectors.reason);
    return { ...opened, folder, close: () => opened.close().finally(() => choice?.close()) };
  } catch (error) {
    await choice?.close();
    throw error;
  } finally {
    await readers?.close();
  }
}
