// the naive twin of decisions.ts and flow-bound.ts, for tests: it tries every combination of decisions
import { type Json, type Source, TesseraError } from "@tessera/core";
import { readsOf, referencesOf, splitReference, valuesOf } from "@tessera/core/internal";
import { most, none, operatorBound, plus, times } from "./bounds.js";
import type { FlowBound, FlowPlan, NodePlan } from "./plan.js";

/** More combinations than this are not tried. */
const combinationLimit = 4096;

/** A choice that is made while a flow runs: a decision's value, an optional port that stays empty, a node that is skipped for an error. */
type Choices = ReadonlyMap<string, Json>;

const referenced = (reference: string): string => splitReference(reference)[0];

/**
 * Walks every combination of the choices that matter to some nodes of a flow, in the order of the nodes.
 * @param failures whether `onError: "skip"` and empty optional ports count as choices.
 * @returns false where there are more than the limit.
 */
function explore(
  plan: FlowPlan,
  nodes: readonly NodePlan[],
  failures: boolean,
  visit: (active: ReadonlySet<string>, present: (reference: string) => boolean, choices: Choices) => boolean,
  extra: readonly string[] = [],
): boolean {
  const byId = new Map(plan.nodes.map((node) => [node.id, node]));
  const decided = new Set(nodes.flatMap((node) => Object.keys(node.document.when ?? {})));
  const readPorts = new Set([...nodes.flatMap((node) => readsOf(node.document)), ...extra]);
  let left = combinationLimit;

  const active = new Set<string>();
  const choices = new Map<string, Json>();
  const present = (reference: string): boolean => {
    const id = referenced(reference);
    return (id === "input" || active.has(id)) && choices.get(`${reference} is empty`) !== true;
  };
  const runs = ({ document, input }: NodePlan): boolean => {
    for (const [reference, wanted] of Object.entries(document.when ?? {})) {
      if (!present(reference)) return false;
      const value = choices.get(reference)!;
      if (Array.isArray(wanted) ? !wanted.includes(value) : wanted !== value) return false;
    }
    return Object.entries(document.in).every(([port, source]) => input.get(port)?.optional || arrives(source, present));
  };

  /** The choices that open once a node has settled (or, for "input", at the start). */
  const opened = (id: string, isActive: boolean): [string, Json[]][] => {
    if (!isActive) return [];
    const gives = id === "input" ? plan.input : byId.get(id)!.gives;
    const result: [string, Json[]][] = [];
    for (const [port, { type, optional }] of gives) {
      const reference = `${id}.${port}`;
      if (failures && optional && readPorts.has(reference)) result.push([`${reference} is empty`, [false, true]]);
      if (decided.has(reference)) result.push([reference, [...(valuesOf(type) ?? [])]]);
    }
    return result;
  };

  const choose = (open: [string, Json[]][], then: () => boolean): boolean => {
    const [next, ...rest] = open;
    if (!next) return then();
    const [name, values] = next;
    for (const value of values) {
      choices.set(name, value);
      if (!choose(rest, then)) return false;
    }
    choices.delete(name);
    return true;
  };

  const walk = (at: number): boolean => {
    // nodes that open no choice need no recursion, however many there are
    const settled: string[] = [];
    let proceed = true;
    let position = at;
    for (; position < nodes.length; position++) {
      const node = nodes[position]!;
      const isActive = runs(node);
      const mayFail = failures && isActive && node.document.policy?.onError === "skip" && !node.document.each;
      if (isActive) {
        active.add(node.id);
        settled.push(node.id);
      }
      const open = opened(node.id, isActive);
      if (!mayFail && open.length === 0) continue;
      const next = position + 1;
      proceed = choose(open, () => walk(next));
      if (proceed && mayFail) {
        active.delete(node.id);
        choices.set(`${node.id} fails`, true);
        proceed = walk(next);
        choices.delete(`${node.id} fails`);
      }
      break;
    }
    if (position === nodes.length) {
      left--;
      proceed = left >= 0 && visit(active, present, choices);
    }
    for (const id of settled) active.delete(id);
    return proceed;
  };
  const finished = choose(opened("input", true), () => walk(0));
  return finished || left >= 0;
}

