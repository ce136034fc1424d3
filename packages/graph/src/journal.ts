import { randomUUID } from "node:crypto";
import { type Cache, type Records, type RunRecord, TesseraError, type WaitRequest } from "@tessera/core";
import {
  type Charge,
  type JournalEntry,
  type RunJournal,
  sha256,
  type Texts,
  type WaitNote,
} from "@tessera/core/internal";
import { isOurs, located } from "./foreign.js";
import type { OperatorProgram, Row } from "./program.js";
import { hashesIn, noCharge, pack, seal, unpack, unseal } from "./records/pack.js";
import { hashOf } from "./records/values.js";
import type { Run } from "./run.js";
import type { Inheritance } from "./time/inheritance.js";
import { type EntryWithTexts, isPending, pendingEntry } from "./waits/entries.js";

interface JournalSettings {
  /** Where the run is kept; without it nothing is kept but in the cache. */
  readonly records?: Records | undefined;
  readonly cache?: Cache | undefined;
  readonly run: string;
  /** Who asks. */
  readonly principal?: string | undefined;
  /** What the run itself has left, where it is resumed or replayed: by path. */
  readonly left?: RunJournal | undefined;
  /** What another run has left, for what-if: by key. */
  readonly other?: RunJournal | undefined;
  /** What it takes from the run that it was forked from. */
  readonly inherited?: Inheritance | undefined;
  /** Whether nothing is computed: a step that is not in the journal is an error. */
  readonly replay?: boolean | undefined;
}

/** What a result depends on. */
export interface Dependencies {
  /** The hash of the input. */
  readonly input: string;
  /** The key of a result that draws no random numbers, and of one that does. */
  readonly plain: string;
  readonly seeded: () => string;
  readonly revisions: readonly string[];
}

/** A result that need not be computed. */
interface Found {
  readonly output: Row;
  readonly streamed?: readonly string[] | undefined;
  readonly from: "journal" | "cache";
}

/** A result that a step computed. */
export interface Result {
  readonly program: OperatorProgram;
  readonly place: string;
  readonly before: Dependencies;
  readonly output: Row;
  readonly streamed?: readonly string[] | undefined;
  readonly random: boolean;
  readonly provisional: boolean;
  readonly charged?: Charge | undefined;
  /** Whether its input was seen to change during the work. */
  readonly disturbed: boolean;
}

/**
 * What is finished of a run, and what need not be computed. A run that goes on takes its finished steps by their path,
 * whatever has changed since; a key (operator, version, config, input, principal, revisions, sampling) finds results of other runs:
 * in the cache, and for what-if.
 */
export class Journal {
  private life: string | undefined;
  private readonly byKey: Map<string, JournalEntry> | undefined;
  private writing: Set<Promise<unknown>> | undefined;
  private charges: Promise<unknown> | undefined;
  private attempts = 0;
  /** What was noted last of what is being written, in a store that keeps the order: all of it is there when this is. */
  private last: Promise<void> | undefined;
  /** Whether a finished step is among what is being written. */
  private stepsPending = false;
  private lost: { readonly error: TesseraError } | undefined;
  /** Entries that are taken from another run, with the texts that they name. */
  private readonly taken = new Map<JournalEntry, Promise<Texts>>();
  /** Whether this life noted that the run waits. */
  isNoted = false;
  /** Is told that something of the run could not be written. */
  onLost: ((error: TesseraError) => void) | undefined;

  constructor(private readonly settings: JournalSettings) {
    if (!settings.other) return;
    this.byKey = new Map();
    for (const entry of settings.other.entries.values())
      if (entry.key && !isPending(entry)) this.byKey.set(entry.key, entry);
  }

  /** The id of the run. */
  get run(): string {
    return this.settings.run;
  }

  get replays(): boolean {
    return this.settings.replay ?? false;
  }

  /** Whether a result may be found that was not computed in this run. */
  get searches(): boolean {
    return this.settings.cache !== undefined || (this.byKey?.size ?? 0) > 0;
  }

  /** The entry of a step that need not be run: this run has finished it, or takes it from another one. */
  finished(program: OperatorProgram, place: string, input: Row): JournalEntry | undefined {
    const own = this.own(program, place, input);
    if (own || this.asked(program, place)) return own;
    const inherited = this.settings.inherited?.entry(program, place, input);
    if (inherited) this.takeOver(inherited);
    return inherited;
  }

