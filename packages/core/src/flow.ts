// public: Ref, value, first, named, is, Loop, FlowBuilder, Flow, flow, First, Named
// internal: LoopOutput, Constant, Refs
import { didYouMean } from "./closest.js";
import type { Each, FlowDocument, NodeDocument, Policy, Serve, Source } from "./document.js";
import { TesseraError } from "./errors.js";
import type { AnyOperator, Piece } from "./operator.js";
import type { Json } from "./passage.js";
import type { PortType, PortValue } from "./ports.js";

declare const carried: unique symbol;

/** A reference to a value that a node will give when the flow runs: "node.port". */
export interface Ref<out T> {
  readonly ref: string;
  readonly [carried]?: T;
}

/** The refs of an activation's output ports. */
export type Refs<O> = { readonly [K in keyof O]-?: Ref<Exclude<O[K], undefined>> };

/** A constant value, made by `value`. */
export interface Constant<out T> {
  readonly value: T;
}
/** The first of several sources that was not skipped, made by `first`. */
export interface First<out T> {
  readonly first: readonly (Ref<T> | Constant<T>)[];
}
/** Sources by name, made by `named`. */
export interface Named<out T> {
  readonly named: { readonly [name: string]: Ref<T> };
}

/** What may feed a port of type T. */
type Bind<T> =
  | Ref<T>
  | First<T>
  | Constant<T>
  | (T extends readonly (infer E)[] ? readonly Ref<E>[] : never)
  | (T extends Record<string, infer E> ? Named<E> : never);
type Binds<I> = { readonly [K in keyof I]: Bind<Exclude<I[K], undefined>> };

/** A constant as the source of a port. */
export const value = <const T extends Json>(constant: T): Constant<T> => ({ value: constant });
/** The first member that was not skipped. End the list with `value(…)` so that there is always one. */
export const first = <T>(...members: (Ref<T> | Constant<T>)[]): First<T> => ({ first: members });
/** Several values under names. Skipped ones are left out. */
export const named = <T>(members: { readonly [name: string]: Ref<T> }): Named<T> => ({ named: members });

/** A decision that a node waits for, made by `is`: one of these values of a flag or a choice. */
interface Condition {
  readonly ref: string;
  readonly values: readonly Json[];
}
/** Holds if a decision has the given value, or one of the given values. */
export const is = <T extends string | boolean>(decision: Ref<T>, ...values: NoInfer<T>[]): Condition => ({
  ref: decision.ref,
  values,
});

/** What a node may have besides its input: when it runs, and its policy. */
interface NodeOptions {
  /** Conditions of the node; all of them must hold. */
  readonly when?: Condition | readonly Condition[];
  readonly policy?: Policy;
}

type KeysOf<O, T> = { [K in keyof O]-?: Exclude<O[K], undefined> extends T ? K : never }[keyof O] & string;
type Elements<I, K extends keyof I> = { [P in keyof I]: P extends K ? Exclude<I[P], undefined>[] : I[P] };

/** A loop: which flag or empty list of the body ends it, and which outputs feed the next turn. */
export interface Loop<I, O> {
  readonly until?: KeysOf<O, boolean> | readonly KeysOf<O, boolean>[];
  readonly while?: KeysOf<O, readonly unknown[]>;
  readonly carry: { readonly [K in keyof I]?: KeysOf<O, I[K]> };
  readonly max: number;
}
/** What a loop adds to its body's outputs; "error" only where the policy skips a failing turn. */
export type LoopOutput = { turns: number; stopReason: "until" | "empty" | "max" | "budget" | "error" };

/** The refs of ports whose names TypeScript knows and the builder does not; so they can be read, and not listed. */
const refs = <O>(id: string): Refs<O> =>
  new Proxy(
    {},
    {
      get: (_, port) => (typeof port === "string" ? { ref: `${id}.${port}` } : undefined),
      ownKeys() {
        throw new TesseraError("BAD_ARGUMENT", `the outputs of "${id}" cannot be listed`, {
          path: id,
          hint: "name the ports you bind: { query: node.query }",
        });
      },
    },
  ) as Refs<O>;

/** The refs of a flow's own inputs. */
function inputRefs<I extends FlowInput>(flow: string, input: I): Refs<InputValues<I>> {
  const known = Object.fromEntries(Object.keys(input).map((port) => [port, { ref: `input.${port}` }]));
  return new Proxy(known, {
    get(target, port) {
      if (typeof port !== "string" || Object.hasOwn(target, port)) return target[port as string];
      if (port === "then") return undefined;
      throw new TesseraError("UNKNOWN_PORT", `the flow has no input "${port}"`, {
        path: flow,
        hint: didYouMean(port, Object.keys(target)),
      });
    },
  }) as Refs<InputValues<I>>;
}

type AnyBind = Ref<unknown> | First<unknown> | Constant<unknown> | Named<unknown> | readonly Ref<unknown>[];

