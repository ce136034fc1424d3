// public: RunRecord, Records, Cache
// internal: Charge, ValueRefs, Texts, JournalEntry, RunJournal, DirectRecords
import type { Json } from "./passage.js";

/** What work was charged: model calls, tokens, layers of an encoder, and cost in any one currency. */
export interface Charge {
  readonly calls: number;
  readonly tokens: number;
  readonly layers: number;
  readonly cost: number;
}

/**
 * Where values are, by port: "=" and the value's text, or "#" and the hash of a text that is kept apart, once for all who
 * name it. `pack` of @tessera/graph makes them, `unpack` reads the values and finds a text that changed.
 */
export type ValueRefs = Readonly<Record<string, string>>;

/** Texts by their hash (SHA-256, hexadecimal). */
export type Texts = ReadonlyMap<string, string>;

/** What a run was started with; needed to resume it. */
export interface RunRecord {
  readonly id: string;
  readonly flow: string;
  /** The content hash of the document. */
  readonly hash: string;
  /** The document itself under the port "document", so that the run ends on what it began with. Old runs lack it. */
  readonly document: ValueRefs;
  /** The version of each operator of the document, by the operator's name. */
  readonly operators?: Readonly<Record<string, number>> | undefined;
  readonly seed: number;
  readonly input: ValueRefs;
  readonly principal?: Json | undefined;
  /**
   * Made anew for each run that begins: tells who calls `begin` twice for one run, because the answer was lost, from
   * another who wants the same id, and a run from an earlier one of that id that was forgotten.
   */
  readonly claim: string;
}

/** That a step of a run is finished. It stands for good, unless it is `provisional`. */
export interface JournalEntry {
  /**
   * The path of the activation: "ask/each[3]/b". Within the second attempt of a composed node its path is marked:
   * "ask/inner!2/b". An entry of a node that its policy left out has `skipped`, and no operator.
   */
  readonly path: string;
  readonly operator: string;
  readonly version: number;
  /** The hash of the input. */
  readonly input: string;
  /**
   * What the result depends on, as it was before the work: serves what-if, never resuming. Undefined where a resource
   * changed during the work, so that nobody can say what the result belongs to.
   */
  readonly key?: string | undefined;
  readonly output: ValueRefs;
  /** The ports that were streamed. A replay sends each as one delta. */
  readonly streamed?: readonly string[] | undefined;
  /** What the attempt that gave the result was charged. */
  readonly charged?: Charge | undefined;
  /** Finished after a step was refused by the budget: does not stand for another input. */
  readonly provisional?: boolean | undefined;
  /** The policy left the node out for an error. */
  readonly skipped?: boolean | undefined;
}

/** What a run has left: the steps that are finished, and what the attempts cost that gave no result. */
export interface RunJournal {
  /** By path. */
  readonly entries: ReadonlyMap<string, JournalEntry>;
  /** The charges of attempts that failed or were abandoned, all together, and how many there were. */
  readonly charged: Charge;
  readonly attempts: number;
}

/**
 * Keeps runs: what each was started with, and a journal of what is finished, by run and path. Resuming goes by the
 * journal. `get` and `put` keep results by key; they serve the cache alone.
 *
 * What a method wrote survives a crash once its promise has resolved. What is read is what was written: a line that is
 * damaged ends in RECORD_CORRUPT (texts need no check, their readers know the hash). A run's id has letters, digits, -
 * and _, at most 128, else BAD_ARGUMENT.
 */
export interface Records {
  get(key: string): Promise<string | undefined>;
  put(key: string, text: string): Promise<void>;

  /**
   * Takes the id of a run; `texts` holds those that its refs name. Of several who begin one id at once one wins.
   * @throws TesseraError CONFLICT where the id is taken by a run of another `claim`.
   */
  begin(run: RunRecord, texts: Texts): Promise<void>;
  run(id: string): Promise<RunRecord | undefined>;
  /**
   * Notes that a step is finished; `texts` holds those that its refs name. The first entry for a path stands, and is
   * returned to whoever comes later: two workers on one run end with one journal. Only an entry that is `provisional`, or
   * one of another operator, is replaced.
   * @throws TesseraError RECORD_MISSING where the run is not known.
   */
  commit(run: string, entry: JournalEntry, texts: Texts): Promise<JournalEntry>;
  /**
   * Notes what an attempt was charged that gave no result. `attempt` names it within the run: a charge noted twice counts
   * once, as it was noted last.
   * @throws TesseraError RECORD_MISSING where the run is not known.
   */
  charge(run: string, attempt: string, charge: Charge): Promise<void>;
  /** Empty where the run is not known. */
  journal(run: string): Promise<RunJournal>;
  /** The texts of some hashes, those that are there. */
  texts(hashes: readonly string[]): Promise<Texts>;
  /** Removes what is kept of runs, all together; texts that no other run names may go too. */
  forget(runs: readonly string[]): Promise<void>;
  /** Where one process writes the store and keeps the order of calls. */
  readonly direct?: DirectRecords | undefined;
  close?(): Promise<void>;
}

/**
 * `begin` and `commit` of a store that says at once what stands, and writes it later. What was called later never survives
 * a crash without what was called earlier, and where one call fails those behind it fail too.
 */
export interface DirectRecords {
  /** @returns resolves once it would survive a crash; `undefined` where the store has to look first: ask `Records.begin` */
  begin(run: RunRecord, texts: Texts): Promise<void> | undefined;
  /** As `begin`, for an entry that stands from now on; `undefined` where another one may stand: ask `Records.commit`. */
  commit(run: string, entry: JournalEntry, texts: Texts): Promise<void> | undefined;
}

/** A cache keeps texts by key; it may forget any of them. */
export type Cache = Pick<Records, "get" | "put">;
