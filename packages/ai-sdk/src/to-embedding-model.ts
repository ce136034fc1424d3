// public: ToEmbeddingModelOptions, toEmbeddingModel
import type { EmbeddingModelV4 } from "@ai-sdk/provider";
import { type Encoder, TesseraError } from "@tessera/core";

const kinds = ["query", "code", "text"] as const;
type Kind = (typeof kinds)[number];

/** How an encoder of ours shows itself to the AI SDK. */
export interface ToEmbeddingModelOptions {
  readonly provider?: string;
  /** The revision of the encoder by default. */
  readonly modelId?: string;
  /** What is encoded where a call does not say it, as `providerOptions: { tessera: { kind: "query" } }` does; "text" by default. */
  readonly kind?: Kind;
  /** The most texts of one call; 64 by default. */
  readonly batch?: number;
}

/**
 * An encoder of ours as an embedding model of the AI SDK (version 7), for `embed` and `embedMany`; `dimensions` is its width.
 * @throws TesseraError from a call: BAD_ARGUMENT for a kind that there is not; what the encoder throws.
 */
export function toEmbeddingModel(encoder: Encoder, options: ToEmbeddingModelOptions = {}): EmbeddingModelV4 {
  const { provider = "tessera", modelId = encoder.revision, kind: usual = "text", batch = 64 } = options;
  return {
    specificationVersion: "v4",
    provider,
    modelId,
    maxEmbeddingsPerCall: batch,
    supportsParallelCalls: false,
    async doEmbed({ values, dimensions: width, providerOptions, abortSignal }) {
      const kind = (providerOptions?.tessera?.kind ?? usual) as Kind;
      if (!kinds.includes(kind))
        throw new TesseraError("BAD_ARGUMENT", `there is no kind "${kind}" of texts`, {
          path: "providerOptions.tessera.kind",
          hint: `one of ${kinds.join(", ")}`,
        });
      const vectors = await encoder.encode(values, { kind, width }, abortSignal);
      return { embeddings: vectors.map((vector) => [...vector]), warnings: [] };
    },
  };
}
