import { randomUUID } from "node:crypto";
import { type Json, type Principal, type RunRecord, TesseraError } from "@tessera/core";
import type { RunJournal, Texts } from "@tessera/core/internal";
import { located } from "./foreign.js";
import type { Journal } from "./journal.js";
import type { LedgerSettings } from "./ledger.js";
import type { FlowPlan } from "./plan.js";
import type { Row } from "./program.js";
import { type Packed, pack } from "./records/pack.js";
import type { RunOptions } from "./run-options.js";
import type { OnThread } from "./threads/on-thread.js";
import type { ForkOf } from "./time/forking.js";

// what a run and its record have in common

/** What is kept of how a run begins. */
export interface Beginning extends Pick<RunOptions, "seed" | "principal" | "thread"> {
  readonly id: string;
}

interface OfFlow extends Pick<RunRecord, "flow" | "hash" | "operators"> {
  readonly prompts: Readonly<Record<string, string>>;
  readonly document: Packed;
}

/** The record of a run that begins, and the texts that it names. */
export function recordOf(
  row: Row,
  { id, seed = 0, principal, thread }: Beginning,
  { document, prompts, ...flow }: OfFlow,
  fork?: { readonly kept: Packed },
): { readonly record: RunRecord; readonly texts: Texts } {
  const kept = pack(row);
  const record: RunRecord = {
    id,
    ...flow,
    document: fork ? { ...document.refs, ...fork.kept.refs } : document.refs,
    ...(Object.keys(prompts).length > 0 && { prompts }),
    seed,
    input: kept.refs,
    ...(principal && { principal: principal as unknown as Json }),
    ...(thread !== undefined && { thread: threadOf(thread).id }),
    claim: randomUUID(),
  };
  const texts = kept.texts.size === 0 ? document.texts : new Map([...kept.texts, ...document.texts]);
  return { record, texts: fork ? new Map([...texts, ...fork.kept.texts]) : texts };
}

export const threadOf = (thread: string | OnThread): OnThread => (typeof thread === "string" ? { id: thread } : thread);

/** Whether a run was aborted because what runs it closes. */
export const isClosed = (cause: unknown): boolean => TesseraError.is(cause) && cause.code === "CLOSED";

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

/** @throws TesseraError BAD_ARGUMENT where a run began on another document */
export function assertDocument({ id, hash }: RunRecord, now: string): void {
  if (hash !== now)
    throw new TesseraError("BAD_ARGUMENT", `run "${id}" ran another version of the flow`, {
      path: id,
      hint: "go on with that document, which its record holds; or with this one: resume(id, { acceptChanges: true })",
    });
}

/** @throws TesseraError as `assertDocument`; CONFLICT where an operator has another version now */
export function assertUnchanged(record: RunRecord, hash: string, operators: Readonly<Record<string, number>>): void {
  assertDocument(record, hash);
  for (const [name, version] of Object.entries(record.operators ?? {}))
    if (operators[name] !== version)
      throw new TesseraError(
        "CONFLICT",
        `run "${record.id}" began with version ${version} of ${name}, which is ${operators[name]} by now`,
        {
          path: record.id,
          hint: "resume(id, { acceptChanges: true }) keeps what is finished, and goes on with the new version",
        },
      );
}

/** Writes the charges that no journal entry holds: those of attempts that failed or were given up. */
export const chargesOf =
  (journal: Journal): NonNullable<LedgerSettings["charged"]> =>
  ({ how, spent }) => {
    if (how !== "finished") journal.charge(spent);
  };

/** What a new run takes from a recorded one: for what-if, or as its fork. */
export interface TakenFrom {
  readonly other?: RunJournal;
  readonly fork?: ForkOf;
}
