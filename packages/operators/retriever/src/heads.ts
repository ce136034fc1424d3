// internal: headOf
import { type Encoder, TesseraError } from "@tessera/core";

/**
 * One part of an encoder's vectors as an encoder of its own: part `index` (from 0) of `count` equal ones, at length 1. A
 * transformer's heads are such parts of the vector before its last projection; of other encoders they are views of
 * different features.
 * @throws TesseraError BAD_ARGUMENT where there is no such part; SPACE_MISMATCH where a vector cannot be cut so.
 */
export function headOf(encoder: Encoder, index: number, count: number): Encoder {
  if (!Number.isInteger(index) || !Number.isInteger(count) || index < 0 || index >= count)
    throw new TesseraError("BAD_ARGUMENT", `there is no part ${index} of ${count}`);
  return {
    revision: `${encoder.revision}#${index}/${count}`,
    space: (embedding) => `${encoder.space(embedding)}#${index}/${count}`,
    async encode(texts, how, signal) {
      return (await encoder.encode(texts, how, signal)).map((vector) => {
        const width = vector.length / count;
        if (!Number.isInteger(width))
          throw new TesseraError("SPACE_MISMATCH", `${vector.length} components are not ${count} equal parts`);
        const part = vector.slice(index * width, (index + 1) * width);
        const length = Math.hypot(...part) || 1;
        return part.map((component) => component / length);
      });
    },
  };
}

/**
 * How much a head tells passages apart (Multi-Head RAG, algorithm 1): s_i = a_i · b_i, the mean length of its vectors
 * times the mean cosine distance of two of them.
 * @throws TesseraError BAD_ARGUMENT of fewer than two vectors.
 */
export function headImportance(vectors: readonly Float32Array[]): number {
  if (vectors.length < 2) throw new TesseraError("BAD_ARGUMENT", "importance is measured on two vectors at least");
  const lengths = vectors.map((vector) => Math.hypot(...vector));
  // the mean over pairs of unit vectors follows from their sum: Σ_{i≠j} u_i · u_j = |Σ u|² − Σ |u|²
  const sum = new Float64Array(vectors[0]!.length);
  let own = 0;
  for (const [index, vector] of vectors.entries()) {
    if (lengths[index] === 0) continue;
    own++;
    for (let i = 0; i < sum.length; i++) sum[i]! += vector[i]! / lengths[index]!;
  }
  const square = sum.reduce((total, component) => total + component * component, 0);
  const cosine = (square - own) / (vectors.length * (vectors.length - 1));
  return (lengths.reduce((total, length) => total + length, 0) / vectors.length) * (1 - cosine);
}
