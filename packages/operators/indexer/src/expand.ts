// public: expand
import { type Hit, hits, operator, type Passage, type Store } from "@tessera/core";
import { z } from "zod";
import { joined } from "./join.js";
import { type Part, partId } from "./small-to-big.js";

const name = "indexer.expand";

/** A numbered child, and how many neighbours come with it on each side. */
interface Numbered {
  readonly part: Part;
  readonly number: number;
  readonly around: number;
}

/** A hit on its way: the larger passage, or the numbered children that will be one. */
interface Expanded {
  readonly hit: Hit;
  readonly passage: Passage;
  readonly children?: Map<number, Passage>;
}

/** The ids of what a child may become: its parent, or the children around it. */
const idsAround = (parent: string, numbered: Numbered | undefined): string[] =>
  numbered
    ? Array.from({ length: 2 * numbered.around + 1 }, (_, i) =>
        partId(parent, numbered.part, numbered.number - numbered.around + i),
      )
    : [parent];

/**
 * Swaps small hits for what they are a part of: a sentence for itself with `sentences` neighbours on each side, clipped
 * at the ends of its passage; a window for itself with `windows` neighbours where that is set, and else for its parent.
 * Of several hits that lead to one passage, or to children that overlap, the best stands for all with its score and
 * place. What has nothing larger, or nothing that the store shows to who asks, stays as it is.
 */
export const expand = operator({
  name,
  version: 2,
  about: {
    module: "post-retrieval",
    submodule: "small-to-big expansion",
    paper: "Modular RAG, operator 3",
    summary: "Swaps the children that were found for their parents, or for what stands around them.",
  },
  config: z.strictObject({
    store: z.string(),
    sentences: z.int().min(0).default(1),
    windows: z.int().min(0).optional(),
  }),
  ports: { input: { hits }, output: { hits } },
  async setup({ store: resource, ...around }, host) {
    const store = await host.resource<Store>("store", resource);
    const numberedOf = ({ parent, metadata: { sentence, window } }: Passage): Numbered | undefined => {
      if (parent === undefined) return undefined;
      if (typeof sentence === "number") return { part: "sentence", number: sentence, around: around.sentences };
      return typeof window === "number" && around.windows !== undefined
        ? { part: "window", number: window, around: around.windows }
        : undefined;
    };
    return async ({ hits: found }, { signal, principal }) => {
      signal.throwIfAborted();
      const ids = new Set(
        found.flatMap(({ passage }) =>
          passage.parent === undefined ? [] : idsAround(passage.parent, numberedOf(passage)),
        ),
      );
      const shown = (await store.get?.([...ids], principal)) ?? [];
      const known = new Map(shown.flatMap((passage) => (passage ? [[passage.id, passage] as const] : [])));
      const results: Expanded[] = [];
      for (const hit of found) {
        const { parent = "" } = hit.passage;
        const numbered = numberedOf(hit.passage);
        if (!numbered) {
          const passage = known.get(parent) ?? hit.passage;
          if (!results.some((result) => result.passage.id === passage.id)) results.push({ hit, passage });
          continue;
        }
        const { part, number: at, around } = numbered;
        const children = new Map([[at, hit.passage]]);
        for (const step of [-1, 1])
          for (let number = at + step; Math.abs(number - at) <= around; number += step) {
            const next = known.get(partId(parent, part, number));
            if (!next) break;
            children.set(number, next);
          }
        const overlapping = results.filter(
          (result) => result.passage.parent === parent && [...children.keys()].some((key) => result.children?.has(key)),
        );
        const best = overlapping[0] ?? { hit, passage: hit.passage, children: new Map() };
        if (overlapping.length === 0) results.push(best);
        for (const other of overlapping.slice(1)) results.splice(results.indexOf(other), 1);
        for (const [key, value] of [...overlapping.flatMap((other) => [...other.children!]), ...children])
          best.children!.set(key, value);
      }
      return {
        hits: results.map(({ hit: { score, provenance }, passage, children }, index) => ({
          passage: children ? joined(children) : passage,
          score,
          provenance: [...provenance, { operator: name, rank: index + 1, score }],
        })),
      };
    };
  },
});
