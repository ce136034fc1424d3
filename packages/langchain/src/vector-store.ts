// public: VectorStoreLike, NativeFilter, VectorStoreOptions, fromVectorStore
import {
  type ChangeOptions,
  type Hit,
  type Passage,
  rank,
  type Store,
  type StoreQuery,
  TesseraError,
} from "@tessera/core";
import { admits, assertFilter, messageOf } from "@tessera/core/internal";
import { type DocumentLike, toDocument, toPassage } from "./document.js";
import { langchain } from "./retriever.js";

type Scored = readonly (readonly [DocumentLike, number])[];
type Document = ReturnType<typeof toDocument>;

/** What is used of a LangChain VectorStore. Its filter, and what it deletes by, differ from store to store. */
export interface VectorStoreLike {
  similaritySearchWithScore(query: string, k: number, filter?: never): Promise<Scored>;
  similaritySearchVectorWithScore(query: number[], k: number, filter?: never): Promise<Scored>;
  addDocuments(documents: Document[], options?: { ids?: string[] }): Promise<unknown>;
  addVectors(vectors: number[][], documents: Document[], options?: { ids?: string[] }): Promise<unknown>;
  delete(parameters: never): Promise<void>;
}

/** The store's own filter for a query; `admitted` says of a document whether it may be found. */
export type NativeFilter = (query: StoreQuery, admitted: (document: DocumentLike) => boolean) => unknown;

/** What a LangChain vector store cannot say of itself: what its scores mean, and how it filters and deletes. */
export interface VectorStoreOptions {
  /** What the store's scores are: larger is better, or smaller is better. HNSWLib gives distances. */
  readonly score: "similarity" | "distance";
  /** The name of the vector space, where it is searched by vectors. */
  readonly space?: string;
  readonly revision?: string;
  /**
   * How the filter and the principal reach the store. "callback": the store calls a function for each candidate (HNSWLib,
   * MemoryVectorStore). A function: makes the store's own filter. Without it the store is asked for more and more
   * candidates until enough are admitted. In every case each result is checked again, so that it fails closed.
   */
  readonly filter?: "callback" | NativeFilter;
  /** The most candidates that are asked for when results are filtered afterwards. */
  readonly candidates?: number;
  /**
   * "native": the store deletes by `{ ids }`. "mask": it cannot (HNSWLib), so that what is deleted or replaced is hidden
   * for as long as this object lives; rebuild such a store to drop it for good.
   */
  readonly deletes?: "native" | "mask";
  /** How many documents the store holds, where that is known. */
  readonly size?: () => number;
}

const stamp = "tesseraVersion";

/**
 * A LangChain vector store as a store, searched by vector, or by text with the store's own embeddings.
 * @throws TesseraError STORE_FAILED with the cause; CLOSED after `close`; BAD_ARGUMENT without vector and text.
 */
export function fromVectorStore(store: VectorStoreLike, options: VectorStoreOptions): Store {
  return new LangChainStore(store, options);
}

const passageOf = (document: DocumentLike): Passage => {
  const passage = toPassage(document);
  const { [stamp]: _, ...metadata } = passage.metadata;
  return { ...passage, metadata };
};

class LangChainStore implements Store {
  readonly space?: string;
  readonly #store: VectorStoreLike;
  readonly #options: VectorStoreOptions;
  readonly #masks: boolean;
  readonly #current = new Map<string, number>(); // by passage id: the version that may be found; −1 where it is deleted
  readonly #done = new Set<string>(); // the idempotency keys of the changes made, for as long as this object lives
  #writes = 0;
  #closed = false;

  constructor(store: VectorStoreLike, options: VectorStoreOptions) {
    this.#store = store;
    this.#options = options;
    this.#masks = options.deletes === "mask";
    if (options.space !== undefined) this.space = options.space;
  }

  get revision(): string {
    return `${this.#options.revision ?? "langchain:vectorstore"}+${this.#writes}`;
  }

  search(query: StoreQuery, signal?: AbortSignal): Promise<Hit[]> {
    return this.#attempt(() => this.#search(query, signal), signal);
  }

  upsert(passages: readonly Passage[], vectors?: readonly Float32Array[], how?: ChangeOptions): Promise<void> {
    return this.#once(how, async () => {
      if (vectors && vectors.length !== passages.length)
        throw new TesseraError("BAD_ARGUMENT", `${vectors.length} vectors for ${passages.length} passages`);
      if (passages.length === 0) return;
      const ids = passages.map(({ id }) => id);
      const version = ++this.#writes;
      if (!this.#masks) await this.#store.delete({ ids } as never);
      const documents = passages.map((passage) => {
        const document = toDocument(passage);
        if (this.#masks) document.metadata[stamp] = version;
        return document;
      });
      if (vectors)
        await this.#store.addVectors(
          vectors.map((vector) => [...vector]),
          documents,
          { ids },
        );
      else await this.#store.addDocuments(documents, { ids });
      if (this.#masks) for (const id of ids) this.#current.set(id, version);
    });
  }

  delete(ids: readonly string[], how?: ChangeOptions): Promise<void> {
    return this.#once(how, async () => {
      if (ids.length === 0) return;
      this.#writes++;
      if (this.#masks) for (const id of ids) this.#current.set(id, -1);
      else await this.#store.delete({ ids: [...ids] } as never);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #attempt<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#closed) throw new TesseraError("CLOSED", "the vector store is closed");
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (cause) {
      signal?.throwIfAborted();
      throw TesseraError.is(cause) ? cause : new TesseraError("STORE_FAILED", messageOf(cause), { cause });
    }
  }

  async #once(how: ChangeOptions | undefined, change: () => Promise<void>): Promise<void> {
    const key = how?.idempotencyKey;
    await this.#attempt(async () => {
      if (key !== undefined && this.#done.has(key)) return;
      await change();
      if (key !== undefined) this.#done.add(key);
    });
  }

  #isCurrent(id: string, document: DocumentLike): boolean {
    const version = this.#current.get(id);
    return version === undefined || version === (document.metadata?.[stamp] ?? 0);
  }

  async #search(query: StoreQuery, signal: AbortSignal | undefined): Promise<Hit[]> {
    const { vector, text, top, filter, principal } = query;
    const { score, filter: native, candidates = 10_000, size } = this.#options;
    if (vector === undefined && text === undefined)
      throw new TesseraError("BAD_ARGUMENT", "a search needs a vector or a text");
    if (filter) assertFilter(filter);
    const admitted = (document: DocumentLike): boolean => {
      const passage = passageOf(document);
      return this.#isCurrent(passage.id, document) && admits(passage, filter, principal);
    };
    const own = (native === "callback" ? admitted : native?.(query, admitted)) as never;
    const limit = Math.min(candidates, size?.() ?? candidates);
    // twice as many, so that ties at the end are broken by id; more while what is admitted is too little, also where
    // the store filters, because an index that filters while it walks may miss some
    for (let k = Math.min(2 * top, limit); k > 0; k = Math.min(4 * k, limit)) {
      signal?.throwIfAborted();
      const found =
        vector === undefined
          ? await this.#store.similaritySearchWithScore(text!, k, own)
          : await this.#store.similaritySearchVectorWithScore([...vector], k, own);
      const hits = found
        .filter(([document]) => admitted(document))
        .map(([document, value]) => ({
          hit: { passage: passageOf(document), score: 0, provenance: [] },
          score: score === "distance" ? 1 - value : value,
        }));
      if (hits.length >= top || k >= limit || (own === undefined && found.length < k))
        return rank(langchain, hits, top);
    }
    return [];
  }
}