  /**
   * Keeps an entry of another run as one of this run. Nobody waits for that but the end of the run: where it is lost the
   * step is found again.
   */
  private takeOver(entry: JournalEntry): void {
    const { records, run, inherited } = this.settings;
    const texts = inherited!.texts(entry, records!);
    this.taken.set(entry, texts);
    const write = async () => {
      const known = await texts;
      const written = records!.direct?.commit(run, entry, known);
      await (written ?? records!.commit(run, entry, known));
    };
    this.written(write()).then(
      () => this.taken.delete(entry),
      (thrown) => {
        const error = isOurs(thrown) ? thrown : located(thrown, run, "STORE_FAILED");
        this.lost ??= { error };
        this.onLost?.(error);
      },
    );
  }

  /**
   * The entry of a step that this run has finished. One that came after a refusal by the budget stands for the same input
   * only, but a write is never done again.
   */
  private own(program: OperatorProgram, place: string, input: Row): JournalEntry | undefined {
    const entry = this.settings.left?.entries.get(place);
    if (!entry || entry.skipped || isPending(entry) || (entry.operator !== "" && entry.operator !== program.name))
      return undefined;
    if (entry.provisional && program.effects !== "write" && !this.replays && entry.input !== hashOf(input))
      return undefined;
    return entry;
  }

  /** The entry of a step that waited when the last life of the run ended. */
  asked({ name }: OperatorProgram, place: string): JournalEntry | undefined {
    const entry = this.settings.left?.entries.get(place);
    return entry && isPending(entry) && entry.operator === name ? entry : undefined;
  }

  /** What came to the run in its earlier lives, and who took it. */
  *marks(): Iterable<JournalEntry> {
    for (const entry of this.settings.left?.entries.values() ?? []) if (entry.mark) yield entry;
  }

  /** Keeps that a step waits. @returns the entry that stands, which another worker may have made */
  async ask(working: Omit<Result, "output">, request: WaitRequest, now: number): Promise<JournalEntry> {
    const { program, place: path, before, charged } = working;
    const key = this.keyOf(working);
    const { name: operator, version } = program;
    const step = { path, operator, version, input: before.input, ...(key && { key }), ...(charged && { charged }) };
    return this.endWait(pendingEntry(step, request, now));
  }

  /** Keeps how a wait ended. @returns the entry that stands: the first end counts */
  endWait({ entry, texts }: EntryWithTexts): Promise<JournalEntry> {
    const { records, run } = this.settings;
    return this.written(records!.commit(run, entry, texts));
  }

  /** Keeps that the step at a place takes a signal. @returns false where another one took it */
  async take(path: string, place: string): Promise<boolean> {
    const { records, run } = this.settings;
    const entry: JournalEntry = { path, operator: "", version: 0, input: place, output: {}, mark: "taken" };
    const standing = await this.written(records!.commit(run, entry, noTexts));
    return standing.input === place;
  }

  /** Keeps the run among those that wait, as one that is being worked on. */
  async noteWait({ flow, since, path }: { flow: string; since: number; path: string }): Promise<void> {
    if (this.replays) return;
    this.isNoted = true;
    const { records, run, principal } = this.settings;
    const note: WaitNote = { run, flow, ...(principal !== undefined && { principal }), since, due: 0, paths: [path] };
    await this.written(records!.waits!.note(note));
  }

  /** Keeps that the run has come to rest, or that it waits no longer. */
  async noteRest(note: WaitNote | undefined): Promise<void> {
    const { records, run } = this.settings;
    await this.written(note ? records!.waits!.note(note) : records!.waits!.remove(run));
  }

  /** What names the run. */
  asRecord(flow: string): Pick<RunRecord, "id" | "flow" | "principal"> {
    const { run: id, principal } = this.settings;
    return { id, flow, ...(principal !== undefined && { principal: { id: principal } }) };
  }

  /** Whether the policy of a node left it out, in this run or in the one that it was forked from. */
  skipped(place: string, input: Row): boolean {
    const { left, inherited } = this.settings;
    const own = left?.entries.get(place);
    if (own || !inherited) return own?.skipped ?? false;
    const found = inherited.skipped(place, hashOf(input, "input"));
    if (found) this.takeOver(found);
    return found !== undefined;
  }

  async output(entry: JournalEntry): Promise<Row> {
    const texts = await this.taken.get(entry);
    return unpack(entry.output, texts ? { texts: async () => texts } : this.settings.records!);
  }

  /** What a result would depend on that is computed now. To be called in the same turn in which the work begins. */
  dependencies(program: OperatorProgram, place: string, input: Row, run: Run): Dependencies {
    const { name, version, config, effects } = program;
    const inputHash = hashOf(input, "input");
    // a write changes the revision itself; its key says what it wrote
    const revisions = effects === "write" ? [] : [...program.revisions()];
    const sampling = program.bound && run.samplingAt(place);
    const parts = [name, version, configHash(config), inputHash, principalHash(run.principal), revisions];
    // lists of texts and numbers: their JSON is canonical
    const plain = sha256(JSON.stringify(sampling ? [...parts, hashOf(sampling)] : parts));
    return { input: inputHash, plain, seeded: () => sha256(JSON.stringify([plain, run.seed, place])), revisions };
  }

