import { z } from "zod";

export type Json = z.infer<ReturnType<typeof z.json>>;

/** A piece of a document: the unit that is indexed, retrieved and cited. */
export const passage = z.object({
  id: z.string(),
  text: z.string(),
  title: z.string().optional(),
  /** Where it stands; lines count from 1 and include both ends. */
  source: z
    .object({
      path: z.string(),
      lines: z.tuple([z.number(), z.number()]).optional(),
      symbol: z.string().optional(),
    })
    .optional(),
  /** The id of the passage that this one is a part of. */
  parent: z.string().optional(),
  metadata: z.record(z.string(), z.json()),
});
export type Passage = z.infer<typeof passage>;
export const passages = z.array(passage);

/** A passage with its score, and the scores it had on the way. */
export const hit = z.object({
  passage,
  /** Larger is better; the scale is the operator's. */
  score: z.number(),
  /** One entry for each operator that ranked it; ranks count from 1. */
  provenance: z.array(z.object({ operator: z.string(), rank: z.number(), score: z.number() })),
});
export type Hit = z.infer<typeof hit>;
export const hits = z.array(hit);

/** Ranks hits by falling score (ties: by passage id, so that results never depend on timing) and notes who ranked them. */
export function rank(operator: string, scored: readonly { hit: Hit; score: number }[], top = scored.length): Hit[] {
  return [...scored]
    .sort((a, b) => b.score - a.score || (a.hit.passage.id < b.hit.passage.id ? -1 : 1))
    .slice(0, top)
    .map(({ hit, score }, index) => ({
      passage: hit.passage,
      score,
      provenance: [...hit.provenance, { operator, rank: index + 1, score }],
    }));
}

/** The hits of several lists, each passage once, in the order of first sight: with its best score and everybody's provenance. */
export function unite(lists: readonly (readonly Hit[])[]): Hit[] {
  const seen = new Map<string, Hit>();
  for (const hit of lists.flat()) {
    const known = seen.get(hit.passage.id);
    if (!known) {
      seen.set(hit.passage.id, hit);
      continue;
    }
    const marks = new Set(known.provenance.map((mark) => JSON.stringify(mark)));
    const added = hit.provenance.filter((mark) => !marks.has(JSON.stringify(mark)));
    const score = Math.max(known.score, hit.score);
    seen.set(hit.passage.id, { ...known, score, provenance: [...known.provenance, ...added] });
  }
  return [...seen.values()];
}

export const citation = z.object({
  /** The number that stands in the answer's text, as in [2]. */
  marker: z.number(),
  /** The id of the cited passage. */
  passage: z.string(),
  path: z.string().optional(),
  lines: z.tuple([z.number(), z.number()]).optional(),
  symbol: z.string().optional(),
});
export type Citation = z.infer<typeof citation>;

/** A text with citations, each of which points to a passage of the context it was made from. */
export const answer = z.object({
  text: z.string(),
  citations: z.array(citation),
  /** True where the context does not hold the answer. */
  refused: z.boolean(),
});
export type Answer = z.infer<typeof answer>;

/** The citation of a passage under a marker. */
export function cite(marker: number, { id, source }: Passage): Citation {
  return {
    marker,
    passage: id,
    ...(source && { path: source.path }),
    ...(source?.lines && { lines: source.lines }),
    ...(source?.symbol !== undefined && { symbol: source.symbol }),
  };
}
