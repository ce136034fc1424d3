// internal: ForkChange, changesDocument, forkedDocument
import { randomUUID } from "node:crypto";
import { type FlowDocument, type Json, type NodeDocument, TesseraError } from "@tessera/core";
import { didYouMean, type JournalEntry, type PendingWait, type RunJournal } from "@tessera/core/internal";
import { misfit } from "../foreign.js";
import type { FlowPlan, OperatorBody } from "../plan.js";
import type { Row } from "../program.js";
import { assertFits } from "../waits/answering.js";
import { answeredRow } from "../waits/entries.js";

/**
 * What a fork changes, at one place: what a step gave, what a wait was answered, or the settings or the operator of a node.
 * With `at` alone the step is run once more.
 */
export interface ForkChange {
  /** The path of a step, such as "ask/each[2]/approve". With `config` and `operator` all activations of its node change. */
  readonly at: string;
  /** The output ports of the step. */
  readonly output?: Readonly<Record<string, unknown>> | undefined;
  /** Another answer to a wait. */
  readonly answer?: unknown;
  /** The settings of the node, in place of its `with`. */
  readonly config?: Json | undefined;
  /** The name of another operator for the node. Without `config` it has no settings. */
  readonly operator?: string | undefined;
}

/** What a step gives that is not run, because a fork says so. */
export interface GivenStep {
  /** Without marks of attempts. */
  readonly path: string;
  readonly row: Row;
  /** Of a wait that was answered. */
  readonly wait?: PendingWait | undefined;
}

/** The path of a node, which all its activations and attempts share. */
export const nodePath = (path: string): string => path.replaceAll(/\[\d+\]|#\d+|!\d+/g, "");

/** The path of a step without the marks of attempts: all attempts share it. */
export const barePath = (path: string): string => path.replaceAll(/!\d+/g, "");

/** Whether a fork runs on another document. */
export const changesDocument = ({ config, operator }: ForkChange): boolean =>
  config !== undefined || operator !== undefined;

/** @throws TesseraError BAD_ARGUMENT where a fork changes two things at once */
export function assertOneChange(change: ForkChange): void {
  const kinds = [change.output !== undefined, change.answer !== undefined, changesDocument(change)];
  if (kinds.filter(Boolean).length > 1)
    throw new TesseraError("BAD_ARGUMENT", "a fork changes one thing: `output`, `answer`, or `config` and `operator`", {
      path: change.at,
      hint: "fork the new run to change another",
    });
}

/** The operators of a plan, by the path of their node. */
function* operatorsOf({ nodes }: FlowPlan): Iterable<readonly [path: string, body: OperatorBody]> {
  for (const { path, body } of nodes)
    if (body.kind === "flow") yield* operatorsOf(body);
    else yield [path, body];
}

/** @throws TesseraError NOT_FOUND where no node of the flow runs an operator at the path */
export function bodyAt(plan: FlowPlan, at: string): OperatorBody {
  const wanted = nodePath(at);
  const bodies = new Map(operatorsOf(plan));
  const found = bodies.get(wanted);
  if (found) return found;
  throw new TesseraError("NOT_FOUND", `the run has no step at "${at}"`, {
    path: at,
    hint: didYouMean(wanted, bodies.keys()) ?? "name a step, such as ask/each[2]/approve, and not a flow",
  });
}

/** The step at a path; a retried flow marks its attempts in the path ("ask/inner!2/a"), which may be left out. */
export function stepAt({ entries }: RunJournal, at: string): JournalEntry | undefined {
  const exact = entries.get(at);
  if (exact) return exact.mark || exact.skipped ? undefined : exact;
  const bare = [...entries.values()].filter((one) => !one.skipped && barePath(one.path) === at);
  return bare.at(-1);
}

/**
 * What a fork gives a step.
 * @throws TesseraError NOT_FOUND where the run had no such step; BAD_INPUT where what is given does not fit
 */
export function givenBy(
  body: OperatorBody,
  journal: RunJournal,
  change: ForkChange,
  by: string | undefined,
): GivenStep | undefined {
  const { at, output, answer } = change;
  if (output === undefined && answer === undefined) return undefined;
  const entry = stepAt(journal, at);
  if (!entry)
    throw new TesseraError("NOT_FOUND", `the run has no step at "${at}"`, {
      path: at,
      hint: didYouMean(at, journal.entries.keys()),
    });
  const { wait } = entry;
  const path = barePath(entry.path);
  if (answer !== undefined) {
    if (!wait || wait.signal !== undefined)
      throw new TesseraError("BAD_INPUT", "the step asked for no answer", { path: at, hint: "change its `output`" });
    assertFits(wait, answer, at);
    const ended = {
      by: "answer",
      at: Date.now(),
      id: randomUUID(),
      ...(by !== undefined && { principal: by }),
    } as const;
    return { path, row: answeredRow(wait, answer, by), wait: { ...wait, ended } };
  }
  assertOutput(body, at, output!);
  return { path, row: { ...output } };
}

/** @throws TesseraError BAD_INPUT where a row does not fit the output ports of an operator */
function assertOutput({ ports }: OperatorBody, path: string, row: Row): void {
  const stranger = Object.keys(row).find((port) => !Object.hasOwn(ports.output, port));
  if (stranger !== undefined)
    throw new TesseraError("BAD_INPUT", `the step has no output "${stranger}"`, {
      path,
      hint: `its outputs are ${Object.keys(ports.output).join(", ")}`,
    });
  for (const [port, schema] of Object.entries(ports.output)) {
    const problem = misfit(schema, Object.hasOwn(row, port) ? row[port] : undefined);
    if (problem)
      throw new TesseraError("BAD_INPUT", `the output "${port}" does not fit: ${problem.message}`, {
        path,
        cause: problem.cause,
      });
  }
}

/**
 * A document in which one node has other settings or another operator.
 * @throws TesseraError NOT_FOUND where there is no such node
 */
export function forkedDocument(document: FlowDocument, { at, config, operator }: ForkChange): FlowDocument {
  const [name, ...ids] = nodePath(at).split("/");
  const change = (flow: FlowDocument, [id = "", ...rest]: readonly string[]): FlowDocument => {
    const node = Object.hasOwn(flow.nodes, id) ? flow.nodes[id] : undefined;
    const isFlow = typeof node?.run === "object";
    if (!node || rest.length > 0 !== isFlow)
      throw new TesseraError("NOT_FOUND", `the flow has no node with an operator at "${at}"`, {
        path: at,
        hint: didYouMean(id, Object.keys(flow.nodes)),
      });
    const { with: settings, ...others } = node;
    const kept = config ?? (operator === undefined ? settings : undefined);
    const changed: NodeDocument = isFlow
      ? { ...node, run: change(node.run as FlowDocument, rest) }
      : {
          ...others,
          ...(operator !== undefined && { run: operator }),
          ...(kept !== undefined && { with: kept as never }),
        };
    return { ...flow, nodes: { ...flow.nodes, [id]: changed } };
  };
  return change(document, name === document.name ? ids : []);
}
