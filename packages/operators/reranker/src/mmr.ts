// public: mmr
import { type Encoder, type Hit, hits, number, operator, type Ports, rank, text } from "@tessera/core";
import { dot, type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { scaled } from "./scaled.js";

const unit = (vector: readonly number[]): Float64Array => {
  const norm = Math.hypot(...vector) || 1;
  return Float64Array.from(vector, (component) => component / norm);
};

/** Picks one after another what is relevant and unlike what was picked; O(n · top) similarities. */
function select(
  found: readonly Hit[],
  relevance: readonly number[],
  vectors: readonly ArrayLike<number>[],
  lambda: number,
  top: number,
) {
  const rest = new Set(found.keys());
  const likeness = new Float64Array(found.length); // to the nearest one picked; a negative similarity counts as none
  const picked: { hit: Hit; score: number }[] = [];
  while (picked.length < top && rest.size > 0) {
    const worth = (index: number) => lambda * relevance[index]! - (1 - lambda) * likeness[index]!;
    const ahead = (a: number, b: number) =>
      worth(a) - worth(b) || (found[a]!.passage.id < found[b]!.passage.id ? 1 : -1);
    const next = [...rest].reduce((best, index) => (ahead(index, best) > 0 ? index : best));
    picked.push({ hit: found[next]!, score: worth(next) });
    rest.delete(next);
    for (const index of rest) likeness[index] = Math.max(likeness[index]!, dot(vectors[index]!, vectors[next]!));
  }
  return picked;
}

const specification = operator({
  name: "reranker.mmr",
  version: 1,
  about: {
    module: "post-retrieval",
    submodule: "rerank",
    paper: "Modular RAG, operator 21 and erratum E11; Carbonell and Goldstein 1998",
    summary: "Reranks by maximal marginal relevance.",
  },
  config: z.strictObject({
    lambda: z.number().min(0).max(1).default(0.5),
    /** The name of an "encoder" resource; without it the vectors come from a port. */
    encoder: z.string().min(1).optional(),
    kind: z.enum(["text", "code"]).default("text"),
    /** How many to pick; by default all, so that the output is a permutation. */
    top: z.int().positive().optional(),
  }),
  ports: ({ encoder }) => ({
    input: (encoder === undefined ? { hits, vectors: z.array(z.array(number)) } : { hits, query: text }) as Ports,
    output: { hits },
  }),
  setup: async ({ lambda, encoder: name, kind, top }, host) => {
    const encoder = name === undefined ? undefined : await host.resource<Encoder>("encoder", name);
    return async (input, { signal }) => {
      const { hits: found, query, vectors: given } = input as { hits: Hit[]; query: string; vectors: number[][] };
      let relevance = scaled(found.map(({ score }) => score));
      let vectors: ArrayLike<number>[] = [];
      if (encoder && found.length > 0) {
        const [asked] = await encoder.encode([query], { kind: "query" }, signal);
        vectors = await encoder.encode(
          found.map(({ passage }) => passage.text),
          { kind },
          signal,
        );
        relevance = vectors.map((vector) => dot(vector, asked!));
      } else if (!encoder) {
        vectors = found.map((_, index) => unit(given[index] ?? []));
      }
      return { hits: rank("reranker.mmr", select(found, relevance, vectors, lambda, top ?? found.length)) };
    };
  },
});

type Input<E> = E extends string ? { hits: Hit[]; query: string } : { hits: Hit[]; vectors: number[][] };

/**
 * Maximal marginal relevance: argmax over d not in S of λ·sim(q, d) − (1 − λ)·max over s in S of sim(d, s), again and
 * again (the paper calls it MRR: erratum E11), where a negative similarity to what was picked counts as none. With an
 * encoder, similarities are cosines of its vectors; without one, `vectors` has one row a hit, and a hit's relevance is its
 * score scaled to [0, 1]. The output keeps every hit (equation 12) unless `top` is set, and its scores, the marginal
 * relevances, never rise.
 */
export const mmr =
  typed<
    <const E extends string | undefined = undefined>(config?: {
      lambda?: number;
      encoder?: E;
      kind?: "text" | "code";
      top?: number;
    }) => Piece<Input<E>, { hits: Hit[] }>
  >(specification);
