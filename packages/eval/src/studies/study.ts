import { TesseraError } from "@tessera/core";
import { uniform } from "@tessera/core/internal";
import type { Vectors } from "@tessera/models/internal";
import { ResourceHost } from "@tessera/tessera/internal";
import type { DataSet } from "../data-sets/data-set.js";
import type { Output } from "../reports/output.js";
import { corpusResources } from "../runs/corpus.js";

/** What every study may be told. */
export interface StudyOptions {
  /** The first so many questions; each study has its own default. */
  readonly limit?: number;
  /** Opens what makes the vectors; the study closes it. Without it, hash features make them. */
  readonly openVectors?: () => Promise<Vectors>;
  readonly signal?: AbortSignal;
}

/** Runs some work over the stores of a corpus, and closes all of it. */
export async function withCorpus<T>(
  output: Output,
  { passages }: DataSet,
  { signal, openVectors }: StudyOptions,
  work: (host: ResourceHost) => Promise<T>,
): Promise<T> {
  const vectors = await openVectors?.();
  const progress = (done: number): void => output.progress("embed", done, passages.length);
  const host = new ResourceHost(corpusResources(passages, { vectors, signal, progress }));
  try {
    return await work(host);
  } finally {
    output.clear();
    await host.close();
    await vectors?.close();
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
