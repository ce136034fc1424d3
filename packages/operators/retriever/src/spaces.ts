import { type Embedding, type Encoder, type Host, type Store, TesseraError } from "@tessera/core";

/** Turns a query into a vector, and searches a store of vectors. */
interface DenseSearch {
  readonly store: Store;
  readonly encoder: Encoder;
  encode(query: string, signal: AbortSignal): Promise<Float32Array>;
}

/**
 * Opens a store and an encoder whose query vectors may be searched in it. A store that states no space is trusted.
 * @throws TesseraError SPACE_MISMATCH, UNKNOWN_RESOURCE
 */
export async function openDense(
  { store: storeName, encoder: encoderName, exit, width }: { store: string; encoder: string } & Embedding,
  host: Host,
): Promise<DenseSearch> {
  const [store, encoder] = await Promise.all([
    host.resource<Store>("store", storeName),
    host.resource<Encoder>("encoder", encoderName),
  ]);
  const embedding: Embedding = {
    ...(exit !== undefined && { exit }),
    ...(width !== undefined && { width }),
  };
  const permitted = encoder.searches?.(embedding) ?? [encoder.space(embedding)];
  if (store.space !== undefined && !permitted.includes(store.space))
    throw new TesseraError(
      "SPACE_MISMATCH",
      `the store "${storeName}" holds "${store.space}", which queries of "${encoderName}" may not search`,
      {
        path: `store/${storeName}`,
        hint: `these may be searched: ${permitted.join(", ")}; index again with this encoder`,
      },
    );
  return {
    store,
    encoder,
    encode: async (query, signal) => (await encoder.encode([query], { ...embedding, kind: "query" }, signal))[0]!,
  };
}
