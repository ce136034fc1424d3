import type { Sliced } from "@tessera/core/internal";

/** How much work a check may still do; it is shared by all flows of a document. */
export interface Visits {
  left: number;
}

/** A function of yes-or-no variables: the number of a node of a `Diagram`. Equal functions have equal numbers. */
export type Fn = number;
export const never: Fn = 0;
export const always: Fn = 1;

const width = 2 ** 26;
const leaf = Number.MAX_SAFE_INTEGER;
/** How many visits there are between two places where the work can wait. */
const pause = 2048;

/** An operation on two functions; `simple` gives its result where that needs no look inside them. */
interface Operation {
  simple(a: Fn, b: Fn): Fn | undefined;
  readonly known: Map<number, Fn>;
}

/**
 * Ordered decision diagrams (Bryant 1986): functions of variables that are asked in their order, each function once.
 * Nothing here recurses, so that no number of variables is too many.
 */
export class Diagram {
  /** By node: the variable it asks, and the functions where that is false and where it is true. */
  private readonly variables: number[] = [leaf, leaf];
  private readonly lows: Fn[] = [never, always];
  private readonly highs: Fn[] = [never, always];
  private readonly nodes = new Map<number, Map<number, Fn>>();
  private readonly both: Operation = {
    known: new Map(),
    simple: (a, b) => (a === never || b === never ? never : a === always || a === b ? b : b === always ? a : undefined),
  };
  private readonly either: Operation = {
    known: new Map(),
    simple: (a, b) =>
      a === always || b === always ? always : a === never || a === b ? b : b === never ? a : undefined,
  };

  constructor(readonly visits: Visits) {}

  /** The function that is `low` where a variable is false, and `high` where it is true; both ask later variables only. */
  node(variable: number, low: Fn, high: Fn): Fn {
    if (low === high) return low;
    let known = this.nodes.get(variable);
    if (!known) {
      known = new Map();
      this.nodes.set(variable, known);
    }
    const key = low * width + high;
    const found = known.get(key);
    if (found !== undefined) return found;
    const made = this.variables.length;
    this.variables.push(variable);
    this.lows.push(low);
    this.highs.push(high);
    known.set(key, made);
    return made;
  }

  /** A function without variables, other than `never` and `always`. */
  leaf(): Fn {
    this.variables.push(leaf);
    this.lows.push(never);
    this.highs.push(never);
    return this.variables.length - 1;
  }

  /** The first variable that it asks; the greatest number for one that asks none. */
  variable = (fn: Fn): number => this.variables[fn]!;
  low = (fn: Fn): Fn => this.lows[fn]!;
  high = (fn: Fn): Fn => this.highs[fn]!;
  isLeaf = (fn: Fn): boolean => this.variables[fn] === leaf;

  /** True where all are; undefined where the visits are used up. */
  all = (functions: readonly Fn[]) => this.fold(this.both, functions, always);

  /** True where any is; undefined where the visits are used up. */
  any = (functions: readonly Fn[]) => this.fold(this.either, functions, never);

  private *fold(operation: Operation, functions: readonly Fn[], start: Fn): Sliced<Fn | undefined> {
    this.visits.left -= functions.length;
    // what asks the last variables first: then each step looks only at the first nodes of what is there
    const ordered = [...new Set(functions)].sort((a, b) => this.variable(b) - this.variable(a));
    let result: Fn | undefined = start;
    for (const fn of ordered) {
      result = operation.simple(result, fn) ?? (yield* this.apply(operation, result, fn));
      if (result === undefined) return undefined;
    }
    return result;
  }

  /** The result of an operation, node by node; undefined where the visits are used up. */
  *apply({ simple, known }: Operation, a: Fn, b: Fn): Sliced<Fn | undefined> {
    const stack = [a, b];
    const { variables, lows, highs } = this;
    const find = (x: Fn, y: Fn): Fn | undefined => simple(x, y) ?? known.get(x * width + y);
    let visited = 0;
    while (stack.length > 0) {
      if (--this.visits.left < 0) return undefined;
      if (++visited % pause === 0) yield;
      const y = stack.at(-1)!;
      const x = stack.at(-2)!;
      if (find(x, y) === undefined) {
        const variable = Math.min(variables[x]!, variables[y]!);
        const [x0, x1] = variables[x] === variable ? [lows[x]!, highs[x]!] : [x, x];
        const [y0, y1] = variables[y] === variable ? [lows[y]!, highs[y]!] : [y, y];
        const low = find(x0, y0);
        const high = find(x1, y1);
        if (low === undefined) stack.push(x0, y0);
        if (high === undefined) stack.push(x1, y1);
        if (low === undefined || high === undefined) continue;
        known.set(x * width + y, this.node(variable, low, high));
      }
      stack.length -= 2;
    }
    return find(a, b);
  }

  /** The variables that are true, where the function is to be false; there is such a place unless it is `always`. */
  counterexample(fn: Fn): Set<number> {
    const result = new Set<number>();
    for (let at = fn; at !== never; ) {
      const low = this.lows[at]!;
      if (low === always) result.add(this.variables[at]!);
      at = low === always ? this.highs[at]! : low;
    }
    return result;
  }
}
