// internal: finding
import type { Indexes, ServedIndex } from "./indexes.js";
import type { Key } from "./keys.js";
import { ownerOf } from "./owners.js";
import { assertMay } from "./rights.js";
import type { Service } from "./server.js";

/** What the routes find an index by: its name, and the key that asks. */
export function finding({ owners }: Service, indexes: Indexes) {
  /** The index of a name, for a key that may change it. @throws TesseraError FORBIDDEN, NOT_FOUND */
  const changing = async (key: Key, name: string): Promise<ServedIndex> => {
    assertMay(key, { to: "see", index: name });
    const index = indexes.get(name);
    assertMay(key, { to: "change", index: name, owner: await ownerOf(owners, "index", name, true) });
    return index;
  };
  const seeing = (key: Key, name: string): ServedIndex => {
    assertMay(key, { to: "see", index: name });
    return indexes.get(name);
  };
  return { changing, seeing };
}
