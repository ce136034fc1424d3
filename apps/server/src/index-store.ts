// internal
import type { Store } from "@tessera/core";
// A circle of types: the indexes are kept in a store of indexes.
import type { ServedIndex } from "./indexes.js";

/**
 * The store of an index as flows get it. It answers searches as the store does. Writes go through the index, so that
 * they are logged like those of its routes. The index computes the vectors and closes the store.
 */
export function storeThroughIndex(store: Store, index: Pick<ServedIndex, "upsert" | "delete">): Store {
  return {
    get revision() {
      return store.revision;
    },
    get space() {
      return store.space;
    },
    search: (query, signal) => store.search(query, signal),
    ...(store.get && { get: (ids, principal) => store.get!(ids, principal) }),
    ...(store.check && { check: (signal) => store.check!(signal) }),
    upsert: (passages, _, how) => index.upsert(passages, how),
    delete: (ids, how) => index.delete(ids, how),
  };
}

const kinds = ["sparse", "dense"];

/** The index that a store belongs to, if it is one of these. */
export function indexOfStore(store: string, indexes: readonly Pick<ServedIndex, "name">[]): string | undefined {
  return indexes.find(({ name }) => kinds.some((kind) => store === `${name}.${kind}`))?.name;
}
