import { type Records, type RunRecord, TesseraError } from "@tessera/core";
import type { JournalEntry, RunJournal, Texts } from "@tessera/core/internal";
import type { OperatorProgram, Row } from "../program.js";
import { hashesIn, pack, unpack } from "../records/pack.js";
import { hashOf } from "../records/values.js";
import { isPending } from "../waits/entries.js";
import { barePath, type GivenStep, nodePath } from "./changes.js";

/** A run that another one takes finished steps from, and what of it does not stand. It is kept with the record of the other. */
export interface Origin {
  readonly run: string;
  /** The paths of nodes none of whose results stand. */
  readonly changed?: readonly string[];
  /** The path of a step that is run once more, without marks of attempts. */
  readonly again?: string;
  /** What a step gives in place of being run. */
  readonly given?: GivenStep;
}

/** An origin with what it left. */
interface Source extends Origin {
  readonly entries: RunJournal["entries"];
  /** Whether what it drew at random is what the new run would draw at the same path. */
  readonly sameSeed: boolean;
}

const contentOf = (node: string, operator: string, input: string): string => `${node}\n${operator}\n${input}`;

/** Whether what was left of a node is void by a change: of the node, inside of it, or around it. */
const isVoid = (changed: string, node: string): boolean =>
  changed === node || changed.startsWith(`${node}/`) || node.startsWith(`${changed}/`);

interface Found {
  readonly entry: JournalEntry;
  readonly source: Source;
}

/**
 * What a run takes from others in place of running steps. A step is the same where its node and its input are: at the same
 * path, or, of another element or turn, at another one. What a step wrote, or was answered, serves one step only.
 */
export class Inheritance {
  private readonly byContent = new Map<string, Found[]>();
  /** What serves a step already, of those that write or wait. */
  private readonly used = new Set<string>();
  private readonly given = new Map<
    string,
    { readonly step: GivenStep; readonly texts: Texts; readonly refs: JournalEntry["output"] }
  >();
  private readonly again = new Set<string>();

  /**
   * @param sources the nearest first; what does not stand of a near one does not stand of those behind it
   * @param own what the new run has finished already
   */
  constructor(sources: readonly Source[], own: Iterable<JournalEntry> = []) {
    const changed: string[] = [];
    for (const source of sources) {
      changed.push(...(source.changed ?? []));
      if (source.again !== undefined) this.again.add(source.again);
      const stands = (path: string) => !changed.some((one) => isVoid(one, nodePath(path)));
      this.takeGiven(source, stands);
      for (const entry of source.entries.values())
        if (this.counts(entry, source) && stands(entry.path)) this.keep({ entry, source });
    }
    for (const { from } of own) if (from) this.used.add(`${from.run}:${from.path}`);
  }

  private takeGiven({ given }: Source, stands: (path: string) => boolean): void {
    if (!given || this.given.has(given.path) || this.again.has(given.path) || !stands(given.path)) return;
    this.given.set(given.path, { step: given, ...pack(given.row) });
  }

  private counts(entry: JournalEntry, source: Source): boolean {
    if (entry.mark || isPending(entry) || this.again.has(barePath(entry.path))) return false;
    return !entry.random || source.sameSeed;
  }

  private keep(found: Found): void {
    const { path, operator, input } = found.entry;
    // what is noted of an attempt that failed belongs to its place alone
    if (input === "" || /!\d+$/.test(path)) return;
    const key = contentOf(nodePath(path), operator, input);
    const same = this.byContent.get(key);
    if (same) same.push(found);
    else this.byContent.set(key, [found]);
  }

  /** What a fork gives at a place, or what serves there; nothing where the step has to be run. */
  entry(program: OperatorProgram, place: string, input: Row): JournalEntry | undefined {
    const hash = hashOf(input, "input");
    const given = this.given.get(barePath(place));
    if (given) {
      const { step, refs } = given;
      const { name: operator, version } = program;
      return {
        path: place,
        operator,
        version,
        input: hash,
        output: refs,
        given: true,
        ...(step.wait && { wait: step.wait }),
      };
    }
    const found = this.find(place, { operator: program.name, input: hash, once: program.effects === "write" });
    return found && copyOf(found, place);
  }

  /** What stands of a node that its policy left out, or of an attempt that failed. */
  skipped(place: string, input: string): JournalEntry | undefined {
    const found = this.find(place, { operator: "", input, once: false });
    return found && copyOf(found, place);
  }

  private find(
    place: string,
    { operator, input, once }: { readonly operator: string; readonly input: string; readonly once: boolean },
  ): Found | undefined {
    if (this.again.has(barePath(place))) return undefined;
    const candidates = this.byContent.get(contentOf(nodePath(place), operator, input)) ?? [];
    const isFree = ({ entry, source }: Found) => !once || !this.used.has(`${source.run}:${entry.path}`);
    const here = (found: Found) => found.entry.path === place && isFree(found);
    const elsewhere = (found: Found) => !found.entry.random && isFree(found);
    const found = candidates.find(here) ?? candidates.find(elsewhere);
    if (found && once) this.used.add(`${found.source.run}:${found.entry.path}`);
    return found;
  }

  /** The texts that an entry names. */
  async texts(entry: JournalEntry, records: Pick<Records, "texts">): Promise<Texts> {
    if (entry.given) return this.given.get(barePath(entry.path))!.texts;
    const hashes = hashesIn(entry.output);
    return hashes.length > 0 ? records.texts(hashes) : noTexts;
  }
}

const noTexts: Texts = new Map();

/** An entry of another run as one of this run: it costs nothing, and says where it is from. */
function copyOf({ entry, source: { run } }: Found, path: string): JournalEntry {
  const { charged: _, provisional: __, from: ___, ...rest } = entry;
  return { ...rest, path, from: { run, path: entry.path } };
}

/** What a run takes from others, as its record says. */
export async function originsOf(record: RunRecord, records: Pick<Records, "texts">): Promise<readonly Origin[]> {
  const { fork } = record.document;
  return fork === undefined ? [] : ((await unpack({ fork }, records)).fork as readonly Origin[]);
}

interface Reading {
  readonly records: Records;
  /** That of the run that takes. */
  readonly seed: number;
  /** What it has finished already. */
  readonly own?: Iterable<JournalEntry>;
  /** The journal of the first origin, where it is read already. */
  readonly near?: RunJournal;
}

/**
 * Reads what a run takes from others.
 * @throws TesseraError RECORD_MISSING where one of them is not recorded any more
 */
export async function inheritanceOf(
  origins: readonly Origin[],
  { records, seed, own, near }: Reading,
): Promise<Inheritance> {
  const sources = await Promise.all(
    origins.map(async (origin, index) => {
      const { run } = origin;
      const record = await records.run(run);
      if (!record)
        throw new TesseraError(
          "RECORD_MISSING",
          `the run "${run}", which this one was forked from, is not recorded now`,
          {
            path: run,
            hint: "start the flow anew",
          },
        );
      const { entries } = (index === 0 && near) || (await records.journal(run));
      return { ...origin, entries, sameSeed: record.seed === seed };
    }),
  );
  return new Inheritance(sources, own);
}
