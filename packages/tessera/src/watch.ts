// public: WatchSettings, watchCodebase
import { unwatchFile, watchFile } from "node:fs";
import type { MaybePromise } from "@tessera/core";
import { warn } from "@tessera/core/internal";
import { Codebase } from "@tessera/indexer";
import type { Engine } from "@tessera/models";
import { type OpenedCodebase, openCodebase } from "./codebase.js";

export interface WatchSettings {
  /** What the index was made with, and what computes it, as for `openCodebase`. */
  readonly encoder?: string | undefined;
  readonly engine?: Engine | undefined;
  /** How often the index is looked at, in milliseconds; 1,000. */
  readonly interval?: number | undefined;
  /** Takes in the index that has come: `({ resources }) => tessera.reload({ resources })`. */
  readonly changed: (opened: OpenedCodebase) => MaybePromise<unknown>;
  /** Hears why an index could not be taken in; what is served stays. By default a warning of the process. */
  readonly failed?: ((error: unknown) => void) | undefined;
}

/**
 * Opens an index again whenever another process has put a new one in its place. One index after another is taken in, and
 * of several that come quickly perhaps only the last.
 * @returns what ends it; an index that is being taken in is waited for
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
