// public: joinEncoders
import { type Embedding, type Encoder, TesseraError } from "@tessera/core";

/** An encoder within a joined one. */
interface JoinedPart {
  readonly encoder: Encoder;
  /** Of the joined score, above 0; the shares sum to 1. */
  readonly share: number;
  /** Which of its embeddings, for queries and passages alike. */
  readonly embedding?: Embedding | undefined;
}

/**
 * Joins several encoders. The vector is [√share₁ · v₁; √share₂ · v₂; …], so the cosine of two joined vectors is Σ share
 * · cosine of each part, and one store searches by all encoders at once.
 * @throws TesseraError BAD_ARGUMENT if the shares do not sum to 1, or, from `space` and `encode`, if an exit or a width
 * is given: a joined vector has neither.
 */
export function joinEncoders(parts: readonly JoinedPart[]): Encoder {
  const total = parts.reduce((sum, { share }) => sum + share, 0);
  if (parts.some(({ share }) => !(share > 0)) || Math.abs(total - 1) > 1e-9)
    throw new TesseraError("BAD_ARGUMENT", "the shares of joined encoders are positive and sum to 1", {
      hint: `they are ${parts.map(({ share }) => share).join(", ") || "none"}`,
    });
  const assertWhole = ({ exit, width }: Embedding): void => {
    if (exit !== undefined || width !== undefined)
      throw new TesseraError("BAD_ARGUMENT", "a joined encoder has neither exits nor widths", {
        hint: "name a model alone as the encoder, or leave `exit` and `width` out",
      });
  };
  const named = (of: (part: JoinedPart) => string): string =>
    parts.map((part) => `${part.share} ${of(part)}`).join(" + ");
  return {
    get revision() {
      return named(({ encoder }) => encoder.revision);
    },
    space(embedding) {
      assertWhole(embedding);
      return named((part) => part.encoder.space(part.embedding ?? {}));
    },
    async encode(texts, { kind, exit, width }, signal) {
      assertWhole({ exit, width });
      const rows = await Promise.all(
        parts.map(({ encoder, embedding }) => encoder.encode(texts, { ...embedding, kind }, signal)),
      );
      return texts.map((_, text) => concatenated(rows.map((vectors) => vectors[text]!)));
    },
  };

  function concatenated(vectors: readonly Float32Array[]): Float32Array {
    const joined = new Float32Array(vectors.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const [i, vector] of vectors.entries()) {
      const scale = Math.sqrt(parts[i]!.share);
      for (const value of vector) joined[at++] = scale * value;
    }
    return joined;
  }
}
