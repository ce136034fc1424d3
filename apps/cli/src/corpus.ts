import type { Passage } from "@tessera/core";
import { embed, KnowledgeGraph } from "@tessera/indexer";
import { type CodeEncoder, HashEncoder } from "@tessera/models";
import { Bm25Store, openVectorStore } from "@tessera/retriever";
import type { Resources } from "@tessera/tessera";

export interface CorpusSettings {
  /** Our trained encoder; without it the hash encoder, fitted to the passages. */
  readonly encoder?: CodeEncoder | undefined;
  readonly progress?: ((done: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Passages as what flows may name, in memory, each made when a flow first asks for it: the stores "sparse" and "dense"
 * and the encoder "encoder", as the index of a codebase has them, and the graph "graph" of `metadata.triples`.
 */
export function corpusResources(
  passages: readonly Passage[],
  { encoder: trained, progress, signal }: CorpusSettings = {},
): Resources {
  let fitted: HashEncoder | undefined;
  const hash = (): HashEncoder => {
    if (!fitted) {
      fitted = new HashEncoder();
      fitted.fit(passages.map(({ title = "", text }) => `${title}\n${text}`));
    }
    return fitted;
  };
  const sparse = async () => {
    const store = new Bm25Store();
    await store.upsert(passages);
    return store;
  };
  const dense = async () => {
    const encoder = trained ?? hash();
    const width = trained ? trained.model.hidden : hash().width;
    const { store } = await openVectorStore({ space: encoder.space({}), width });
    await store.upsert(passages, await embed(encoder, passages, { batch: 32, signal, done: progress }));
    return store;
  };
  return {
    store: { sparse, dense },
    encoder: { encoder: () => trained ?? hash() },
    graph: { graph: () => new KnowledgeGraph(passages) },
  };
}
