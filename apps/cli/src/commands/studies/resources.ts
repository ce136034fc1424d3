import { TesseraError, uniform } from "@tessera/core";
import type { DataSet } from "@tessera/eval";
import { ResourceHost } from "@tessera/tessera";
import { corpusResources } from "../../corpus.js";
import { type EncoderOptions, openEncoder } from "../../engine.js";
import type { Terminal } from "../../terminal.js";

/** What every study may be told. */
export interface StudyOptions extends EncoderOptions {
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/** Runs some work over the stores of a corpus, and closes all of it. */
export async function withCorpus<T>(
  terminal: Terminal,
  { passages }: DataSet,
  { signal, ...options }: StudyOptions,
  work: (host: ResourceHost) => Promise<T>,
): Promise<T> {
  const encoder = options.encoder === undefined ? undefined : await openEncoder(terminal, options);
  const progress = (done: number): void => terminal.progress("embed", done, passages.length);
  const host = new ResourceHost(corpusResources(passages, { encoder, signal, progress }));
  try {
    return await work(host);
  } finally {
    terminal.clear();
    await host.close();
    await encoder?.close?.();
  }
}

/** A context for operators that are run one by one, with random numbers of a fixed seed (Park and Miller 1988). */
export function studyContext(signal: AbortSignal = new AbortController().signal) {
  return { path: "study", signal, random: uniform(0), emit: () => {}, spend: () => {} };
}

/** @throws TesseraError BAD_SOURCE where the data set is too small for what a study divides it into. */
export function atLeast(least: number, count: number, what: string): void {
  if (count < least) throw new TesseraError("BAD_SOURCE", `the study needs ${least} ${what}, there are ${count}`);
}
