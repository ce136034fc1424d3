import type { Encoder } from "@tessera/core";
import { estimateTokens } from "@tessera/core/internal";
import { z } from "zod";

/** Scores documents for a query: the higher the better. */
export interface Reranker {
  rank(query: string, documents: readonly string[], signal?: AbortSignal): Promise<readonly number[]>;
  /** The reranker as one caller sees it. */
  as?(caller: string): Reranker;
}

/** Cosines of an encoder's vectors, of the given exit and width. */
export function encoderReranker(
  encoder: Encoder & { as?(caller: string): Encoder },
  how: { readonly kind?: "code" | "text"; readonly exit?: number; readonly width?: number } = {},
): Reranker {
  const { kind = "text", ...embedding } = how;
  const over = (one: Encoder): Reranker => ({
    async rank(query, documents, signal) {
      const [[asked], vectors] = await Promise.all([
        one.encode([query], { kind: "query", ...embedding }, signal),
        one.encode(documents, { kind, ...embedding }, signal),
      ]);
      return vectors.map((vector) => vector.reduce((sum, component, i) => sum + component * asked![i]!, 0));
    },
  });
  return { ...over(encoder), as: (caller) => over(encoder.as?.(caller) ?? encoder) };
}

const document = z.union([z.string(), z.looseObject({ text: z.string() }).transform(({ text }) => text)], {
  error: 'a text, or { "text": … }',
});

export const rerankBody = (most: number) =>
  z.looseObject({
    model: z.string().min(1),
    query: z.string().min(1),
    documents: z
      .array(document)
      .min(1)
      .max(most, { error: `at most ${most} documents a request` }),
    top_n: z.int().positive().nullish(),
    return_documents: z.boolean().nullish(),
  });
export type RerankBody = z.output<ReturnType<typeof rerankBody>>;

/** The answer in the shape of Jina's reranker, which Cohere's clients read as well. */
export async function rerank(reranker: Reranker, body: RerankBody, signal: AbortSignal): Promise<object> {
  const { model, query, documents, top_n: top, return_documents: whole } = body;
  const scores = await reranker.rank(query, documents, signal);
  const results = documents
    .map((text, index) => ({ index, relevance_score: scores[index]!, ...(whole && { document: { text } }) }))
    .sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index)
    .slice(0, top ?? documents.length);
  const tokens = [query, ...documents].reduce((sum, text) => sum + estimateTokens(text), 0);
  return { model, object: "list", results, usage: { prompt_tokens: tokens, total_tokens: tokens } };
}
