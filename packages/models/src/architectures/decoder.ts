// internal: Routing, Frequencies, DecoderModel
import type { Matrix, Norm } from "./encoder.js";

/** Logits over modules: output · gelu(input · x + bias), gelu the exact one; no bias after it. */
export interface Router {
  /** gate × hidden, with its bias */
  readonly input: Matrix;
  /** modules × gate */
  readonly output: Matrix;
}

/**
 * Modules of one kind in one layer: y(x) = Σ over the chosen e of w_e · module_e(x).
 *
 * "learned": w = softmax over all modules of the router's logits, the `top` largest chosen, equal ones to the lower index,
 * and not renormalised (ModuleFormer). "average": the score of e is the mean row of its input matrix times x, and each of
 * the `top` chosen has weight 1 (EMoE, avg-k). "none": one module of weight 1, a dense layer.
 */
export type Routing =
  | { readonly kind: "learned"; readonly router: Router; readonly top: number }
  | { readonly kind: "average"; readonly top: number }
  | { readonly kind: "none" };

/** Stick-breaking attention by modules (mixture of attention heads); docs/models/decoder-bundle.md has the formulas. */
export interface AttentionModules {
  readonly norm: Norm;
  readonly routing: Routing;
  /** One a module: size × hidden. */
  readonly query: readonly Matrix[];
  /** One a module: hidden × size. */
  readonly output: readonly Matrix[];
  /** size × hidden each, shared by all modules; absent where the normed input itself is key and value (MoLM). */
  readonly keyValue?: { readonly key: Matrix; readonly value: Matrix } | undefined;
}

/** Each module is output_e · gelu_tanh(input_e · x). */
export interface FeedforwardModules {
  readonly norm: Norm;
  readonly routing: Routing;
  /** One a module: size × hidden. */
  readonly input: readonly Matrix[];
  /** One a module: hidden × size. */
  readonly output: readonly Matrix[];
}

/** How often each module of a layer was chosen on one domain's held-out text, as a share of the routed places. */
export interface Frequencies {
  readonly attention: readonly (readonly number[])[];
  readonly feedforward: readonly (readonly number[])[];
}

/** A causal language model of modules, whatever file it came from. Plain data: it can be sent to a worker thread. */
export interface DecoderModel {
  readonly name: string;
  readonly revision: string;
  readonly architecture: string;
  readonly hidden: number;
  /** Heads inside a module; a head has size / heads components. */
  readonly heads: number;
  /** Whether a token attends to itself, as published; else strictly to those before it. */
  readonly attendsCurrent: boolean;
  /** The longest sequence, prompt and answer together. */
  readonly context: number;
  /** vocabulary × hidden */
  readonly embedding: Matrix;
  readonly layers: readonly { readonly attention: AttentionModules; readonly feedforward: FeedforwardModules }[];
  readonly norm: Norm;
  /** vocabulary × hidden; the embedding itself where they are tied. */
  readonly head: Matrix;
  /** Ids of marks that no text can spell. */
  readonly marks: {
    readonly end: number;
    readonly system: number;
    readonly user: number;
    readonly assistant: number;
  };
  /** As `prompts` of a LanguageModel. */
  readonly prompts?: "brief" | undefined;
  readonly frequencies?: Readonly<Record<string, Frequencies>> | undefined;
}
