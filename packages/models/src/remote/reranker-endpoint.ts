// public: EndpointRerankerOptions, endpointReranker
// internal: RerankerShape
import { type Reranker, TesseraError } from "@tessera/core";
import { z } from "zod";
import { Client, type Endpoint } from "./openai-endpoint.js";

/** Whose form of reranking a service speaks. Our own `/v1/rerank` speaks that of Jina. */
export type RerankerShape = "jina" | "tei" | "cohere" | "voyage";

/** Where a reranker is, and how it is asked. */
export interface EndpointRerankerOptions extends Endpoint {
  /** Whose form the service speaks; "jina" by default. */
  readonly shape?: RerankerShape;
  /** The most texts of one request; what the service's reference allows by default. */
  readonly batch?: number;
}

interface Shape {
  readonly path: string;
  readonly batch: number;
  body(model: string, query: string, texts: readonly string[]): Record<string, unknown>;
  scores(answer: unknown): readonly { readonly index: number; readonly score: number }[];
}

const scored = z
  .array(z.object({ index: z.int(), relevance_score: z.number() }))
  .transform((all) => all.map(({ index, relevance_score: score }) => ({ index, score })));
const results = z.object({ results: scored });
const data = z.object({ data: scored });
const plain = z.array(z.object({ index: z.int(), score: z.number() }));

const shapes: Readonly<Record<RerankerShape, Shape>> = {
  // api.jina.ai/openapi.json
  jina: {
    path: "rerank",
    batch: 1000,
    body: (model, query, documents) => ({ model, query, documents, return_documents: false }),
    scores: (answer) => results.parse(answer).results,
  },
  // huggingface.github.io/text-embeddings-inference: it serves one model; 32 texts are its default limit
  tei: {
    path: "rerank",
    batch: 32,
    body: (_, query, texts) => ({ query, texts, truncate: true }),
    scores: (answer) => plain.parse(answer),
  },
  // docs.cohere.com/reference/rerank; the address ends before /v2
  cohere: {
    path: "v2/rerank",
    batch: 1000,
    body: (model, query, documents) => ({ model, query, documents }),
    scores: (answer) => results.parse(answer).results,
  },
  // docs.voyageai.com/reference/reranker-api
  voyage: {
    path: "rerank",
    batch: 1000,
    body: (model, query, documents) => ({ model, query, documents }),
    scores: (answer) => data.parse(answer).data,
  },
};

/**
 * A reranker behind a service that speaks the form of Jina (our own `/v1/rerank` too), Hugging Face's
 * text-embeddings-inference, Cohere or Voyage. Every text has a score, whatever order the service answers in. Requests
 * are repeated as those of `openAiModel`.
 * @throws TesseraError BAD_ARGUMENT; and from `rank` MODEL_FAILED, CLOSED.
 */
export function endpointReranker(options: EndpointRerankerOptions): Reranker {
  const { model, shape: name = "jina" } = options;
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined;
  if (!shape)
    throw new TesseraError("BAD_ARGUMENT", `"${name}" is not a form of reranking`, {
      path: "shape",
      hint: `one of ${Object.keys(shapes).join(", ")}`,
    });
  const client = new Client(options);
  const batch = options.batch ?? shape.batch;

  async function rankBatch(query: string, texts: readonly string[], signal: AbortSignal | undefined) {
    const read = (answer: unknown): number[] => {
      const scores = new Map(shape!.scores(answer).map(({ index, score }) => [index, score]));
      return texts.map((_, index) => {
        const score = scores.get(index);
        if (score === undefined) throw new TypeError(`text ${index} of ${texts.length} has no score`);
        return score;
      });
    };
    const how = { of: "reranker", form: name, signal };
    return client.postAndRead(shape!.path, shape!.body(model, query, texts), read, how);
  }

  return {
    revision: client.revision,
    check: (signal) => client.check(signal),
    close: () => client.close(),
    async rank(query, texts, signal) {
      signal?.throwIfAborted();
      const scores: number[] = [];
      for (let from = 0; from < texts.length; from += batch)
        scores.push(...(await rankBatch(query, texts.slice(from, from + batch), signal)));
      return scores;
    },
  };
}
