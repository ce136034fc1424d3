import { expect } from "@jest/globals";
import type { Store, StoreQuery } from "@tessera/core";

/** The share of the nearest passages that a store finds, beside one that compares every vector. */
export async function agreement(
  store: Pick<Store, "search">,
  exact: Pick<Store, "search">,
  queries: Iterable<StoreQuery>,
): Promise<number> {
  let [found, wanted] = [0, 0];
  for (const query of queries) {
    const expected = new Set((await exact.search(query)).map(({ passage }) => passage.id));
    const hits = await store.search(query);
    expect(hits).toHaveLength(expected.size);
    found += hits.filter(({ passage }) => expected.has(passage.id)).length;
    wanted += expected.size;
  }
  return found / wanted;
}
