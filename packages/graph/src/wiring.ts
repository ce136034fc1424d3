import type { Json, Source } from "@tessera/core";
import type { Sliced } from "@tessera/core/internal";
import { splitReference, valuesOf } from "@tessera/core/internal";
import { always, type Diagram, type Fn, never } from "./diagram.js";
import type { FlowPlan, NodePlan, PlannedPort } from "./plan.js";

/** A port that is read: whose it is (-1: the flow's own input), and whether it can stay empty. */
export interface Read {
  readonly reference: string;
  readonly node: number;
  readonly optional: boolean;
}

/** A condition of a node: one of the guards of a decision. */
export interface Guard {
  readonly read: Read;
  readonly decision: Decision;
  readonly guard: number;
}

/** What decides whether a node runs, or whether an output is reached. */
export interface Needs {
  readonly guards: readonly Guard[];
  /** Of each of these at least one must be there. */
  readonly sources: readonly (readonly Read[])[];
}

interface WiredNode extends Needs {
  readonly id: string;
  /** Whether it can be left out for an error. */
  readonly mayFail: boolean;
}

/** Values of a decision that no guard tells apart, and the guards that they meet. */
interface Class {
  readonly value: Json;
  readonly guards: ReadonlySet<number>;
}

/** A port that conditions read. */
export class Decision {
  /** By guard, the values that it takes. */
  private readonly wanted: ReadonlySet<Json>[] = [];
  private readonly guards = new Map<string, number>();

  constructor(
    readonly read: Read,
    private readonly values: readonly Json[],
  ) {}

  /** The number of the guard that takes these values. */
  guard(wanted: readonly Json[]): number {
    const text = JSON.stringify(wanted);
    const known = this.guards.get(text);
    if (known !== undefined) return known;
    this.guards.set(text, this.wanted.length);
    return this.wanted.push(new Set(wanted)) - 1;
  }

  /** Whether a value meets a guard. */
  meets = (value: Json, guard: number): boolean => this.wanted[guard]!.has(value);

  /**
   * The classes of values that matter. More guards met never make less run, so that of two classes the one whose guards
   * are among the other's counts alone where the least is looked for, and the other one where the most is.
   */
  classes(extreme: "least" | "most"): Class[] {
    const met = new Map<Json, number[]>(this.values.map((value) => [value, []]));
    this.wanted.forEach((values, guard) => {
      for (const value of values) met.get(value)?.push(guard);
    });
    const classes = new Map<string, Class>();
    for (const [value, guards] of met) {
      const key = guards.join();
      if (!classes.has(key)) classes.set(key, { value, guards: new Set(guards) });
    }
    const all = [...classes.values()];
    const extremes = all.filter(({ guards }) => guards.size === (extreme === "least" ? 0 : this.wanted.length));
    if (extremes.length > 0) return extremes;
    if (all.length > 64) return all; // only less is left out then
    const within = (a: Class, b: Class) =>
      a !== b && a.guards.size <= b.guards.size && [...a.guards].every((guard) => b.guards.has(guard));
    return all.filter((one) => !all.some((other) => (extreme === "least" ? within(other, one) : within(one, other))));
  }
}

/** A flow as the questions "can this be missing?" and "how much can run?" see it. */
export interface Wiring {
  readonly nodes: readonly WiredNode[];
  /** Those whose source is no constant. */
  readonly outputs: ReadonlyMap<string, Needs>;
  /** In the order of the nodes that make them. */
  readonly decisions: readonly Decision[];
}

/** The references of which one must be there; undefined where the source always has a value. */
function alternatives(source: Source): string[] | undefined {
  if (typeof source === "string") return [source];
  if (Array.isArray(source)) return source.length > 0 ? source : undefined;
  if ("value" in source) return undefined;
  if ("named" in source) {
    const references = Object.values(source.named);
    return references.length > 0 ? references : undefined;
  }
  const references = source.first.filter((member) => typeof member === "string");
  return references.length === source.first.length ? references : undefined;
}

