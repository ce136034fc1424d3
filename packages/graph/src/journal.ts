// internal
import { canonicalJson, type Records, type StepRecord, sha256, TesseraError } from "@tessera/core";
import type { OperatorProgram, Row } from "./program.js";
import { toJson } from "./records/serialize.js";
import type { Run } from "./run.js";

/** How a run uses what an earlier one left: not at all, each step whose key is still the same, or every step by its path. */
export type Reuse = "none" | "matching" | "all";

export interface JournalSettings {
  /** The run whose steps are noted; without it nothing is kept but in the cache. */
  readonly records?: Records | undefined;
  readonly run: string;
  readonly known: ReadonlyMap<string, string>;
  readonly reuse: Reuse;
  readonly cache?: Pick<Records, "get" | "put"> | undefined;
}

/** Looks up and commits the results of a run's steps. */
export class Journal {
  constructor(private readonly settings: JournalSettings) {}

  /**
   * The result of a step, if it is known.
   * @throws TesseraError RECORD_MISSING in a replay, where every step must be.
   */
  async find(
    program: OperatorProgram,
    path: string,
    input: Row,
    run: Run,
  ): Promise<{ record: StepRecord; from: "journal" | "cache" } | undefined> {
    const { records, known, reuse, cache } = this.settings;
    const noted = known.get(path);
    if (reuse === "all") {
      const record = noted === undefined ? undefined : await records?.get(noted);
      if (record) return { record, from: "journal" };
      throw new TesseraError("RECORD_MISSING", "the replayed run did not record this step", { path });
    }
    if (noted === undefined && !cache) return undefined;
    const [plain, seeded] = keysOf(program, path, input, run);
    if (reuse === "matching" && records && (noted === plain || noted === seeded)) {
      const record = await records.get(noted);
      if (record) return { record, from: "journal" };
    }
    if (!cache || program.effects === "write") return undefined;
    const record = (await cache.get(plain)) ?? (await cache.get(seeded));
    if (!record) return undefined;
    await this.note(path, (await cache.get(plain)) ? plain : seeded, record);
    return { record, from: "cache" };
  }

  async commit(
    program: OperatorProgram,
    path: string,
    input: Row,
    run: Run,
    random: boolean,
    record: StepRecord,
  ): Promise<void> {
    const key = keysOf(program, path, input, run)[random ? 1 : 0];
    if (this.settings.cache && program.effects !== "write") await this.settings.cache.put(key, record);
    await this.note(path, key, record);
  }

  private async note(path: string, key: string, record: StepRecord): Promise<void> {
    const { records, run } = this.settings;
    if (!records) return;
    if (records.commit) return records.commit(run, path, key, record);
    await records.put(key, record);
    await records.append(run, path, key);
  }
}

/**
 * The keys of a step's result: made from the operator, its version and config, the input, who asks and the revisions of
 * its resources; and, where the operator draws random numbers, the seed and the place too.
 */
function keysOf(program: OperatorProgram, path: string, input: Row, run: Run): [plain: string, seeded: string] {
  const { name, version, config, revisions } = program;
  const plain = sha256(
    canonicalJson([name, version, toJson(config), toJson(input), toJson(run.principal ?? null), revisions()]),
  );
  return [plain, sha256(canonicalJson([plain, run.seed, path]))];
}
