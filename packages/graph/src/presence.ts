import type { Sliced } from "@tessera/core/internal";
import { always, type Diagram, type Fn, never } from "./diagram.js";
import type { Chosen, Decision, Needs, Read, Wiring } from "./wiring.js";

/**
 * When something is there: a function of the decisions, or that of another that it always depends on, narrowed. The
 * second form is made into the first only where it is asked for, so that a line of nodes costs no more than its length.
 */
export class Presence {
  private constructor(
    private known: Fn | undefined,
    private readonly above: Presence | undefined,
    /** Of the narrowed form: what is asked besides; never `always`. */
    private readonly besides: Fn,
  ) {}

  static known = (fn: Fn): Presence => new Presence(fn, undefined, always);
  /** What the visits did not suffice for. */
  static readonly unknown = new Presence(undefined, undefined, always);
  static narrowed = (above: Presence, besides: Fn): Presence => new Presence(undefined, above, besides);

  get isAlways(): boolean {
    return this.known === always;
  }
  get isNever(): boolean {
    return this.known === never;
  }
  get isUnknown(): boolean {
    return this.known === undefined && this.above === undefined;
  }

  /** The function; undefined where the visits are used up. */
  *function(diagram: Diagram): Sliced<Fn | undefined> {
    if (this.known !== undefined) return this.known;
    const parts: Fn[] = [];
    let at: Presence | undefined = this;
    for (; at && at.known === undefined; at = at.above) {
      parts.push(at.besides);
      if (parts.length % 2048 === 0) yield;
    }
    if (at?.known === undefined) return undefined;
    this.known = yield* diagram.all([...parts, at.known]);
    return this.known;
  }

  /** The variables that are true in some place where it is missing; undefined where there is none, or none is known. */
  missing(diagram: Diagram): Set<number> | undefined {
    if (this.known !== undefined) return this.isAlways ? undefined : diagram.counterexample(this.known);
    return this.above && diagram.counterexample(this.besides);
  }
}

/** Computes when each node of a flow runs. */
export class Presences {
  private readonly of: Presence[] = [];

  /** @param least whether what can fail fails and what can stay empty does; otherwise nothing does */
  constructor(
    private readonly wiring: Wiring,
    private readonly chosen: ReadonlyMap<Decision, Chosen>,
    private readonly least: boolean,
    private readonly diagram: Diagram,
  ) {}

  *all(): Sliced<readonly Presence[]> {
    for (const node of this.wiring.nodes) {
      this.of.push(this.least && node.mayFail ? Presence.known(never) : yield* this.meeting(node));
      yield;
    }
    return this.of;
  }

  private at({ node, optional }: Read): Presence {
    if (this.least && optional) return Presence.known(never);
    return node < 0 ? Presence.known(always) : this.of[node]!;
  }

  /** When all that something needs is there. */
  *meeting({ guards, sources }: Needs): Sliced<Presence> {
    const needed = new Set<Presence>();
    const functions = new Set<Fn>();
    for (const { read, decision, guard } of guards) {
      needed.add(this.at(read));
      functions.add(this.chosen.get(decision)!.met(guard));
    }
    for (const source of sources) needed.add(yield* this.anyOf(source));
    for (const one of needed) if (one.isAlways) needed.delete(one);
    functions.delete(always);
    if (functions.has(never) || [...needed].some(({ isNever }) => isNever)) return Presence.known(never);
    if ([...needed].some(({ isUnknown }) => isUnknown)) return Presence.unknown;
    return yield* this.allOf([...needed], [...functions]);
  }

  private *allOf(needed: readonly Presence[], functions: readonly Fn[]): Sliced<Presence> {
    const { diagram } = this;
    if (needed.length > 1) {
      const all = [...functions];
      for (const one of needed) {
        const fn = yield* one.function(diagram);
        if (fn === undefined) return Presence.unknown;
        all.push(fn);
      }
      const result = yield* diagram.all(all);
      return result === undefined ? Presence.unknown : Presence.known(result);
    }
    const besides = yield* diagram.all(functions);
    if (besides === undefined) return Presence.unknown;
    if (needed.length === 0) return Presence.known(besides);
    if (besides === never) return Presence.known(never);
    return besides === always ? needed[0]! : Presence.narrowed(needed[0]!, besides);
  }

  private *anyOf(source: readonly Read[]): Sliced<Presence> {
    this.diagram.visits.left -= source.length;
    const members = new Set<Presence>();
    for (const read of source) {
      const one = this.at(read);
      if (one.isAlways) return one;
      if (!one.isNever) members.add(one);
    }
    if (members.size <= 1) return [...members][0] ?? Presence.known(never);
    const functions: Fn[] = [];
    for (const one of members) {
      const fn = yield* one.function(this.diagram);
      if (fn === undefined) return Presence.unknown;
      functions.push(fn);
    }
    const result = yield* this.diagram.any(functions);
    return result === undefined ? Presence.unknown : Presence.known(result);
  }
}
