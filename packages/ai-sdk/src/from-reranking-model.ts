// public: RerankingModelOptions, fromRerankingModel
import type { RerankingModelV4, RerankingModelV4CallOptions } from "@ai-sdk/provider";
import { type Reranker, TesseraError } from "@tessera/core";
import { abortable } from "@tessera/core/internal";
import { assertVersion, failure, type Patience, patiently } from "./failures.js";

/** What is sent to a reranking model of the AI SDK with every call. */
export interface RerankingModelOptions extends Patience {
  readonly providerOptions?: RerankingModelV4CallOptions["providerOptions"];
  readonly revision?: string;
}

/**
 * A reranking model of the AI SDK (version 7) as a reranker: one score a text, in the order of the texts.
 * @throws TesseraError BAD_ARGUMENT; and from `rank` MODEL_FAILED with the cause, also where a text has no score.
 */
export function fromRerankingModel(model: RerankingModelV4, options: RerankingModelOptions = {}): Reranker {
  assertVersion(model, "RerankingModel");
  const name = `${model.provider}/${model.modelId}`;
  const { providerOptions, revision = `ai-sdk:${name}` } = options;
  return {
    revision,
    async rank(query, texts, signal) {
      signal?.throwIfAborted();
      if (texts.length === 0) return [];
      const call: RerankingModelV4CallOptions = {
        query,
        documents: { type: "text", values: [...texts] },
        ...(providerOptions && { providerOptions }),
        ...(signal && { abortSignal: signal }),
      };
      try {
        const work = () => abortable(Promise.resolve(model.doRerank(call)), { signal });
        const { ranking } = await patiently(work, options, name, signal);
        const scores = new Map(ranking.map(({ index, relevanceScore }) => [index, relevanceScore]));
        return texts.map((_, index) => {
          const score = scores.get(index);
          if (score !== undefined && Number.isFinite(score)) return score;
          throw new TesseraError("MODEL_FAILED", `the model gave no score to text ${index} of ${texts.length}`, {
            path: name,
          });
        });
      } catch (cause) {
        signal?.throwIfAborted();
        throw failure(cause, name);
      }
    },
  };
}
