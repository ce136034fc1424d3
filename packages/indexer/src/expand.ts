import { type Hit, hits, operator, type Passage, type Store } from "@tessera/core";
import { z } from "zod";
import { sentenceId } from "./small-to-big.js";

const name = "indexer.expand";

/** A hit on its way: the larger passage, or the numbered sentences that will be one. */
interface Expanded {
  readonly hit: Hit;
  readonly passage: Passage;
  readonly sentences?: Map<number, Passage>;
}

const sentenceOf = ({ metadata }: Passage): number | undefined =>
  typeof metadata.sentence === "number" ? metadata.sentence : undefined;

/** The ids of what a passage may become: its parent, or the sentences around it. */
function idsAround(passage: Passage, around: number): string[] {
  if (passage.parent === undefined) return [];
  const at = sentenceOf(passage);
  if (at === undefined) return [passage.parent];
  return Array.from({ length: 2 * around + 1 }, (_, i) => sentenceId(passage.parent!, at - around + i));
}

/** Consecutive sentences of one passage as one passage, from the first line of the first to the last of the last. */
function joined(sentences: ReadonlyMap<number, Passage>): Passage {
  const numbers = [...sentences.keys()].sort((a, b) => a - b);
  const [first, last] = [sentences.get(numbers[0]!)!, sentences.get(numbers.at(-1)!)!];
  const { sentence: _, ...metadata } = first.metadata;
  return {
    ...first,
    id: numbers.length === 1 ? first.id : `${first.id}-${numbers.at(-1)}`,
    text: numbers.map((number) => sentences.get(number)!.text).join(""),
    ...(first.source?.lines &&
      last.source?.lines && { source: { ...first.source, lines: [first.source.lines[0], last.source.lines[1]] } }),
    metadata: { ...metadata, sentences: [numbers[0]!, numbers.at(-1)!] },
  };
}

/**
 * Swaps small hits for what they are a part of: a sentence for itself with `sentences` neighbours on each side, clipped
 * at the ends of its passage; another child for its parent. Of several hits that lead to one passage, or to windows
 * that overlap, the best stands for all with its score and place. What has nothing larger, or nothing that the store
 * shows to who asks, stays as it is.
 */
export const expand = operator({
  name,
  version: 1,
  about: {
    module: "post-retrieval",
    submodule: "small-to-big expansion",
    paper: "Modular RAG, operator 3",
    summary: "Swaps the children that were found for their parents, or for the sentences around them.",
  },
  config: z.strictObject({ store: z.string(), sentences: z.int().min(0).default(1) }),
  ports: { input: { hits }, output: { hits } },
  async setup({ store: resource, sentences: around }, host) {
    const store = await host.resource<Store>("store", resource);
    return async ({ hits: found }, { signal, principal }) => {
      signal.throwIfAborted();
      const ids = [...new Set(found.flatMap(({ passage }) => idsAround(passage, around)))];
      const shown = (await store.get?.(ids, principal)) ?? [];
      const known = new Map(shown.flatMap((passage) => (passage ? [[passage.id, passage] as const] : [])));
      const results: Expanded[] = [];
      for (const hit of found) {
        const at = sentenceOf(hit.passage);
        const { parent = "" } = hit.passage;
        if (at === undefined || parent === "") {
          const passage = known.get(parent) ?? hit.passage;
          if (!results.some((result) => result.passage.id === passage.id)) results.push({ hit, passage });
          continue;
        }
        const sentences = new Map([[at, hit.passage]]);
        for (const step of [-1, 1])
          for (let number = at + step; Math.abs(number - at) <= around; number += step) {
            const next = known.get(sentenceId(parent, number));
            if (!next) break;
            sentences.set(number, next);
          }
        const overlapping = results.filter(
          (result) =>
            result.passage.parent === parent && [...sentences.keys()].some((key) => result.sentences?.has(key)),
        );
        const best = overlapping[0] ?? { hit, passage: hit.passage, sentences: new Map() };
        if (overlapping.length === 0) results.push(best);
        for (const other of overlapping.slice(1)) results.splice(results.indexOf(other), 1);
        for (const [key, value] of [...overlapping.flatMap((other) => [...other.sentences!]), ...sentences])
          best.sentences!.set(key, value);
      }
      return {
        hits: results.map(({ hit: { score, provenance }, passage, sentences }, index) => ({
          passage: sentences ? joined(sentences) : passage,
          score,
          provenance: [...provenance, { operator: name, rank: index + 1, score }],
        })),
      };
    };
  },
});
