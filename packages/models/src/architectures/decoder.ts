// internal: Routing, Frequencies, DecoderModel
import type { StoredRows } from "../formats/stored-rows.js";
import type { Matrix, Norm } from "./encoder.js";

/** A matrix whose rows lie in a file: an engine reads them when it packs its weights. */
export interface StoredMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly stored: StoredRows;
  /** [rows] */
  readonly bias?: Float32Array | undefined;
}

/** A matrix of a decoder: its values, or where they lie. */
export type Weight = Matrix | StoredMatrix;

/** Logits over modules: output · gelu(input · x + bias), gelu the exact one; output · x where there is no `input`. */
export interface Router {
  /** gate × hidden, with its bias */
  readonly input?: Weight | undefined;
  /** modules × gate, or modules × hidden */
  readonly output: Weight;
}

/**
 * Modules of one kind in one layer: y(x) = Σ over the chosen e of w_e · module_e(x).
 *
 * "learned": the `top` largest of the router's logits are chosen, equal ones to the lower index; w = softmax of the logits,
 * over all modules and not renormalised (ModuleFormer, OLMoE), or over those chosen (Mixtral, Granite). "average": the score of e is the mean row of its input matrix times x, and each of
 * the `top` chosen has weight 1 (EMoE, avg-k). "none": one module of weight 1, a dense layer.
 */
export type Routing =
  | {
      readonly kind: "learned";
      readonly router: Router;
      readonly top: number;
      /** What the softmax runs over; all where nothing is said. */
      readonly over?: "all" | "chosen" | undefined;
    }
  | { readonly kind: "average"; readonly top: number }
  | { readonly kind: "none" };

/**
 * Rotary position embedding, half-split: components i and i + half of a head turn by position · frequencies[i]. Components
 * behind 2 · half stay as they are.
 */
export interface Rotary {
  /** [half] radians a token */
  readonly frequencies: Float32Array;
  /** Sine and cosine are multiplied by it (YaRN); 1 elsewhere. */
  readonly factor: number;
}

/** Attention by softmax(scale · q kᵀ) v over the token itself and those before it. */
export interface SoftmaxAttention {
  /** Heads of keys and values; each serves heads / keyValueHeads neighbouring query heads. */
  readonly keyValueHeads: number;
  readonly scale: number;
  readonly rotary?: Rotary | undefined;
  /** RMS norms of queries and keys before they turn: over a head (weights of a head's size) or over the whole projection. */
  readonly queryNorm?: Norm | undefined;
  readonly keyNorm?: Norm | undefined;
}

/**
 * Attention by modules (mixture of attention heads): softmax where `softmax` is there, else stick-breaking;
 * docs/models/decoder-bundle.md and docs/models/llama.md have the formulas.
 */
export interface AttentionModules {
  readonly norm: Norm;
  readonly routing: Routing;
  /** One a module: size × hidden. */
  readonly query: readonly Weight[];
  /** One a module: hidden × size. */
  readonly output: readonly Weight[];
  /** (key-value heads · head size) × hidden each, shared by all modules; absent where the normed input itself is both (MoLM). */
  readonly keyValue?: { readonly key: Weight; readonly value: Weight } | undefined;
  readonly softmax?: SoftmaxAttention | undefined;
  /** [hidden], added once a token. */
  readonly bias?: Float32Array | undefined;
}

/** A feedforward part: output · (silu(gate · x) ⊙ (input · x)), or output · gelu_tanh(input · x) without a gate. */
interface SharedModule {
  /** size × hidden */
  readonly input: Weight;
  readonly gate: Weight;
  /** hidden × size */
  readonly output: Weight;
  /** 1 × hidden: the part counts sigmoid(weight · x) times; once where it is absent. */
  readonly weight?: Weight | undefined;
}

/** Modules that are chosen by routing, and one that runs for every token where there is one. */
export interface FeedforwardModules {
  readonly norm: Norm;
  readonly routing: Routing;
  /** One a module: size × hidden. */
  readonly input: readonly Weight[];
  /** One a module: size × hidden; with them a module is output · (silu(gate · x) ⊙ (input · x)), else output · gelu_tanh(input · x). */
  readonly gate?: readonly Weight[] | undefined;
  /** One a module: hidden × size. */
  readonly output: readonly Weight[];
  readonly shared?: SharedModule | undefined;
  /** [hidden], added once a token. */
  readonly bias?: Float32Array | undefined;
}

/** How often each module of a layer was chosen on one domain's held-out text, as a share of the routed places. */
export interface Frequencies {
  readonly attention: readonly (readonly number[])[];
  readonly feedforward: readonly (readonly number[])[];
}

export interface Multipliers {
  readonly embedding: number;
  readonly residual: number;
  readonly logits: number;
}

/** A chat template in Jinja, as it stands in the model's file, and what it may name. */
export interface ChatTemplate {
  readonly template: string;
  /** The texts of `bos_token`, `eos_token` and others. */
  readonly tokens: Readonly<Record<string, string>>;
}

/** Whether all parts are those of ModuleFormer: stick-breaking attention, layer norms, modules without a gate. */
export const isStickBreaking = ({ layers, multipliers }: DecoderModel): boolean =>
  !multipliers &&
  layers.every(
    ({ attention, feedforward }) =>
      !attention.softmax &&
      !attention.bias &&
      !feedforward.gate &&
      !feedforward.shared &&
      !feedforward.bias &&
      [attention, feedforward].every(
        ({ norm, routing }) =>
          norm.kind === "layer" && (routing.kind !== "learned" || (routing.router.input && routing.over !== "chosen")),
      ),
  );

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
  readonly embedding: Weight;
  readonly layers: readonly { readonly attention: AttentionModules; readonly feedforward: FeedforwardModules }[];
  readonly norm: Norm;
  /** vocabulary × hidden; the embedding itself where they are tied. */
  readonly head: Weight;
  /** Factors of embeddings, of what each part adds to the trunk, and of the logits (Granite); 1 where they are absent. */
  readonly multipliers?: Multipliers | undefined;
  /** Ids of marks that no text can spell. */
  readonly marks: {
    readonly end: number;
    readonly system: number;
    readonly user: number;
    readonly assistant: number;
  };
  /** Ids that end an answer, where there are more than `marks.end`. */
  readonly ends?: readonly number[] | undefined;
  /** How messages become text; by `marks` where it is absent. */
  readonly chat?: ChatTemplate | undefined;
  /** As `prompts` of a LanguageModel. */
  readonly prompts?: "brief" | undefined;
  readonly frequencies?: Readonly<Record<string, Frequencies>> | undefined;
}
