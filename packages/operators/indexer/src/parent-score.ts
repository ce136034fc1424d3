// public: parentScore
import { type Hit, hits, operator, type Passage, rank } from "@tessera/core";
import { z } from "zod";

/** The share that each score is of the best one, by passage; 0 where none is above 0. */
function sharesOf(list: readonly Hit[]): Map<string, number> {
  const most = Math.max(0, ...list.map(({ score }) => score));
  return new Map(list.map(({ passage, score }) => [passage.id, most === 0 ? 0 : score / most]));
}

/** Whether a larger passage holds a smaller one: it is its parent, or a stretch of the same document around it. */
function holds(large: Passage, small: Passage): boolean {
  if (large.id === small.parent) return true;
  const [outer, inner] = [large.metadata.span, small.metadata.span] as ([number, number] | undefined)[];
  return (
    outer !== undefined &&
    inner !== undefined &&
    large.source?.path === small.source?.path &&
    outer[0] <= inner[0] &&
    inner[1] <= outer[1]
  );
}

/**
 * Scores small passages with the evidence of the larger ones that hold them: score(c) = w · s(c) / max s +
 * (1 − w) · mean of s(p) / max s over the p that were found and hold c, 0 where none was. A short passage is found by few
 * words; what surrounds it says whether it speaks of the question at all. Children and parents are of one cutting, or both
 * are stretches (`metadata.span`) of the same documents. Put `indexer.expand` behind it.
 */
export const parentScore = operator({
  name: "indexer.parent-score",
  version: 1,
  about: {
    module: "post-retrieval",
    submodule: "small-to-big expansion",
    paper: "Modular RAG, operator 3",
    summary: "Scores the children that were found together with their parents.",
  },
  config: z.strictObject({
    /** The share of the child's own score (w). */
    weight: z.number().min(0).max(1).default(0.2),
    top: z.int().positive().optional(),
  }),
  ports: { input: { children: hits, parents: hits }, output: { hits } },
  effects: "none",
  setup:
    ({ weight, top }) =>
    ({ children, parents }) => {
      const [own, above] = [sharesOf(children), sharesOf(parents)];
      const scored = children.map((hit) => {
        const around = parents.flatMap(({ passage }) => (holds(passage, hit.passage) ? above.get(passage.id)! : []));
        const evidence = around.reduce((sum, share) => sum + share, 0) / (around.length || 1);
        return { hit, score: weight * own.get(hit.passage.id)! + (1 - weight) * evidence };
      });
      return { hits: rank("indexer.parent-score", scored, top) };
    },
});
