// public: Ports, MaybePromise, Context, Bound, About, Work, Operator, AnyOperator, Callable, operator, use
// internal: Piece, typed, isOperator, Spending
import type { z } from "zod";
import type { FlowDocument } from "./document.js";
import { TesseraError } from "./errors.js";
import type { Json } from "./passage.js";
import type { Capability, Host, ModelCall, Principal, Sampling } from "./resources.js";

/** Named, typed ports. */
export type Ports = Record<string, z.ZodType>;
/** A value now, or a promise of it. */
export type MaybePromise<T> = T | Promise<T>;

type OptionalKeys<P extends Ports> = { [K in keyof P]: undefined extends z.input<P[K]> ? K : never }[keyof P];
type Merge<T> = { [K in keyof T]: T[K] };

/** The values that go into ports; a port that accepts `undefined` may be left out. */
export type ValuesIn<P extends Ports> = Merge<
  { [K in Exclude<keyof P, OptionalKeys<P>>]: z.output<P[K]> } & { [K in OptionalKeys<P>]?: z.output<P[K]> }
>;
/** The values that come out of ports; one left `undefined` at an optional port is skipped. */
export type ValuesOut<P extends Ports> = ValuesIn<P>;

/** What a run may touch besides its input. */
export interface Context {
  /** The address of the activation: "ask/attempt#2/rerank", "many[3]". */
  readonly path: string;
  readonly signal: AbortSignal;
  /** Who asks; stores filter by it. */
  readonly principal?: Principal | undefined;
  /**
   * Names this activation, and no other of any run: made of the run and the path. It is the same when the step is tried
   * again and when its run is resumed, so that whoever keeps it with a write can tell that the write was done already.
   */
  readonly idempotencyKey?: string | undefined;
  /** Uniform in [0, 1), seeded by the run's seed and the path. */
  readonly random: () => number;
  /** Streams a part of an output; the value returned at the end stays the truth. */
  emit(port: string, delta: unknown): void;
  /** Reports what was used; counts against the run's budget. */
  spend(use: Spending): void;
  /** What is asked of language models here, by whoever started the run; `ask` heeds it. */
  readonly sampling?: Sampling | undefined;
  /** Tells those who watch the run of a model's answer; `ask` does. */
  answered?(call: ModelCall): void;
}

/** Model calls, tokens (prompt and completion), layers of an encoder (one a text), and cost in any one currency. */
export interface Spending {
  readonly tokens?: number | undefined;
  readonly calls?: number | undefined;
  readonly layers?: number | undefined;
  readonly cost?: number | undefined;
}

/** The most that one activation can spend. */
export interface Bound {
  readonly calls: number;
  readonly tokens: number;
  /** Layers of an encoder that texts pass, one a text and layer; 0 where it is left out. */
  readonly layers?: number | undefined;
}

/** Where an operator stands in the paper's three levels (arXiv 2407.21059, table and section IV). */
export interface About {
  readonly module:
    | "indexing"
    | "pre-retrieval"
    | "retrieval"
    | "post-retrieval"
    | "generation"
    | "orchestration"
    | "data"
    | "code";
  readonly submodule: string;
  /** The paper and equation it implements. */
  readonly paper?: string;
  /** One sentence. */
  readonly summary: string;
}

/** How an operator uses an ability of its model that not every model has. */
export interface Need {
  /** In words, when it uses it at all: "`logprobs` is set". By default always. */
  readonly when?: string;
  /**
   * What it does with a model that lacks it, in words. Without it such a model is refused at compile, by
   * MISSING_CAPABILITY.
   */
  readonly otherwise?: string;
  /** The output port that says which of the two it was, and so stands in every trace. */
  readonly told?: string;
}

/** What an operator may reach in the machine by itself. */
export type Ambient = "files" | "network" | "processes";

/** The work of an activation: it takes the input ports and gives the output ports. */
export type Work<I, O> = (input: I, context: Context) => MaybePromise<O>;

