// public: hitsUnion
import { type Hit, hits, operator } from "@tessera/core";
import { mergeHits } from "@tessera/core/internal";
import { z } from "zod";

/** The members of the lists by place: every first one, then every second one, and so on. */
function interleave(lists: readonly (readonly Hit[])[]): Hit[] {
  const longest = Math.max(0, ...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, place) => lists.flatMap((list) => list.slice(place, place + 1))).flat();
}

/** A list whose hits say by what name, at which rank and with which score they stood in it. */
const named = (list: readonly Hit[], operator: string | undefined): readonly Hit[] =>
  operator === undefined
    ? list
    : list.map((hit, place) => ({
        ...hit,
        provenance: [...hit.provenance, { operator, rank: place + 1, score: hit.score }],
      }));

/**
 * The union of lists of hits: each passage once, with its best score and the provenance of every list.
 * "declared" keeps the order of the lists (scores of different retrievers cannot be compared), "interleaved" takes turns,
 * "score" sorts by falling score, ties by passage id. With `sources`, names of the lists in their order, the provenance
 * of a hit names each list that holds it.
 */
export const hitsUnion = operator({
  name: "hits.union",
  version: 1,
  about: { module: "data", submodule: "hits", summary: "Unites lists of hits, each passage once." },
  config: z.strictObject({
    order: z.enum(["declared", "interleaved", "score"]).default("declared"),
    top: z.int().positive().optional(),
    /** Names of the lists, in their order; lists beyond have none. */
    sources: z.array(z.string().min(1)).default([]),
  }),
  ports: { input: { lists: z.array(hits) }, output: { hits } },
  effects: "none",
  setup:
    ({ order, top, sources }) =>
    ({ lists: given }) => {
      const lists = given.map((list, index) => named(list, sources[index]));
      const united = mergeHits(order === "interleaved" ? [interleave(lists)] : lists);
      if (order === "score") united.sort((a, b) => b.score - a.score || (a.passage.id < b.passage.id ? -1 : 1));
      return { hits: united.slice(0, top) };
    },
});
