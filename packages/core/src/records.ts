// public: RunRecord, Records, Cache
// internal: Charge, ValueRefs, Texts, JournalEntry, RunJournal, DirectRecords
import type { Json } from "./passage.js";
import type { ThreadStore } from "./threads.js";
import type { PendingWait, WaitNotes } from "./wait.js";

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
  /**
   * The document under the port "document", so that the run can end on the document that it began with. Old runs lack
   * it. Of a fork, what it takes from which run under the port "fork".
   */
  readonly document: ValueRefs;
  /** The version of each operator of the document, by the operator's name. */
  readonly operators?: Readonly<Record<string, number>> | undefined;
  /** The prompts that its operators sent, by name: name, version and the beginning of the text's SHA-256. */
  readonly prompts?: Readonly<Record<string, string>> | undefined;
  readonly seed: number;
  readonly input: ValueRefs;
  readonly principal?: Json | undefined;
  /** The id of the thread that it works on. */
  readonly thread?: string | undefined;
  /**
   * A random id of this beginning of the run. It distinguishes a repeated `begin` of the same run, whose answer was
   * lost, from another run that wants the same id, and from an earlier run with this id that was removed.
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
  /** The result drew random numbers, which the seed and the path decide. */
  readonly random?: boolean | undefined;
  /** The step was not run: its result was taken from this step, of the run that this one was forked from. */
  readonly from?: { readonly run: string; readonly path: string } | undefined;
  /** The step was not run: the fork of a run says what it gave. */
  readonly given?: boolean | undefined;
  /** Of a step that waits or waited. While the entry is provisional the step waits still. */
  readonly wait?: PendingWait | undefined;
  /** It is no step but something that came to the run, or who took it; its path begins with ":". */
  readonly mark?: "signal" | "taken" | undefined;
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
 * Stores runs: what each was started with, and its journal of finished steps, by path. Resuming uses the journal. `get`
 * and `put` store results by key, for the cache only. What a method wrote survives a crash once its promise has
 * resolved. Damaged data ends in RECORD_CORRUPT. (Texts are not checked; their readers know the hash.) The id of a run
 * has letters, digits, - and _, at most 128 of them; others are BAD_ARGUMENT.
 */
export interface Records {
  get(key: string): Promise<string | undefined>;
  put(key: string, text: string): Promise<void>;

  /**
   * Claims the id of a run and stores it; `texts` holds the texts that its refs name. If several begin the same id, one
   * wins.
   * @throws TesseraError CONFLICT if a run with another `claim` has the id.
   */
  begin(run: RunRecord, texts: Texts): Promise<void>;
  run(id: string): Promise<RunRecord | undefined>;
  /**
   * Stores the entry of a finished step; `texts` holds the texts that its refs name. The first entry for a path counts,
   * and later callers get it back, so that two workers on one run have the same journal. Only a `provisional` entry, or
   * an entry of another operator, is replaced.
   * @throws TesseraError RECORD_MISSING if the run is not known.
   */
  commit(run: string, entry: JournalEntry, texts: Texts): Promise<JournalEntry>;
  /**
   * Stores the charge of an attempt that gave no result. `attempt` names it within the run. If it is stored twice, the
   * last value counts once.
   * @throws TesseraError RECORD_MISSING if the run is not known.
   */
  charge(run: string, attempt: string, charge: Charge): Promise<void>;
  /** The journal of a run; empty if the run is not known. */
  journal(run: string): Promise<RunJournal>;
  /** Those texts of the given hashes that are stored. */
  texts(hashes: readonly string[]): Promise<Texts>;
  /** Removes runs and their journals. Texts that no other run names may be removed too. */
  forget(runs: readonly string[]): Promise<void>;
  /** Finds runs that wait. Without it a flow that may wait cannot run on these records. */
  readonly waits?: WaitNotes | undefined;
  /** Conversations. Without it no run works on a thread. */
  readonly threads?: ThreadStore | undefined;
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
