// internal: corpusResources
import type { Passage } from "@tessera/core";
import { KnowledgeGraph } from "@tessera/indexer";
import { embed } from "@tessera/indexer/internal";
import { type CodeEncoder, HashEncoder } from "@tessera/models";
import { headOf } from "@tessera/retriever/internal";
import { Bm25Store, openVectorStore } from "@tessera/stores";
import type { Resources } from "@tessera/tessera";

export interface CorpusSettings {
  /** Our trained encoder; without it the hash encoder, fitted to the passages. */
  readonly encoder?: CodeEncoder | undefined;
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
  const width = () => (trained ? trained.model.hidden : hash().width);
  const sparse = async () => {
    const store = new Bm25Store();
    await store.upsert(passages);
    return store;
  };
  const dense = async () => {
    const encoder = trained ?? hash();
    const { store } = await openVectorStore({ space: encoder.space({}), width: width() });
    await store.upsert(passages, await embed(encoder, passages, { batch: 32, signal, done: progress }));
    return store;
  };
  const headEncoder = (index: number) => headOf(trained ?? hash(), index, 4);
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
    encoder: { encoder: () => trained ?? hash(), ...heads(headEncoder) },
    graph: { graph: () => new KnowledgeGraph(passages) },
  };
}