/** One typed piece of work, made by `operator`: its name, its ports, what it does to the world, and its `setup`. */
export interface Operator<C extends z.ZodType = z.ZodType, I extends Ports = Ports, O extends Ports = Ports> {
  /** "fuser.rrf": the kind, a dot, a name. */
  readonly name: string;
  /** Raised when the same input may give another output; part of the key of a record. */
  readonly version: number;
  readonly about: About;
  readonly config: C;
  /** Fixed, or made from the config where that decides them (a router's choices). */
  readonly ports: { readonly input: I; readonly output: O } | ((config: z.output<C>) => { input: I; output: O });
  /** "none": a pure function; "read" (default): depends on resources; "write": changes the world, and is never cached. */
  readonly effects?: "none" | "read" | "write";
  /**
   * What it reaches by itself, besides its input and the resources that it asks for by name: files, the network, other
   * processes. Nothing by default, and in the whole catalogue. A service takes no document in whose operators have any.
   */
  readonly ambient?: readonly Ambient[];
  /** Abilities of its model beyond writing text, such as token log-probabilities, and what it does without them. */
  readonly needs?: { readonly [capability in Capability]?: Need };
  /** The most that one activation can spend; an operator that uses a language model must declare it. */
  readonly bound?: (config: z.output<C>) => Bound;
  /** Once per compiled flow: opens what it needs, and returns the work. */
  setup(config: z.output<C>, host: Host): MaybePromise<Work<ValuesIn<I>, ValuesOut<O>>>;
}

declare const ports: unique symbol;

/** What a node holds: an operator with its config, or a flow. The types of its ports exist in TypeScript only. */
export interface Piece<I, O> {
  readonly run: string | FlowDocument;
  readonly with?: Json | undefined;
  /** The operators that it is made of, where it was made in code. */
  readonly operators?: readonly AnyOperator[] | undefined;
  readonly [ports]?: { input: I; output: O };
}

/** An operator that can be called with its config to make a piece. */
export type Callable<C extends z.ZodType, I extends Ports, O extends Ports> = Operator<C, I, O> &
  ((config?: z.input<C>) => Piece<ValuesIn<I>, ValuesOut<O>>);

/** An operator of any config and ports. */
// biome-ignore lint/suspicious/noExplicitAny: an operator of unknown ports
export type AnyOperator = Operator<any, any, any>;

const brand = Symbol.for("tessera.operator");
const pattern = /^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$/;

/**
 * Declares an operator.
 * @throws TesseraError BAD_OPERATOR where its name is malformed.
 */
export function operator<C extends z.ZodType, const I extends Ports, const O extends Ports>(
  specification: Operator<C, I, O>,
): Callable<C, I, O> {
  if (!pattern.test(specification.name))
    throw new TesseraError("BAD_OPERATOR", `"${specification.name}" is not an operator's name`, {
      hint: 'a name is "kind.name" in lower case, as in "fuser.rrf"',
    });
  const piece = (config?: z.input<C>): Piece<ValuesIn<I>, ValuesOut<O>> => ({
    ...use(specification.name, config as Json),
    operators: [piece as unknown as AnyOperator],
  });
  for (const [key, value] of Object.entries(specification))
    Object.defineProperty(piece, key, { value, enumerable: true });
  Object.defineProperty(piece, brand, { value: true });
  return piece as Callable<C, I, O>;
}

/** An operator whose ports follow from its config, under the type of what it makes of a literal config. */
export const typed = <F extends (config: never) => Piece<unknown, unknown>>(operator: AnyOperator): AnyOperator & F =>
  operator as AnyOperator & F;

export const isOperator = (value: unknown): value is AnyOperator => typeof value === "function" && brand in value;

/** A piece by name, where the operator's types are not at hand. */
// biome-ignore lint/suspicious/noExplicitAny: nothing is known of its ports
export const use = (name: string, config?: Json): Piece<any, any> => ({
  run: name,
  ...(config !== undefined && { with: config }),
});
