import { type Json, TesseraError } from "@tessera/core";
import type { Sliced } from "@tessera/core/internal";
import { Diagram, type Visits } from "./diagram.js";
import type { FlowPlan } from "./plan.js";
import { type Presence, Presences } from "./presence.js";
import { type Chosen, choose, type Decision, type Needs, type Read, type Wiring, wiringOf } from "./wiring.js";

/**
 * How many steps a check of outputs takes at most over a whole document: wires that are followed, and nodes of decision
 * diagrams that are made. The bound of what a run can spend may take as many again.
 */
export const visitLimit = 400_000;

/** How many reasons a finding names. */
const named = 6;

/**
 * One way to decide everything in a flow where all fails that may fail and all stays empty that may: what is missing
 * then, and for which reasons.
 */
class Situation {
  /** By node, the reasons why it is missing; undefined where it runs. */
  private readonly missing: (readonly string[] | undefined)[] = [];

  constructor(private readonly values: ReadonlyMap<Decision, Json>) {}

  static *of(wiring: Wiring, values: ReadonlyMap<Decision, Json>): Sliced<Situation> {
    const situation = new Situation(values);
    for (const node of wiring.nodes) {
      const fails = node.mayFail ? [`${node.id} fails`] : undefined;
      const { missing } = situation;
      missing.push(fails ?? situation.reasons(node));
      yield;
    }
    return situation;
  }

  /** Why something is missing that needs this; the fewest reasons that suffice. Undefined where it is not missing. */
  reasons({ guards, sources }: Needs): readonly string[] | undefined {
    let fewest: readonly string[] | undefined;
    const consider = (reasons: readonly string[] | undefined) => {
      if (reasons && (!fewest || reasons.length < fewest.length)) fewest = reasons;
    };
    for (const { read, decision, guard } of guards) {
      const value = this.values.get(decision)!;
      const absent = this.absent(read);
      consider(
        absent ?? (decision.meets(value, guard) ? undefined : [`${read.reference} is ${JSON.stringify(value)}`]),
      );
    }
    for (const source of sources) consider(this.allAbsent(source));
    return fewest;
  }

  private absent({ reference, node, optional }: Read): readonly string[] | undefined {
    if (optional) return [`${reference} is empty`];
    return node < 0 ? undefined : this.missing[node];
  }

  private allAbsent(source: readonly Read[]): readonly string[] | undefined {
    const all = new Set<string>();
    for (const read of source) {
      const reasons = this.absent(read);
      if (!reasons) return undefined;
      if (all.size <= named) for (const reason of reasons) all.add(reason);
    }
    return [...all];
  }
}

/** The reasons in words. */
function describe(reasons: readonly string[]): string {
  if (reasons.length === 0) return "it runs at all";
  return `${reasons.slice(0, named).join(" and ")}${reasons.length > named ? " and more" : ""}`;
}

/** Findings for the outputs that some combination of decisions leaves empty. */
export function* checkOutputs(plan: FlowPlan, visits: Visits): Sliced<TesseraError[]> {
  const wiring = yield* wiringOf(plan);
  const starved = new Map<string, string>();
  const open = new Map(wiring.outputs);
  /** Notes the outputs that are missing where the decisions go this way. */
  function* look(values: ReadonlyMap<Decision, Json>): Sliced<void> {
    visits.left -= wiring.nodes.length + open.size;
    const situation = yield* Situation.of(wiring, values);
    for (const [name, needs] of open) {
      const reasons = situation.reasons(needs);
      if (!reasons) continue;
      starved.set(name, describe(reasons));
      open.delete(name);
    }
  }

  const diagram = new Diagram(visits);
  const chosen = choose(wiring.decisions, "least", diagram);
  const valuesOf = (pick: (of: Chosen) => { readonly value: Json }) =>
    new Map([...chosen].map(([decision, of]) => [decision, pick(of).value]));
  // what some plain choices show needs no computation
  yield* look(valuesOf(({ classes }) => classes[0]!));
  if (wiring.decisions.length > 0 && open.size > 0) yield* look(valuesOf(({ classes }) => classes.at(-1)!));
  if (wiring.decisions.length > 0 && open.size > 0) {
    const presences = new Presences(wiring, chosen, true, diagram);
    yield* presences.all();
    for (const [name, needs] of [...open]) {
      if (!open.has(name)) continue;
      const presence: Presence = yield* presences.meeting(needs);
      if (presence.isAlways) open.delete(name);
      const variables = presence.missing(diagram);
      if (variables) yield* look(valuesOf((of) => of.chosen(variables)));
      yield;
    }
  } else open.clear();
  return findings(plan, starved, open);
}

function findings(plan: FlowPlan, starved: ReadonlyMap<string, string>, unknown: ReadonlyMap<string, Needs>) {
  return [...plan.output.keys()].flatMap((name) => {
    const path = `${plan.path}.${name}`;
    const reasons = starved.get(name);
    if (reasons !== undefined)
      return new TesseraError("STARVED_OUTPUT", `nothing reaches the output "${name}" when ${reasons}`, {
        path,
        hint: "join the branches with { first: [...] }, and end it with { value } if none may run",
      });
    if (!unknown.has(name)) return [];
    return new TesseraError(
      "TOO_MANY_COMBINATIONS",
      `whether the output "${name}" is always reached was not found within ${visitLimit.toLocaleString("en")} steps of the check: too many decisions depend on each other`,
      { path, hint: "end its source with an unconditional { value } as the last member of `first`" },
    );
  });
}
