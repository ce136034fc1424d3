// public: EmbeddingsLike, EmbeddingsOptions, fromEmbeddings
import { type Encoder, TesseraError } from "@tessera/core";
import { abortable, messageOf } from "@tessera/core/internal";

/** LangChain's Embeddings, by their shape. */
export interface EmbeddingsLike {
  embedQuery(text: string): Promise<number[]>;
  embedDocuments(texts: string[]): Promise<number[][]>;
}

/** What LangChain embeddings do not say about themselves: their vector space and revision. */
export interface EmbeddingsOptions {
  /**
   * The name of the vector space: the model, and everything that changes its vectors. Vectors of spaces with different
   * names are never compared.
   */
  readonly space: string;
  readonly revision?: string;
}

function unit(vector: readonly number[], width: number | undefined): Float32Array {
  const norm = Math.hypot(...vector);
  if (
    !Array.isArray(vector) ||
    vector.length === 0 ||
    !Number.isFinite(norm) ||
    (width ?? vector.length) !== vector.length
  )
    throw new TesseraError(
      "MODEL_FAILED",
      "the embeddings gave vectors that are empty, not finite, or of unequal width",
    );
  return Float32Array.from(vector, (component) => (norm === 0 ? 0 : component / norm));
}

/**
 * LangChain embeddings as an encoder: unit vectors, by `embedQuery` for queries and by `embedDocuments` for the rest.
 * An aborted call settles at once, though the request behind it goes on.
 * @throws TesseraError MISSING_CAPABILITY where an exit or a width is asked for; MODEL_FAILED with the cause.
 */
export function fromEmbeddings(embeddings: EmbeddingsLike, { space, revision = space }: EmbeddingsOptions): Encoder {
  return {
    revision,
    space: () => space,
    async encode(texts, { kind, exit, width }, signal) {
      if (exit !== undefined || width !== undefined)
        throw new TesseraError("MISSING_CAPABILITY", "LangChain embeddings have one exit and one width");
      signal?.throwIfAborted();
      if (texts.length === 0) return [];
      let vectors: number[][];
      try {
        const work =
          kind === "query"
            ? Promise.all(texts.map((text) => embeddings.embedQuery(text)))
            : embeddings.embedDocuments([...texts]);
        vectors = await abortable(work, { signal });
      } catch (cause) {
        signal?.throwIfAborted();
        throw new TesseraError("MODEL_FAILED", `the embeddings failed: ${messageOf(cause)}`, { cause });
      }
      if (vectors.length !== texts.length)
        throw new TesseraError(
          "MODEL_FAILED",
          `the embeddings gave ${vectors.length} vectors for ${texts.length} texts`,
        );
      return vectors.map((vector) => unit(vector, vectors[0]?.length));
    },
  };
}