  /** A result of another run with the same dependencies; noted as one of this run. */
  async find(program: OperatorProgram, place: string, before: Dependencies): Promise<Found | undefined> {
    const { records, cache, run } = this.settings;
    const other = this.entryOf(program, place, before);
    if (other && records) {
      const texts = await records.texts(hashesIn(other.output));
      const output = await unpack(other.output, { texts: async () => texts });
      const { charged: _, ...entry } = other;
      await this.written(records.commit(run, { ...entry, path: place, provisional: false }, texts));
      return { output, streamed: other.streamed, from: "journal" };
    }
    if (!cache || program.effects === "write") return undefined;
    const seeded = before.seeded();
    for (const key of [before.plain, seeded]) {
      const found = cached(await cache.get(key), key);
      if (!found) continue;
      await this.note({ program, place, before, ...found, random: key === seeded, provisional: false }, key);
      return { ...found, from: "cache" };
    }
    return undefined;
  }

  private entryOf(
    program: OperatorProgram,
    place: string,
    { plain, seeded: key }: Dependencies,
  ): JournalEntry | undefined {
    if (!this.byKey?.size) return undefined;
    const seeded = key();
    // what another place has written is not what this one writes
    if (program.effects !== "write") return this.byKey.get(plain) ?? this.byKey.get(seeded);
    const same = this.settings.other?.entries.get(place);
    return same?.key === plain || same?.key === seeded ? same : undefined;
  }

  /**
   * Keeps a result. A result belongs to the revisions that were there before its work began, and to none where they have
   * changed meanwhile: then it has no key.
   * @returns the output that stands: another worker's, where one came first
   */
  commit(result: Result): Row | Promise<Row> {
    return this.settings.cache ? this.commitCached(result) : this.note(result, this.keyOf(result));
  }

  private keyOf({ program, before, random, disturbed }: Omit<Result, "output">): string | undefined {
    const same = program.effects === "write" || sameList(before.revisions, program.revisions());
    return same && !disturbed ? (random ? before.seeded() : before.plain) : undefined;
  }

  private async commitCached(result: Result): Promise<Row> {
    const { program, output, streamed } = result;
    const key = this.keyOf(result);
    const { cache } = this.settings;
    // made now, before anybody can change the output
    const text = cache && key && program.effects !== "write" ? seal({ output, streamed }) : undefined;
    const noting = this.note(result, key);
    if (cache && key && text !== undefined) await Promise.all([noting, cache.put(key, text)]);
    return noting;
  }

  /** @returns the output that stands; at once where the store says so at once */
  private note(result: Omit<Result, "disturbed">, key: string | undefined): Row | Promise<Row> {
    const { program, place, before, output, streamed, provisional, charged, random } = result;
    const { records, run } = this.settings;
    if (!records) return output;
    const { refs, texts } = pack(output);
    const entry: JournalEntry = {
      path: place,
      operator: program.name,
      version: program.version,
      input: before.input,
      ...(key !== undefined && { key }),
      output: refs,
      ...(streamed && { streamed }),
      ...(random && { random }),
      ...(charged && { charged }),
      ...(provisional && { provisional }),
    };
    const written = records.direct?.commit(run, entry, texts);
    if (!written) return this.noted(output, entry, records.commit(run, entry, texts));
    this.follow(written);
    this.stepsPending = true;
    return output;
  }

  private async noted(output: Row, entry: JournalEntry, commit: Promise<JournalEntry>): Promise<Row> {
    const standing = await this.written(commit);
    return sameRefs(standing, entry) ? output : this.output(standing);
  }

  /** Notes what is being written in the order in which it was noted. */
  follow(written: Promise<void>): void {
    this.last = written;
    const settled = () => {
      if (this.last !== written) return;
      this.last = undefined;
      this.stepsPending = false;
    };
    written.then(settled, (thrown) => {
      settled();
      const error = isOurs(thrown) ? thrown : located(thrown, this.settings.run, "STORE_FAILED");
      this.lost ??= { error };
      this.onLost?.(error);
    });
  }

