// public: WatchSettings, watchCodebase
import { unwatchFile, watchFile } from "node:fs";
import type { Encoder, MaybePromise } from "@tessera/core";
import { warn } from "@tessera/core/internal";
import { Codebase } from "@tessera/indexer";
import type { Engine } from "@tessera/models";
import { type OpenedCodebase, openCodebase } from "./codebase.js";

/** How an index is watched. */
export interface WatchSettings {
  /** The encoder that the index was made with, as for `openCodebase`. */
  readonly encoder?: string | Encoder | undefined;
  readonly engine?: Engine | undefined;
  /** The time between two looks at the index, in milliseconds; 1,000 by default. */
  readonly interval?: number | undefined;
  /** Is called with the new index, for example `({ resources }) => tessera.reload({ resources })`. */
  readonly changed: (opened: OpenedCodebase) => MaybePromise<unknown>;
  /**
   * Is called with the reason why a new index could not be used; the old one stays in use. By default it is a warning
   * of the process.
   */
  readonly failed?: ((error: unknown) => void) | undefined;
}

/**
 * Opens an index again each time another process has replaced it. New indexes are handed over one after another; if
 * several come quickly, only the last may be.
 * @returns a function that stops watching, after the index that is being handed over
 */
export function watchCodebase(opened: OpenedCodebase, settings: WatchSettings): () => Promise<void> {
  const { folder } = opened.codebase;
  const { encoder, engine, interval = 1000, changed } = settings;
  const failed = settings.failed ?? ((error) => warn(`the index in ${folder} was not taken in`, error));
  let { revision } = opened.codebase;
  let ended = false;
  let work: Promise<void> = Promise.resolve();

  const look = async () => {
    if (ended || (await Codebase.open(folder)).revision === revision) return;
    const next = await openCodebase(folder, encoder, engine);
    try {
      await changed(next);
      revision = next.codebase.revision;
    } catch (error) {
      await next.close();
      throw error;
    }
  };
  const hear = () => {
    work = work.then(look).catch(failed);
  };
  const file = Codebase.file(folder);
  watchFile(file, { interval, persistent: false }, hear);
  hear(); // it may have changed since it was opened
  return async () => {
    ended = true;
    unwatchFile(file, hear);
    await work;
  };
}
