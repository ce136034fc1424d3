// public: RetrieverLike, fromRetriever
import { type Hit, rank, type Store, TesseraError } from "@tessera/core";
import { admits, messageOf } from "@tessera/core/internal";
import { type DocumentLike, toPassage } from "./document.js";

/** A LangChain retriever, by its shape: anything that takes a query and gives documents, best first. */
export interface RetrieverLike {
  invoke(query: string, config?: { signal?: AbortSignal }): Promise<readonly DocumentLike[]>;
}

/** The provenance's name for what LangChain ranked. */
export const langchain = "langchain";

/**
 * A LangChain retriever as a store that can only be searched, by text. A retriever returns no scores, so the hit of
 * rank r has the score 1/r. It decides itself how many documents it finds. The filter and the rights of the principal
 * are applied to these, so fewer than `top` hits may be returned. If that is too few, bridge the vector store instead.
 * @throws TesseraError STORE_FAILED with the cause, and on every write; BAD_ARGUMENT without a text.
 */
export function fromRetriever(retriever: RetrieverLike, { revision = "langchain:retriever" } = {}): Store {
  const readOnly = async (): Promise<never> => {
    throw new TesseraError("STORE_FAILED", "a LangChain retriever cannot be written to", {
      hint: "bridge its vector store with fromVectorStore",
    });
  };
  return {
    revision,
    async search({ text, top, filter, principal }, signal) {
      if (text === undefined)
        throw new TesseraError("BAD_ARGUMENT", "a LangChain retriever is searched by text, not by a vector");
      signal?.throwIfAborted();
      let documents: readonly DocumentLike[];
      try {
        documents = await retriever.invoke(text, signal && { signal });
      } catch (cause) {
        signal?.throwIfAborted();
        throw new TesseraError("STORE_FAILED", `the retriever failed: ${messageOf(cause)}`, { cause });
      }
      signal?.throwIfAborted();
      const seen = new Set<string>();
      const hits: Hit[] = [];
      for (const document of documents) {
        const passage = toPassage(document);
        if (seen.has(passage.id) || !admits(passage, filter, principal)) continue;
        seen.add(passage.id);
        hits.push({ passage, score: 0, provenance: [] });
      }
      return rank(
        langchain,
        hits.map((hit, index) => ({ hit, score: 1 / (index + 1) })),
        top,
      );
    },
    upsert: readOnly,
    delete: readOnly,
  };
}
