import { z } from "zod";
import type { Rotary } from "./decoder.js";

const number = z.number().positive();
/** `rope_scaling` of transformers 4, `rope_parameters` of transformers 5: the latter holds `rope_theta` too. */
const scaling = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: number.optional(),
  factor: number.optional(),
  low_freq_factor: number.optional(),
  high_freq_factor: number.optional(),
  original_max_position_embeddings: number.optional(),
  attention_factor: number.nullish(),
  beta_fast: number.nullish(),
  beta_slow: number.nullish(),
  /** By what each frequency is divided, as GGUF files hold it. */
  factors: z.array(number).optional(),
});
type Scaling = z.infer<typeof scaling>;

/** The fields of a config that say how heads turn. */
export const rotaryFields = {
  rope_theta: number.optional(),
  rope_scaling: scaling.nullish(),
  rope_parameters: scaling.nullish(),
  partial_rotary_factor: z.number().positive().max(1).nullish(),
  max_position_embeddings: z.int().positive(),
};
type RotaryFields = z.infer<z.ZodObject<typeof rotaryFields>>;

/** A reason why a config's rotation cannot be computed. */
export class RotaryError extends Error {}

/**
 * The frequencies of a head of `size` components: θ^(−2i / size), stretched as Llama 3, YaRN (arXiv 2309.00071) or the
 * linear rule say. "dynamic" counts as no scaling: it begins to differ behind the length that the model was trained on.
 * @throws RotaryError
 */
export function rotaryOf(config: RotaryFields, size: number): Rotary {
  const rules: Scaling = config.rope_parameters ?? config.rope_scaling ?? {};
  const theta = rules.rope_theta ?? config.rope_theta;
  if (theta === undefined) throw new RotaryError("rope_theta is in neither the config nor its rope_parameters");
  const turned = size * (config.partial_rotary_factor ?? 1);
  if (turned % 2 !== 0) throw new RotaryError(`${turned} components of a head of ${size} cannot turn in pairs`);
  const plain = Float64Array.from({ length: turned / 2 }, (_, i) => theta ** ((-2 * i) / turned));
  const kind = rules.rope_type ?? rules.type ?? "default";
  const need = (
    field: "factor" | "low_freq_factor" | "high_freq_factor" | "original_max_position_embeddings",
  ): number => {
    const value = rules[field];
    if (value === undefined) throw new RotaryError(`rope_type "${kind}" needs ${field}`);
    return value;
  };
  switch (kind) {
    case "default":
    case "dynamic":
      return { frequencies: Float32Array.from(plain), factor: 1 };
    case "linear":
      return { frequencies: Float32Array.from(plain, (value) => value / need("factor")), factor: 1 };
    case "factors":
      if (rules.factors?.length !== plain.length) throw new RotaryError("there is not one factor a frequency");
      return { frequencies: Float32Array.from(plain, (value, i) => value / rules.factors![i]!), factor: 1 };
    case "llama3": {
      const [factor, low, high] = [need("factor"), need("low_freq_factor"), need("high_freq_factor")];
      const trained = need("original_max_position_embeddings");
      const frequencies = Float32Array.from(plain, (value) => {
        // turns that a component made in the length of training
        const turns = (trained * value) / (2 * Math.PI);
        const share = Math.min(1, Math.max(0, (turns - low) / (high - low)));
        return (1 - share) * (value / factor) + share * value;
      });
      return { frequencies, factor: 1 };
    }
    case "yarn":
      return yarn(plain, turned, theta, rules, need("factor"), config.max_position_embeddings);
    default:
      throw new RotaryError(`rope_type "${kind}" is not read; read are default, dynamic, linear, llama3, yarn`);
  }
}

function yarn(
  plain: Float64Array,
  turned: number,
  theta: number,
  rules: Scaling,
  factor: number,
  longest: number,
): Rotary {
  const trained = rules.original_max_position_embeddings ?? longest;
  /** The component that makes so many turns in the length of training. */
  const place = (turns: number): number => (turned * Math.log(trained / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const first = Math.max(0, Math.floor(place(rules.beta_fast ?? 32)));
  const last = Math.min(turned - 1, Math.ceil(place(rules.beta_slow ?? 1)));
  const frequencies = Float32Array.from(plain, (value, i) => {
    const share = Math.min(1, Math.max(0, (i - first) / (last === first ? 0.001 : last - first)));
    return (value / factor) * share + value * (1 - share);
  });
  return { frequencies, factor: rules.attention_factor ?? (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1) };
}
