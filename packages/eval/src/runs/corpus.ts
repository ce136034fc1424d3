// internal: corpusResources
import type { Encoder, Passage } from "@tessera/core";
import { KnowledgeGraph } from "@tessera/indexer";
import { embed, isProse } from "@tessera/indexer/internal";
import { HashEncoder } from "@tessera/models";
import type { Vectors } from "@tessera/models/internal";
import { headOf } from "@tessera/retriever/internal";
import { Bm25Store, openVectorStore } from "@tessera/stores";
import type { Resources } from "@tessera/tessera";

interface CorpusSettings {
  /** What makes the vectors; without it the hash encoder, fitted to the passages. */
  readonly vectors?: Vectors | undefined;
  readonly progress?: ((done: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Passages as what flows may name, in memory, each made when a flow first asks for it: the stores "sparse" and "dense"
 * and the encoder "encoder", as the index of a codebase has them, the graph "graph" of `metadata.triples`, and the stores and
 * encoders "head-0" to "head-3", each of a quarter of the encoder's vector.
 */
export function corpusResources(
  passages: readonly Passage[],
  { vectors, progress, signal }: CorpusSettings = {},
): Resources {
  let fitted: HashEncoder | undefined;
  const hash = (): HashEncoder => {
    if (!fitted) {
      fitted = new HashEncoder();
      fitted.fit(passages.map(({ title = "", text }) => `${title}\n${text}`));
    }
    return fitted;
  };
  const kind = passages.filter(isProse).length * 2 >= passages.length ? "text" : "code";
  let opened: Encoder | undefined;
  const encoder = (): Encoder => {
    opened ??= vectors ? vectors.encoderOver(vectors.usesHash ? hash() : undefined, kind) : hash();
    return opened;
  };
  const width = (): number => (vectors ? vectors.widthOver(vectors.usesHash ? hash() : undefined) : hash().width);
  const sparse = async () => {
    const store = new Bm25Store();
    await store.upsert(passages);
    return store;
  };
  const dense = async () => {
    const { store } = await openVectorStore({ space: encoder().space({}), width: width() });
    await store.upsert(passages, await embed(encoder(), passages, { batch: 32, signal, done: progress }));
    return store;
  };
  const headEncoder = (index: number) => headOf(encoder(), index, 4);
  const headStore = async (index: number) => {
    const encoder = headEncoder(index);
    const { store } = await openVectorStore({ space: encoder.space({}), width: width() / 4 });
    await store.upsert(passages, await embed(encoder, passages, { batch: 32, signal, done: progress }));
    return store;
  };
  const heads = <T>(open: (index: number) => T) =>
    Object.fromEntries([0, 1, 2, 3].map((index) => [`head-${index}`, () => open(index)]));
  return {
    store: { sparse, dense, ...heads(headStore) },
    encoder: { encoder, ...heads(headEncoder) },
    graph: { graph: () => new KnowledgeGraph(passages) },
  };
}
