// public: EmbeddingModelOptions, fromEmbeddingModel
import type { EmbeddingModelV4, EmbeddingModelV4CallOptions } from "@ai-sdk/provider";
import { type Encoder, TesseraError } from "@tessera/core";
import { abortable } from "@tessera/core/internal";
import { assertVersion, failure, type Patience, patiently } from "./failures.js";

type Kind = Parameters<Encoder["encode"]>[1]["kind"];

/** What an embedding model of the AI SDK offers, and how texts are sent to it. */
export interface EmbeddingModelOptions extends Patience {
  /** The name of the vector space; provider and model by default. Vectors of different names never meet. */
  readonly space?: string;
  /** The most texts of one call; what the model says, or else 64. */
  readonly batch?: number;
  /** Whether the model can shorten vectors, by the field `dimensions`. */
  readonly shortens?: boolean;
  /** Options of the provider for a kind of text, such as Cohere's and Voyage's `inputType`. */
  readonly providerOptions?: (kind: Kind) => EmbeddingModelV4CallOptions["providerOptions"];
  /** What the model wants before each kind of text, as in "query: ". */
  readonly prefixes?: Partial<Record<Kind, string>>;
  readonly revision?: string;
}

function unit(vector: readonly number[], width: number | undefined, name: string): Float32Array {
  const norm = Math.hypot(...vector);
  if (vector.length === 0 || !Number.isFinite(norm) || vector.length !== width)
    throw new TesseraError("MODEL_FAILED", "the model gave vectors that are empty, not finite, or of unequal width", {
      path: name,
    });
  return Float32Array.from(vector, (component) => (norm === 0 ? 0 : component / norm));
}

/**
 * An embedding model of the AI SDK (version 7) as an encoder: unit vectors, in batches of what the model takes.
 * @throws TesseraError BAD_ARGUMENT; and from `encode` MISSING_CAPABILITY where an exit is asked for, or a width that the
 *   model is not said to offer; MODEL_FAILED with the cause.
 */
export function fromEmbeddingModel(model: EmbeddingModelV4, options: EmbeddingModelOptions = {}): Encoder {
  assertVersion(model, "EmbeddingModel");
  const name = `${model.provider}/${model.modelId}`;
  const { space = name, revision = `ai-sdk:${name}`, shortens = false, prefixes = {} } = options;

  async function embed(values: string[], kind: Kind, width: number | undefined, signal: AbortSignal | undefined) {
    const providerOptions = options.providerOptions?.(kind);
    const call: EmbeddingModelV4CallOptions = {
      values,
      ...(width !== undefined && { dimensions: width }),
      ...(providerOptions && { providerOptions }),
      ...(signal && { abortSignal: signal }),
    };
    const work = () => abortable(Promise.resolve(model.doEmbed(call)), { signal });
    const { embeddings } = await patiently(work, options, name, signal);
    if (embeddings.length !== values.length)
      throw new TesseraError("MODEL_FAILED", `the model gave ${embeddings.length} vectors for ${values.length} texts`, {
        path: name,
      });
    return embeddings;
  }

  return {
    revision,
    space: ({ width }) => (width === undefined ? space : `${space}:${width}`),
    async encode(texts, { kind, exit, width }, signal) {
      if (exit !== undefined || (width !== undefined && !shortens))
        throw new TesseraError("MISSING_CAPABILITY", `"${name}" has one exit${shortens ? "" : " and one width"}`, {
          path: name,
          hint: "set `shortens` where the model takes `dimensions`",
        });
      signal?.throwIfAborted();
      const most = options.batch ?? (await model.maxEmbeddingsPerCall) ?? 64;
      const size = Math.max(1, Math.min(most, texts.length));
      const vectors: number[][] = [];
      try {
        for (let from = 0; from < texts.length; from += size) {
          const values = texts.slice(from, from + size).map((text) => (prefixes[kind] ?? "") + text);
          vectors.push(...(await embed(values, kind, width, signal)));
        }
      } catch (cause) {
        signal?.throwIfAborted();
        throw failure(cause, name);
      }
      return vectors.map((vector) => unit(vector, width ?? vectors[0]?.length, name));
    },
  };
}