function sourceOf(bind: AnyBind): Source {
  if ("ref" in bind) return bind.ref;
  if ("first" in bind)
    return { first: bind.first.map((member) => ("ref" in member ? member.ref : { value: member.value as Json })) };
  if ("named" in bind)
    return { named: Object.fromEntries(Object.entries(bind.named).map(([name, member]) => [name, member.ref])) };
  if ("value" in bind) return { value: bind.value as Json };
  return bind.map((member) => member.ref);
}

const sourcesOf = (binds: object): Record<string, Source> =>
  Object.fromEntries(
    Object.entries(binds)
      .filter(([, bind]) => bind !== undefined)
      .map(([port, bind]) => [port, sourceOf(bind as AnyBind)]),
  );

function conditionsOf(when: NodeOptions["when"]): Record<string, Json> | undefined {
  if (!when) return undefined;
  const conditions = "ref" in when ? [when] : when;
  return Object.fromEntries(conditions.map(({ ref, values }) => [ref, values.length === 1 ? values[0]! : [...values]]));
}

/** Builds the nodes of a flow document. Each method returns references to the outputs of its new node. */
export class FlowBuilder {
  readonly nodes: Record<string, NodeDocument> = {};
  /** The operators of the pieces, each once. */
  readonly operators = new Set<AnyOperator>();

  /** A node that runs once. */
  node<I, O>(id: string, piece: Piece<I, O>, input: NoInfer<Binds<I>>, options: NodeOptions = {}): Refs<O> {
    return this.add(id, piece, input, options, {});
  }

  /** A node that runs once for each element of the list that feeds the port `over`; its outputs are lists. */
  each<I, O, K extends keyof I & string>(
    id: string,
    piece: Piece<I, O>,
    each: { readonly over: K } & Omit<Each, "over">,
    input: NoInfer<Binds<Elements<I, K>>>,
    options: NodeOptions = {},
  ): Refs<{ [P in keyof O]: O[P][] }> {
    return this.add(id, piece, input, options, { each });
  }

  /** A node that runs in a loop. If its body has the input `turn`, that is 1, 2, …. */
  repeat<I, O>(
    id: string,
    piece: Piece<I, O>,
    loop: NoInfer<Loop<I, O>>,
    input: NoInfer<Binds<Omit<I, "turn">>>,
    options: NodeOptions = {},
  ): Refs<O & LoopOutput> {
    return this.add(id, piece, input, options, { repeat: loop as unknown as NodeDocument["repeat"] });
  }

  private add(
    id: string,
    piece: Piece<never, never> | Piece<unknown, unknown>,
    input: object,
    { when, policy }: NodeOptions,
    how: Pick<NodeDocument, "each" | "repeat">,
    // biome-ignore lint/suspicious/noExplicitAny: the caller's signature says which
  ): any {
    if (Object.hasOwn(this.nodes, id))
      throw new TesseraError("BAD_DOCUMENT", `two nodes are named "${id}"`, { path: id });
    for (const operator of piece.operators ?? []) this.operators.add(operator);
    const conditions = conditionsOf(when);
    this.nodes[id] = {
      run: piece.run,
      ...(piece.with !== undefined && { with: piece.with }),
      in: sourcesOf(input),
      ...(conditions && { when: conditions }),
      ...how,
      ...(policy && { policy }),
    };
    return refs(id);
  }
}

type FlowInput = Record<string, PortType>;
type OptionalInputs<I extends FlowInput> = { [K in keyof I]: I[K] extends { optional: unknown } ? K : never }[keyof I];
/** The values that a flow's input takes. */
type InputValues<I extends FlowInput> = {
  [K in Exclude<keyof I, OptionalInputs<I>>]: PortValue<I[K]>;
} & { [K in OptionalInputs<I>]?: PortValue<I[K]> };
type BoundValue<B> =
  B extends Ref<infer T>
    ? T
    : B extends First<infer T>
      ? T
      : B extends Constant<infer T>
        ? T
        : B extends Named<infer T>
          ? Record<string, T>
          : B extends readonly Ref<infer T>[]
            ? T[]
            : never;
/** The values of a flow's output. */
type OutputValues<R> = { [K in keyof R]: BoundValue<R[K]> };

/** A flow: its document, and the types of its ports. It can be used like an operator. */
export interface Flow<I, O> extends Piece<I, O> {
  readonly document: FlowDocument;
}

/**
 * Composes a flow in code. The result holds the document, the same as in JSON, and the operators that it uses.
 * @throws TesseraError BAD_DOCUMENT if two nodes have the same name.
 */
export function flow<const I extends FlowInput, const R extends Readonly<Record<string, AnyBind>>>(
  name: string,
  input: I,
  body: (builder: FlowBuilder, input: Refs<InputValues<I>>) => R,
  { serve }: { readonly serve?: Serve } = {},
): Flow<InputValues<I>, OutputValues<R>> {
  const builder = new FlowBuilder();
  const output = body(builder, inputRefs(name, input));
  const document: FlowDocument = {
    version: 1,
    name,
    input: JSON.parse(JSON.stringify(input)),
    nodes: builder.nodes,
    output: sourcesOf(output),
    ...(serve && { serve }),
  };
  return { document, run: document, operators: [...builder.operators] };
}
