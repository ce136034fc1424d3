import type { Json } from "./passage.js";

/** A result of an operator, kept under a key made from everything it depends on. */
export interface StepRecord {
  /** The output ports' values: JSON or typed arrays. */
  readonly output: Readonly<Record<string, unknown>>;
  /** The ports that were streamed. A replay sends each as one delta. */
  readonly streamed?: readonly string[] | undefined;
  readonly spent?:
    | { readonly calls: number; readonly tokens: number; readonly layers?: number; readonly cost: number }
    | undefined;
}

/** What a run was started with; needed to resume it. */
export interface RunRecord {
  readonly id: string;
  readonly flow: string;
  /** The content hash of the document. */
  readonly hash: string;
  readonly seed: number;
  readonly input: Readonly<Record<string, unknown>>;
  readonly principal?: Json | undefined;
}

/** Keeps records by key, and journals that map a run's paths to keys. */
export interface Records {
  get(key: string): Promise<StepRecord | undefined>;
  /** Resolves once the record would survive a crash. */
  put(key: string, record: StepRecord): Promise<void>;
  begin(run: RunRecord): Promise<void>;
  run(id: string): Promise<RunRecord | undefined>;
  /** Notes that the step at `path` is finished under `key`. Resolves once the note would survive a crash. */
  append(run: string, path: string, key: string): Promise<void>;
  /** `put` and `append` at once, where that is cheaper than one after the other. */
  commit?(run: string, path: string, key: string, record: StepRecord): Promise<void>;
  /** The keys of a run's finished steps, by path. */
  journal(run: string): Promise<ReadonlyMap<string, string>>;
  /** Removes what is kept of runs, all together; records that no other run needs may go too. */
  forget(runs: readonly string[]): Promise<void>;
  close?(): Promise<void>;
}
