// internal: RunDifference, differenceOf
import type { Records } from "@tessera/core";
import type { JournalEntry, RunJournal } from "@tessera/core/internal";
import type { Row } from "../program.js";
import { unpack } from "../records/pack.js";
import { isPending } from "../waits/entries.js";
import { nodePath } from "./changes.js";

/** A step as one of two runs has it. */
export interface ComparedStep {
  readonly path: string;
  readonly operator: string;
  readonly version: number;
  /** Absent while it waits, and where the policy of its node left it out. */
  readonly output?: Row;
  readonly state: "done" | "waiting" | "skipped";
}

/** A step that two runs do not have in common. */
export interface StepDifference {
  readonly path: string;
  readonly change: "changed" | "added" | "removed";
  /** With "changed": what differs. */
  readonly because?: readonly ("operator" | "version" | "input" | "output" | "state")[];
  readonly before?: ComparedStep;
  readonly after?: ComparedStep;
}

/** The difference between two runs, by step. */
export interface RunDifference {
  /** How many steps are the same. */
  readonly same: number;
  /** How many of them are at another path: elements of a list that moved. */
  readonly moved: number;
  /** In the order of their paths. */
  readonly steps: readonly StepDifference[];
}

const stateOf = (entry: JournalEntry): ComparedStep["state"] =>
  entry.skipped ? "skipped" : isPending(entry) ? "waiting" : "done";

const outputOf = ({ output }: JournalEntry): string => JSON.stringify(Object.entries(output).sort());

/** Differences between two steps; the output of one that waits is what it asks. */
function differences(one: JournalEntry, other: JournalEntry): NonNullable<StepDifference["because"]> {
  const parts = (["operator", "version", "input"] as const).filter((part) => one[part] !== other[part]);
  const state = stateOf(one) === stateOf(other) ? [] : ["state" as const];
  const output = outputOf(one) === outputOf(other) || state.length > 0 ? [] : ["output" as const];
  return [...parts, ...output, ...state];
}

const stepsOf = ({ entries }: RunJournal): Map<string, JournalEntry> =>
  new Map([...entries].filter(([path, { mark }]) => !mark && !/!\d+$/.test(path)));

const contentOf = (entry: JournalEntry): string =>
  JSON.stringify([nodePath(entry.path), entry.operator, entry.version, entry.input, stateOf(entry), outputOf(entry)]);

/** Takes away the steps that both have: at the same path, or with the same content at another one. */
function takeCommon(before: Map<string, JournalEntry>, after: Map<string, JournalEntry>) {
  let same = 0;
  const take = (one: string, other: string) => {
    before.delete(one);
    after.delete(other);
    same++;
  };
  for (const [path, entry] of before) {
    const other = after.get(path);
    if (other && differences(entry, other).length === 0) take(path, path);
  }
  const there = same;
  const left = new Map<string, string[]>();
  for (const [path, entry] of after) {
    const key = contentOf(entry);
    left.set(key, [...(left.get(key) ?? []), path]);
  }
  for (const [path, entry] of before) {
    const other = left.get(contentOf(entry))?.shift();
    if (other !== undefined) take(path, other);
  }
  return { same, moved: same - there };
}

const byNumbers = new Intl.Collator("en", { numeric: true });

/** The steps in which two recorded runs differ. */
export async function differenceOf(records: Records, one: string, other: string): Promise<RunDifference> {
  const journals = await Promise.all([records.journal(one), records.journal(other)]);
  const [before, after] = journals.map(stepsOf) as [Map<string, JournalEntry>, Map<string, JournalEntry>];
  const common = takeCommon(before, after);
  const shown = async (entry: JournalEntry | undefined): Promise<ComparedStep | undefined> => {
    if (!entry) return undefined;
    const { path, operator, version, output } = entry;
    const state = stateOf(entry);
    return { path, operator, version, state, ...(state === "done" && { output: await unpack(output, records) }) };
  };
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort(byNumbers.compare);
  const steps = paths.map(async (path): Promise<StepDifference> => {
    const [was, is] = [before.get(path), after.get(path)];
    const sides = await Promise.all([shown(was), shown(is)]);
    const [left, right] = sides;
    return {
      path,
      change: was && is ? "changed" : was ? "removed" : "added",
      ...(was && is && { because: differences(was, is) }),
      ...(left && { before: left }),
      ...(right && { after: right }),
    };
  });
  return { ...common, steps: await Promise.all(steps) };
}