/** Whether a source has a value, given which references do. An empty list of sources is an empty list. */
function arrives(source: Source, present: (reference: string) => boolean): boolean {
  if (typeof source === "string") return present(source);
  if (Array.isArray(source)) return source.length === 0 || source.some(present);
  if ("first" in source) return source.first.some((member) => typeof member !== "string" || present(member));
  if ("named" in source) {
    const references = Object.values(source.named);
    return references.length === 0 || references.some(present);
  }
  return true;
}

/** The nodes that a source depends on, in the flow's order. */
function cone(plan: FlowPlan, source: Source): NodePlan[] {
  const byId = new Map(plan.nodes.map((node) => [node.id, node]));
  const wanted = new Set<string>();
  const pending = referencesOf(source).map(referenced);
  while (pending.length > 0) {
    const node = byId.get(pending.pop()!);
    if (!node || wanted.has(node.id)) continue;
    wanted.add(node.id);
    pending.push(...readsOf(node.document).map(referenced));
  }
  return plan.nodes.filter(({ id }) => wanted.has(id));
}

const isTotal = (source: Source): boolean =>
  typeof source === "object" &&
  !Array.isArray(source) &&
  ("value" in source || ("first" in source && source.first.some((member) => typeof member !== "string")));

/** Findings for the outputs that some combination of decisions leaves empty. */
export function everyOutput(plan: FlowPlan): TesseraError[] {
  const findings: TesseraError[] = [];
  for (const [name, { source }] of plan.output) {
    if (isTotal(source)) continue;
    const path = `${plan.path}.${name}`;
    let starved: string | undefined;
    const tried = explore(
      plan,
      cone(plan, source),
      true,
      (_, present, choices) => {
        if (arrives(source, present)) return true;
        starved = describe(choices);
        return false;
      },
      referencesOf(source),
    );
    if (starved !== undefined)
      findings.push(
        new TesseraError("STARVED_OUTPUT", `nothing reaches the output "${name}" when ${starved}`, {
          path,
          hint: "join the branches with { first: [...] }, and end it with { value } if none may run",
        }),
      );
    else if (!tried)
      findings.push(
        new TesseraError(
          "TOO_MANY_COMBINATIONS",
          `more than ${combinationLimit} combinations of decisions lead to the output "${name}"`,
          { path, hint: "end its source with an unconditional { value } as the last member of `first`" },
        ),
      );
  }
  return findings;
}

/** The choices in words; those that went the usual way are not worth one. */
function describe(choices: Choices): string {
  const parts = [...choices].flatMap(([name, value]) => {
    if (!name.includes(" ")) return [`${name} is ${JSON.stringify(value)}`];
    return value === true ? [name] : [];
  });
  return parts.join(" and ") || "it runs at all";
}

/** The most that one run of the flow can spend: over every combination of decisions, each figure at its largest. */
export function everyBound(plan: FlowPlan): FlowBound {
  const costs = new Map(plan.nodes.map((node) => [node.id, nodeBound(node)]));
  let result = none;
  const tried = explore(plan, plan.nodes, false, (active) => {
    let sum = none;
    for (const id of active) sum = plus(sum, costs.get(id)!);
    result = most(result, sum);
    return true;
  });
  return tried ? result : [...costs.values()].reduce(plus, none);
}

function nodeBound({ body, document: { each, repeat, policy } }: NodePlan): FlowBound {
  const own: FlowBound =
    body.kind === "flow" ? everyBound(body) : { ...none, steps: 1, ...operatorBound(body.operator, body.config) };
  return times(own, (policy?.retry?.attempts ?? 1) * (each?.max ?? repeat?.max ?? 1));
}