export function* wiringOf(plan: FlowPlan): Sliced<Wiring> {
  const indexes = new Map(plan.nodes.map(({ id }, index) => [id, index]));
  const reads = new Map<string, Read & { readonly port: PlannedPort }>();
  const read = (reference: string) => {
    let known = reads.get(reference);
    if (!known) {
      const [id, name] = splitReference(reference);
      const node = id === "input" ? -1 : indexes.get(id)!;
      const port = (node < 0 ? plan.input : plan.nodes[node]!.gives).get(name)!;
      known = { reference, node, optional: port.optional, port };
      reads.set(reference, known);
    }
    return known;
  };
  const decisions = new Map<string, Decision>();
  const guardsOf = ({ document }: NodePlan): Guard[] =>
    Object.entries(document.when ?? {}).map(([reference, wanted]) => {
      const { port, ...one } = read(reference);
      let decision = decisions.get(reference);
      if (!decision) {
        decision = new Decision(one, valuesOf(port.type) ?? []);
        decisions.set(reference, decision);
      }
      return { read: one, decision, guard: decision.guard(Array.isArray(wanted) ? wanted : [wanted]) };
    });

  const nodes: WiredNode[] = [];
  for (const node of plan.nodes) {
    const { policy, each } = node.document;
    const sources = Object.entries(node.document.in).flatMap(([port, source]) => {
      const found = node.input.get(port)?.optional ? undefined : alternatives(source);
      return found ? [found.map(read)] : [];
    });
    nodes.push({
      id: node.id,
      guards: guardsOf(node),
      sources,
      mayFail: policy?.onError === "skip" && !each,
    });
    yield;
  }
  const outputs = new Map<string, Needs>();
  for (const [name, { source }] of plan.output) {
    const found = alternatives(source);
    if (found) outputs.set(name, { guards: [], sources: [found.map(read)] });
    yield;
  }
  const ordered = [...decisions.values()].sort((a, b) => a.read.node - b.read.node);
  return { nodes, outputs, decisions: ordered };
}

/** A decision whose classes have become functions of a diagram's variables. */
export class Chosen {
  readonly classes: readonly Class[];
  /** By class, that none before it was taken. */
  private readonly noneBefore: Fn[] = [always];
  /** By guard, the places of the classes that meet it, in order. */
  private readonly places = new Map<number, number[]>();

  /** @param first the first of its variables; it has one less than classes */
  constructor(
    private readonly decision: Decision,
    extreme: "least" | "most",
    readonly first: number,
    private readonly diagram: Diagram,
  ) {
    this.classes = decision.classes(extreme);
    this.classes.forEach(({ guards }, place) => {
      for (const guard of guards) {
        const places = this.places.get(guard);
        if (places) places.push(place);
        else this.places.set(guard, [place]);
      }
    });
  }

  /** A later class has an earlier variable. Of the classes whose variable is true the first counts, else the last class. */
  private variable = (place: number): number => this.first + this.classes.length - 2 - place;

  private none(before: number): Fn {
    const { noneBefore } = this;
    for (let place = noneBefore.length; place <= before; place++)
      noneBefore.push(this.diagram.node(this.variable(place - 1), noneBefore[place - 1]!, never));
    return noneBefore[before]!;
  }

  /** Where a guard is met, if the port has a value at all. */
  met(guard: number): Fn {
    const { diagram } = this;
    const places = this.places.get(guard);
    if (!places) return never;
    const taken = new Set(places);
    const last = this.classes.length - 1;
    const from = places[0]!;
    if (from === last) return this.none(last);
    const otherwise = taken.has(last);
    const to = otherwise ? last - 1 : places.at(-1)!;
    diagram.visits.left -= to - from + 1;
    let missed: Fn = never; // where it falls to a class that is not taken
    let met = this.none(from); // … or to one that is
    for (let place = from; place <= to; place++) {
      const high = taken.has(place) ? met : missed;
      const variable = this.variable(place);
      [missed, met] = [diagram.node(variable, missed, high), diagram.node(variable, met, high)];
    }
    return otherwise ? met : missed;
  }

  /** The class that is chosen where these variables are true. */
  chosen(variables: ReadonlySet<number>): Class {
    for (let place = 0; place < this.classes.length - 1; place++)
      if (variables.has(this.variable(place))) return this.classes[place]!;
    return this.classes.at(-1)!;
  }

  get reference(): string {
    return this.decision.read.reference;
  }
}

/** Makes the variables of all decisions of a flow. */
export function choose(decisions: readonly Decision[], extreme: "least" | "most", diagram: Diagram) {
  const chosen = new Map<Decision, Chosen>();
  let next = 0;
  for (const decision of decisions) {
    const one = new Chosen(decision, extreme, next, diagram);
    chosen.set(decision, one);
    next += one.classes.length - 1;
  }
  return chosen;
}
