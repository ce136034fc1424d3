import type { Sliced } from "@tessera/core/internal";
import { most, none, operatorBound, plus, times } from "./bounds.js";
import { always, Diagram, type Fn, never, type Visits } from "./diagram.js";
import type { FlowBound, FlowPlan, NodePlan } from "./plan.js";
import { Presences } from "./presence.js";
import { choose, wiringOf } from "./wiring.js";

/**
 * The most that one run of the flow can spend: over every combination of decisions, each figure at its largest. Where the
 * visits are used up before that is known, what cannot run together is counted together.
 */
export function* boundOf(plan: FlowPlan, visits: Visits): Sliced<FlowBound> {
  const wiring = yield* wiringOf(plan);
  const diagram = new Diagram(visits);
  const presences = yield* new Presences(wiring, choose(wiring.decisions, "most", diagram), false, diagram).all();
  let sum = none;
  const conditional = new Map<Fn, FlowBound>();
  for (const [index, node] of plan.nodes.entries()) {
    const cost = yield* nodeBound(node, visits);
    const presence = presences[index]!;
    const when = presence.isAlways ? always : yield* presence.function(diagram);
    if (when === undefined || when === always) sum = plus(sum, cost);
    else if (when !== never) conditional.set(when, plus(conditional.get(when) ?? none, cost));
    yield;
  }
  for (const group of yield* independent(conditional, diagram)) sum = plus(sum, yield* mostOf(group, diagram));
  return sum;
}

function* nodeBound({ body, document: { each, repeat, policy } }: NodePlan, visits: Visits): Sliced<FlowBound> {
  const own: FlowBound =
    body.kind === "flow"
      ? yield* boundOf(body, visits)
      : {
          ...none,
          steps: 1,
          ...(body.operator.waits && { waits: 1 }),
          ...operatorBound(body.operator, body.config),
        };
  return times(own, (policy?.retry?.attempts ?? 1) * (each?.max ?? repeat?.max ?? 1));
}

type Costs = Map<Fn, FlowBound>;

/** Parts that have no variable in common: what one spends says nothing of another. */
function* independent(costs: Costs, diagram: Diagram): Sliced<Costs[]> {
  const above = new Map<number, number>();
  const root = (variable: number): number => {
    let top = variable;
    for (let next = above.get(top); next !== undefined; next = above.get(top)) top = next;
    for (let at = variable; at !== top; ) {
      const next = above.get(at)!;
      above.set(at, top);
      at = next;
    }
    return top;
  };
  // a function that was seen has its variables joined already
  const seen = new Set<Fn>();
  for (const fn of costs.keys()) {
    const stack = [fn];
    while (stack.length > 0) {
      const at = stack.pop()!;
      if (diagram.isLeaf(at)) continue;
      const [a, b] = [root(diagram.variable(at)), root(diagram.variable(fn))];
      if (a !== b) above.set(a, b);
      if (seen.has(at)) continue;
      seen.add(at);
      if (--diagram.visits.left % 2048 === 0) yield;
      stack.push(diagram.low(at), diagram.high(at));
    }
  }
  const groups = new Map<number, Costs>();
  for (const [fn, cost] of costs) {
    const variable = root(diagram.variable(fn));
    const group = groups.get(variable) ?? new Map();
    groups.set(variable, group.set(fn, cost));
  }
  return [...groups.values()];
}

/** The largest sum of the costs whose functions are true at the same place. */
function* mostOf(costs: Costs, diagram: Diagram): Sliced<FlowBound> {
  let all = none;
  for (const cost of costs.values()) all = plus(all, cost);
  if (costs.size === 1) return all;
  const sums = new Sums(diagram);
  let total = sums.leaf(none);
  for (const [fn, cost] of [...costs].sort(([a], [b]) => diagram.variable(b) - diagram.variable(a))) {
    const next = yield* sums.plus(total, fn, cost);
    if (next === undefined) return all;
    total = next;
  }
  return yield* sums.most(total);
}

/** Functions of a diagram whose leaves are sums. */
class Sums {
  private readonly leaves = new Map<string, Fn>();
  private readonly sums = new Map<Fn, FlowBound>();

  constructor(private readonly diagram: Diagram) {}

  leaf(sum: FlowBound): Fn {
    const key = `${sum.steps} ${sum.calls} ${sum.tokens} ${sum.layers} ${sum.waits ?? 0}`;
    let leaf = this.leaves.get(key);
    if (leaf === undefined) {
      leaf = this.diagram.leaf();
      this.leaves.set(key, leaf);
      this.sums.set(leaf, sum);
    }
    return leaf;
  }

  /** The sum that is greater by a cost where a function is true; undefined where the visits are used up. */
  plus(total: Fn, when: Fn, cost: FlowBound): Sliced<Fn | undefined> {
    const simple = (sum: Fn, fn: Fn): Fn | undefined => {
      if (fn === never) return sum;
      return fn === always && this.diagram.isLeaf(sum) ? this.leaf(plus(this.sums.get(sum)!, cost)) : undefined;
    };
    return this.diagram.apply({ simple, known: new Map() }, total, when);
  }

  *most(total: Fn): Sliced<FlowBound> {
    let result = none;
    const seen = new Set<Fn>([total]);
    for (const at of seen) {
      if (this.diagram.isLeaf(at)) result = most(result, this.sums.get(at)!);
      else seen.add(this.diagram.low(at)).add(this.diagram.high(at));
      if (seen.size % 2048 === 0) yield;
    }
    return result;
  }
}
