// public: ToRerankingModelOptions, toRerankingModel
import type { RerankingModelV4 } from "@ai-sdk/provider";
import type { Reranker } from "@tessera/core";

/** How a reranker of ours shows itself to the AI SDK. */
export interface ToRerankingModelOptions {
  readonly provider?: string;
  /** The revision of the reranker by default. */
  readonly modelId?: string;
}

/** A reranker of ours as a reranking model of the AI SDK (version 7), for `rerank`; objects are ranked by their JSON. */
export function toRerankingModel(reranker: Reranker, options: ToRerankingModelOptions = {}): RerankingModelV4 {
  const { provider = "tessera", modelId = reranker.revision } = options;
  return {
    specificationVersion: "v4",
    provider,
    modelId,
    async doRerank({ documents, query, topN, abortSignal }) {
      const texts =
        documents.type === "text" ? documents.values : documents.values.map((value) => JSON.stringify(value));
      const scores = await reranker.rank(query, texts, abortSignal);
      const ranking = scores
        .map((relevanceScore, index) => ({ index, relevanceScore }))
        .sort((a, b) => b.relevanceScore - a.relevanceScore || a.index - b.index)
        .slice(0, topN);
      return { ranking };
    },
  };
}
