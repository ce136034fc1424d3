// public: hybrid
import { type Filter, filter, type Hit, hits, operator, rank, type Store, text } from "@tessera/core";
import { mergeHits } from "@tessera/core/internal";
import { z } from "zod";
import { both } from "./filters.js";
import { openDense } from "./spaces.js";

type Scores = ReadonlyMap<string, number>;
const scoresOf = (list: readonly Hit[], score: (hit: Hit, index: number) => number): Scores =>
  new Map(list.map((hit, index) => [hit.passage.id, score(hit, index)]));

/** (s − least) / (most − least). */
const scaled = (list: readonly Hit[], least: number, alone: number): Scores => {
  const most = Math.max(...list.map(({ score }) => score));
  return scoresOf(list, ({ score }) => (most === least ? alone : (score - least) / (most - least)));
};

const fusions = {
  /** 1 / (k + rank), ranks from 1 (Cormack et al. 2009). */
  rrf: (list: readonly Hit[], { k }: { k: number }): Scores => scoresOf(list, (_, index) => 1 / (k + index + 1)),
  /** From the least that a score can be (TM2C2: Bruch, Gai and Ingber 2023). */
  weighted: (list: readonly Hit[], { floor }: { floor: number }): Scores => scaled(list, floor, 0),
  /** From the least score of the list (CombSUM of Fox and Shaw 1994, with the normalisation of Lee 1997). */
  "min-max": (list: readonly Hit[]): Scores => scaled(list, Math.min(...list.map(({ score }) => score)), 1),
};

/**
 * Searches both ways and fuses: score(d) = w · sparse(d) + (1 − w) · dense(d), where a list without d adds 0. With
 * `min-max` the scores of each list count from its least to its best; with `weighted` those of BM25 from 0 and the cosine
 * from −1; with `rrf` both are reciprocal ranks. `depth` passages of each list are fused. With `screen`, the dense search
 * ranks only the passages that the sparse one found first, that many of them. A hit keeps the ranks and scores of both.
 * @throws TesseraError SPACE_MISMATCH at set-up, where the store's space may not be searched with such queries.
 */
export const hybrid = operator({
  name: "retriever.hybrid",
  version: 2,
  about: {
    module: "retrieval",
    submodule: "retriever selection",
    paper: "Modular RAG, operator 17; Bruch, Gai and Ingber 2023",
    summary: "Retrieves passages by words and by vector, and fuses both.",
  },
  config: z.strictObject({
    sparse: z.string(),
    dense: z.string(),
    encoder: z.string(),
    exit: z.int().nonnegative().optional(),
    width: z.int().positive().optional(),
    top: z.int().positive().default(10),
    depth: z.int().positive().default(50),
    fusion: z.enum(["rrf", "weighted", "min-max"]).default("min-max"),
    k: z.number().nonnegative().default(60),
    weight: z.number().min(0).max(1).default(0.5),
    screen: z.int().positive().optional(),
    filter: filter.optional(),
  }),
  ports: { input: { query: text, filter: filter.optional() }, output: { hits } },
  setup: async (
    { sparse, dense, encoder, exit, width, top, depth, fusion, k, weight, screen, filter: fixed },
    host,
  ) => {
    const words = await host.resource<Store>("store", sparse);
    const vectors = await openDense({ store: dense, encoder, exit, width }, host);

    return async ({ query, filter: asked }, { signal, principal }) => {
      const admitted = both(fixed, asked);
      const encoding = vectors.encode(query, signal);
      const near = async (filter: Filter | undefined) =>
        vectors.store.search({ vector: await encoding, top: depth, filter, principal }, signal);
      const among = (screened: readonly Hit[]): Filter => ({
        field: "id",
        in: screened.map(({ passage }) => passage.id),
      });

      const searching = words.search(
        { text: query, top: Math.max(depth, screen ?? 0), filter: admitted, principal },
        signal,
      );
      const [found, nearest] = await Promise.all([
        searching,
        screen === undefined
          ? near(admitted)
          : searching.then((found) => near(both(admitted, among(found.slice(0, screen))))),
        encoding,
      ]);
      const lists = [found.slice(0, depth), nearest] as const;
      const [left, right] = lists.map((list, index) => fusions[fusion](list, { k, floor: index === 0 ? 0 : -1 })) as [
        Scores,
        Scores,
      ];
      const scored = mergeHits(lists).map((hit) => {
        const { id } = hit.passage;
        return { hit, score: weight * (left.get(id) ?? 0) + (1 - weight) * (right.get(id) ?? 0) };
      });
      return { hits: rank("retriever.hybrid", scored, top) };
    };
  },
});
