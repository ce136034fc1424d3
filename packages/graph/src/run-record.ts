import { type Principal, type RunRecord, TesseraError } from "@tessera/core";
import { located } from "./foreign.js";
import type { Journal } from "./journal.js";
import type { LedgerSettings } from "./ledger.js";
import type { FlowPlan } from "./plan.js";
import type { RunOptions } from "./run-options.js";

// what a run and its record have in common

export const homeless = (path: string): TesseraError =>
  new TesseraError("BAD_ARGUMENT", "a flow that may wait needs records, where its runs are while they wait", {
    path,
    hint: "give `records`: diskRecords(folder), postgresRecords(connection), or memoryRecords() for one process",
  });

/** An access list names principals and groups: a name that is both would admit one in place of the other. */
export function misnamed(principal: Principal, path: string): TesseraError | undefined {
  try {
    const { id, groups } = principal;
    if (!Array.isArray(groups) || !groups.includes(id)) return undefined;
    return new TesseraError("BAD_ARGUMENT", `"${id}" would be a principal and a group`, {
      path: `${path}.principal`,
      hint: "access lists name both: give one of them another name",
    });
  } catch (thrown) {
    return located(thrown, path);
  }
}

/** The name of a run in idempotency keys: its id, and the start of its claim, since an id can be used again. */
export const nameOf = ({ id, claim }: RunRecord): string => (claim === "" ? id : `${id}.${claim.slice(0, 8)}`);

/** The version of each operator of a plan, by name. */
export function versionsOf({ nodes }: FlowPlan): Record<string, number> {
  const versions: Record<string, number> = {};
  for (const { body } of nodes)
    if (body.kind === "flow") Object.assign(versions, versionsOf(body));
    else versions[body.operator.name] = body.operator.version;
  return versions;
}

/** What a run that stands on a recorded one has of it. */
export const origin = ({ seed, principal }: RunRecord): Pick<RunOptions, "seed" | "principal"> => ({
  seed,
  ...(principal !== undefined && { principal: principal as unknown as Principal }),
});

/** Whether a run was aborted because what runs it closes. */
export const isClosed = (cause: unknown): boolean => TesseraError.is(cause) && cause.code === "CLOSED";

/** Writes the charges that no journal entry holds: those of attempts that failed or were given up. */
export const chargesOf =
  (journal: Journal): NonNullable<LedgerSettings["charged"]> =>
  ({ how, spent }) => {
    if (how !== "finished") journal.charge(spent);
  };
