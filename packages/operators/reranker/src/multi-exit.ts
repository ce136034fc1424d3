// public: multiExit
import { type Encoder, hits, operator, rank, text } from "@tessera/core";
import { dot } from "@tessera/core/internal";
import { z } from "zod";

/**
 * Orders candidates anew by the vectors of a deeper exit of a multi-exit encoder: score(d) = q · d with both encoded at
 * `exit` (ModularStarEncoder; MoSE, AAAI 2026), so that a shallow, cheap search is followed by a careful look at few.
 * Without `exit` queries and passages leave by the encoder's default exits. The first `depth` hits are encoded, one batch
 * in all; those behind them follow in their own order, with scores below. Every hit is kept (equation 12).
 */
export const multiExit = operator({
  name: "reranker.multi-exit",
  version: 1,
  about: {
    module: "post-retrieval",
    submodule: "rerank",
    paper: "Modular RAG, operator 22, equation 12; ModularStarEncoder (arXiv 2503.03008)",
    summary: "Reranks by the vectors of a deeper exit of the encoder.",
  },
  config: z.strictObject({
    encoder: z.string().min(1),
    kind: z.enum(["text", "code"]).default("code"),
    exit: z.int().nonnegative().optional(),
    width: z.int().positive().optional(),
    depth: z.int().positive().default(50),
  }),
  ports: { input: { query: text, hits }, output: { hits } },
  bound: ({ exit = 0, depth }) => ({ calls: 0, tokens: 0, layers: exit * (depth + 1) }),
  setup: async ({ encoder: name, kind, exit, width, depth }, host) => {
    const encoder = await host.resource<Encoder>("encoder", name);
    const embedding = { ...(exit !== undefined && { exit }), ...(width !== undefined && { width }) };
    encoder.space(embedding);
    return async ({ query, hits: found }, { signal, spend }) => {
      const near = found.slice(0, depth);
      if (near.length === 0) return { hits: [] };
      const texts = near.map(({ passage }) => passage.text);
      const [asked, vectors] = await Promise.all([
        encoder.encode([query], { ...embedding, kind: "query" }, signal),
        encoder.encode(texts, { ...embedding, kind }, signal),
      ]);
      spend({ layers: (exit ?? 0) * (near.length + 1) });
      const scored = near.map((hit, index) => ({ hit, score: dot(asked[0]!, vectors[index]!) }));
      // a cosine is at least −1; what was not looked at comes after it, in its order
      const behind = found.slice(depth).map((hit, index) => ({ hit, score: -2 - index }));
      return { hits: rank("reranker.multi-exit", [...scored, ...behind]) };
    };
  },
});
