// public: Ports, MaybePromise, Context, Bound, About, Work, Operator, AnyOperator, Callable, operator, use
// internal: Piece, typed, isOperator, Spending, effectsOf
import type { z } from "zod";
import type { FlowDocument } from "./document.js";
import { TesseraError } from "./errors.js";
import type { Json } from "./passage.js";
import type { PromptText } from "./prompt.js";
import type { Capability, Host, ModelCall, Principal, Sampling } from "./resources.js";
import type { Waits } from "./wait.js";

/** Ports by name, each with its zod schema. */
export type Ports = Record<string, z.ZodType>;
/** A value now, or a promise of it. */
export type MaybePromise<T> = T | Promise<T>;

type OptionalKeys<P extends Ports> = { [K in keyof P]: undefined extends z.input<P[K]> ? K : never }[keyof P];
type Merge<T> = { [K in keyof T]: T[K] };

/** The values that go into ports; a port that accepts `undefined` may be left out. */
type ValuesIn<P extends Ports> = Merge<
  { [K in Exclude<keyof P, OptionalKeys<P>>]: z.output<P[K]> } & { [K in OptionalKeys<P>]?: z.output<P[K]> }
>;
/** The values that come out of ports; one left `undefined` at an optional port is skipped. */
type ValuesOut<P extends Ports> = ValuesIn<P>;

/** What the work of an operator receives besides its input. */
export interface Context {
  /** The path of the activation: "ask/attempt#2/rerank", "many[3]". */
  readonly path: string;
  readonly signal: AbortSignal;
  /** The user who asks. Stores return only what this user may see. */
  readonly principal?: Principal | undefined;
  /**
   * A key that only this activation has, made of the run and the path. It is the same when the step is tried again and
   * when its run is resumed. A system that stores the key with a write can tell that the write was already done.
   */
  readonly idempotencyKey?: string | undefined;
  /** Returns uniform random numbers in [0, 1), seeded by the seed of the run and the path. */
  readonly random: () => number;
  /** Streams a part of an output. The value that the work returns at the end is the one that counts. */
  emit(port: string, delta: unknown): void;
  /** Reports what was spent. It counts against the budget of the run. */
  spend(use: Spending): void;
  /** What the starter of the run asks of the language models here. `ask` applies it. */
  readonly sampling?: Sampling | undefined;
  /** Reports an answer of a model to the observers of the run. `ask` does this. */
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
  /** Layers of encoders, summed over all texts; 0 by default. */
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
interface Need {
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
type Ambient = "files" | "network" | "processes";

/** What an operator does to the world. */
type Effects = "none" | "read" | "write";

/** The work of an activation: it takes the input ports and gives the output ports. */
export type Work<I, O> = (input: I, context: Context) => MaybePromise<O>;

/** One typed piece of work, made by `operator`: its name, its ports, what it does to the world, and its `setup`. */
export interface Operator<C extends z.ZodType = z.ZodType, I extends Ports = Ports, O extends Ports = Ports> {
  /** "fuser.rrf": the kind, a dot, a name. */
  readonly name: string;
  /** Increased whenever the same input may give another output. It is part of the key of a record. */
  readonly version: number;
  readonly about: About;
  readonly config: C;
  /** The ports: fixed, or made from the config if that decides them, as the choices of a router do. */
  readonly ports: { readonly input: I; readonly output: O } | ((config: z.output<C>) => { input: I; output: O });
  /**
   * "none": a pure function. "read" (the default): the result depends on resources. "write": it changes something
   * outside, and is never served from a cache. A function where the config decides it.
   */
  readonly effects?: Effects | ((config: z.output<C>) => Effects);
  /**
   * What it reaches by itself, besides its input and its resources: files, the network, other processes. By default,
   * and for every operator of the catalogue, nothing. A service refuses documents with operators that reach anything.
   */
  readonly ambient?: readonly Ambient[];
  /**
   * The abilities of its model that it needs besides writing text, such as log-probabilities of tokens, and what it
   * does without them.
   */
  readonly needs?: { readonly [capability in Capability]?: Need };
  /** The prompts that it sends. Others can be given in their place, as resources of the kind "prompt". */
  readonly prompts?: readonly PromptText[];
  /** The most that one activation can spend. An operator that uses a language model must declare it. */
  readonly bound?: (config: z.output<C>) => Bound;
  /** Declared by an operator whose work may return `waitFor(…)`: what it says of its waits. Its `effects` are "write". */
  readonly waits?: (config: z.output<C>) => Waits;
  /** Is called once for each compiled flow. It opens what the operator needs, and returns the work. */
  setup(config: z.output<C>, host: Host): MaybePromise<Work<ValuesIn<I>, ValuesOut<O>>>;
}

/** What an operator does to the world under a config. */
export const effectsOf = ({ effects = "read" }: AnyOperator, config: unknown): Effects =>
  typeof effects === "function" ? effects(config) : effects;

declare const ports: unique symbol;

/** What a node holds: an operator with its config, or a flow. The types of its ports exist in TypeScript only. */
export interface Piece<I, O> {
  readonly run: string | FlowDocument;
  readonly with?: Json | undefined;
  /** The operators that it is made of, where it was made in code. */
  readonly operators?: readonly AnyOperator[] | undefined;
  readonly [ports]?: { input: I; output: O };
}

/** An operator as a function: called with its config, it makes a piece for `f.node`. */
export type Callable<C extends z.ZodType, I extends Ports, O extends Ports> = Operator<C, I, O> &
  ((config?: z.input<C>) => Piece<ValuesIn<I>, ValuesOut<O>>);

/** An operator of any config and ports. */
// biome-ignore lint/suspicious/noExplicitAny: an operator of unknown ports
export type AnyOperator = Operator<any, any, any>;

const brand = Symbol.for("tessera.operator");
const pattern = /^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$/;

/**
 * Declares an operator.
 * @throws TesseraError BAD_OPERATOR if its name is malformed, or if it waits and does not write.
 */
export function operator<C extends z.ZodType, const I extends Ports, const O extends Ports>(
  specification: Operator<C, I, O>,
): Callable<C, I, O> {
  if (!pattern.test(specification.name))
    throw new TesseraError("BAD_OPERATOR", `"${specification.name}" is not an operator's name`, {
      hint: 'a name is "kind.name" in lower case, as in "fuser.rrf"',
    });
  if (specification.waits && specification.effects !== "write")
    throw new TesseraError("BAD_OPERATOR", `${specification.name} waits, so its effects are "write"`, {
      hint: "what it asks of others is not asked again, and not served from a cache",
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

/** An operator by its name, for code that does not import it. */
// biome-ignore lint/suspicious/noExplicitAny: nothing is known of its ports
export const use = (name: string, config?: Json): Piece<any, any> => ({
  run: name,
  ...(config !== undefined && { with: config }),
});
