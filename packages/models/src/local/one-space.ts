// internal: LocalEncoder
import { type Embedding, type Encoder, TesseraError } from "@tessera/core";

/**
 * What an encoder with one exit and one width says of its embeddings.
 * @throws from `assertWhole` TesseraError BAD_ARGUMENT for another exit or width
 */
export function oneSpace(
  name: string,
  revision: string,
  width: number,
): Pick<Encoder, "space"> & { assertWhole(embedding: Embedding): void } {
  const assertWhole = ({ exit, width: asked = width }: Embedding): void => {
    if (exit !== undefined || asked !== width)
      throw new TesseraError("BAD_ARGUMENT", `"${name}" has one exit, and vectors of ${width} components`, {
        path: name,
        hint: "leave `exit` and `width` out",
      });
  };
  return {
    assertWhole,
    space(embedding) {
      assertWhole(embedding);
      return `${name}@${revision}/width-${width}`;
    },
  };
}

/** An encoder of vectors whose width is known, opened from a file of this machine. */
export interface LocalEncoder extends Encoder {
  readonly name: string;
  /** Components of a vector. */
  readonly width: number;
  close(): Promise<void>;
}