  /**
   * What has to be written before a step begins: every step that is finished, and every charge. Before one that writes or
   * may cost something, also that the run has begun: else somebody who comes again after a crash would pay or write again.
   */
  before({ effects, bound }: OperatorProgram): Promise<unknown> | undefined {
    const { last, charges } = this;
    if (this.lost) return this.durable();
    const mustWait = last && (this.stepsPending || effects === "write" || bound !== undefined);
    if (!mustWait) return charges;
    return charges ? Promise.all([last, charges]) : last;
  }

  /** Whether nothing is being written that somebody has to wait for. */
  get isQuiet(): boolean {
    return this.last === undefined && this.charges === undefined && !this.writing?.size && !this.lost;
  }

  /** Waits until everything that is noted would survive a crash. @throws TesseraError where something could not be written */
  async durable(): Promise<void> {
    while (this.last) await this.last.catch(() => {});
    while (this.taken.size > 0 && !this.lost) await Promise.allSettled([...(this.writing ?? [])]);
    if (this.lost) throw this.lost.error;
    await this.charges;
  }

  /** Notes that the policy of a node left it out, so that a run that goes on leaves it out too. */
  async skip(place: string, input: Row): Promise<void> {
    const { records, run } = this.settings;
    if (!records || this.replays) return;
    const entry = { path: place, operator: "", version: 0, input: hashOf(input, "input"), output: {}, skipped: true };
    await this.written(records.commit(run, entry, noTexts));
  }

  /** Notes what an attempt was charged that gave no result; no work begins before that is written. */
  charge({ calls, tokens, layers, cost }: Charge): void {
    const { records, run } = this.settings;
    if (!records || this.replays) return;
    this.life ??= randomUUID().slice(0, 8);
    const attempt = `${this.life}.${++this.attempts}`;
    const writing = this.written(records.charge(run, attempt, { calls, tokens, layers, cost }));
    const all = Promise.all([this.charges, writing]);
    all.catch(() => {}); // whoever waits for `charged` hears of it
    this.charges = all;
  }

  /** Waits until nothing is being written. */
  async quiet(): Promise<void> {
    while (this.writing?.size || this.last) await Promise.allSettled([...(this.writing ?? []), this.last]);
  }

  private written<T>(write: Promise<T>): Promise<T> {
    this.writing ??= new Set();
    const { writing } = this;
    writing.add(write);
    const done = () => void writing.delete(write);
    write.then(done, done);
    return write;
  }
}

const configHashes = new WeakMap<object, string>();

const principalHashes = new WeakMap<object, string>();

/** The hash of a principal; of one that cannot be changed any more it is made once. */
function principalHash(principal: object | undefined): string {
  if (!principal) {
    noPrincipal ??= hashOf(null);
    return noPrincipal;
  }
  const known = principalHashes.get(principal);
  if (known !== undefined) return known;
  const hash = hashOf(principal);
  if (Object.isFrozen(principal) && Object.values(principal).every(Object.isFrozen))
    principalHashes.set(principal, hash);
  return hash;
}

/** The hash of a config, which does not change. */
function configHash(config: unknown): string {
  if (typeof config !== "object" || config === null) return hashOf(config, "config");
  const known = configHashes.get(config);
  if (known !== undefined) return known;
  const hash = hashOf(config, "config");
  configHashes.set(config, hash);
  return hash;
}

const noTexts: Texts = new Map();
let noPrincipal: string | undefined; // hashed on first use: OpenSSL takes milliseconds to start

const sameList = (some: readonly string[], others: readonly string[]): boolean =>
  some.length === others.length && some.every((one, index) => one === others[index]);

const sameRefs = ({ output }: JournalEntry, other: JournalEntry): boolean =>
  Object.keys(output).length === Object.keys(other.output).length &&
  Object.entries(output).every(([port, ref]) => other.output[port] === ref);

/** A result from the cache; one that is damaged is none. */
function cached(text: string | undefined, key: string): { output: Row; streamed?: readonly string[] } | undefined {
  try {
    return text === undefined ? undefined : unseal(text, key);
  } catch (error) {
    if (TesseraError.is(error)) return undefined;
    throw error;
  }
}

/** What a run was charged in its earlier lives, all together. */
export function chargedBefore({ entries, charged, attempts }: RunJournal): Charge & { readonly steps: number } {
  const total = { ...noCharge, ...charged, steps: attempts } as { -readonly [K in keyof Charge]: number } & {
    steps: number;
  };
  for (const entry of entries.values()) {
    const { skipped, mark, from, given, charged: own = noCharge } = entry;
    // a step that waits still is counted when the run goes on, and one that was not run never
    if (!skipped && !mark && !from && !given && !isPending(entry)) total.steps++;
    for (const unit of ["calls", "tokens", "layers", "cost"] as const) total[unit] += own[unit];
  }
  return total;
}
