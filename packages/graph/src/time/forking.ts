import type { Records, RunRecord } from "@tessera/core";
import type { FlowPlan } from "../plan.js";
import { pack } from "../records/pack.js";
import {
  assertOneChange,
  barePath,
  bodyAt,
  changesDocument,
  type ForkChange,
  givenBy,
  nodePath,
  stepAt,
} from "./changes.js";
import { type Inheritance, inheritanceOf, type Origin, originsOf } from "./inheritance.js";

/** What a fork takes from the run that it is made from. */
export interface ForkOf {
  readonly inherited: Inheritance;
  /** Kept with the record of the fork. */
  readonly kept: ReturnType<typeof pack>;
}

interface ForkFrom {
  readonly records: Records;
  readonly record: RunRecord;
  /** The plan of the fork. */
  readonly plan: FlowPlan;
  readonly seed: number;
  /** The id of whoever answers. */
  readonly by: string | undefined;
}

/**
 * Prepares a fork of a recorded run.
 * @throws TesseraError BAD_ARGUMENT, NOT_FOUND where the run has no such step, BAD_INPUT where what is given does not fit
 */
export async function forkOf(change: ForkChange, { records, record, plan, seed, by }: ForkFrom): Promise<ForkOf> {
  assertOneChange(change);
  const journal = await records.journal(record.id);
  const body = bodyAt(plan, change.at);
  const given = givenBy(body, journal, change, by);
  const step = stepAt(journal, change.at);
  const isOfNode = changesDocument(change) || (!given && !step);
  const near: Origin = {
    run: record.id,
    ...(isOfNode ? { changed: [nodePath(change.at)] } : given ? { given } : { again: barePath(step!.path) }),
  };
  const known: Origin[] = [];
  // those behind the run are missing where it had ended and needed them no more
  for (const origin of await originsOf(record, records)) if (await records.run(origin.run)) known.push(origin);
  const origins = [near, ...known];
  return { inherited: await inheritanceOf(origins, { records, seed, near: journal }), kept: pack({ fork: origins }) };
}
