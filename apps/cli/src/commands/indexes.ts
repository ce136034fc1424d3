import { listIndexes, pruneIndexes, sizeOf } from "../index-home.js";
import { type Terminal, UsageError } from "../terminal.js";

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const dayOf = (milliseconds: number): string => new Date(milliseconds).toISOString().slice(0, 10);

/** Lists the indexes of this user. */
export async function indexes(terminal: Terminal): Promise<number> {
  const all = await Promise.all(
    (await listIndexes()).map(async (one) => ({ ...one, bytes: await sizeOf(one.folder) })),
  );
  terminal.result(
    all.map(({ root, encoder, folder, used, bytes }) => ({
      root,
      encoder,
      folder,
      used: new Date(used).toISOString(),
      bytes,
    })),
  );
  terminal.table(
    ["used", "size", "encoder", "folder"],
    all.map(({ used, bytes, encoder, root }) => [dayOf(used), megabytes(bytes), encoder, root]),
  );
  return 0;
}

/** Removes indexes of folders that are no more, and of those that were not used for some days. */
export async function prune(terminal: Terminal, { olderThan }: { readonly olderThan?: string }): Promise<number> {
  const days = olderThan === undefined ? undefined : Number(olderThan);
  if (days !== undefined && !(Number.isFinite(days) && days >= 0))
    throw new UsageError(`--older-than is a number of days, not "${olderThan}"`);
  const removed = await pruneIndexes({ olderThanDays: days });
  terminal.result(removed.map(({ root, encoder, folder }) => ({ root, encoder, folder })));
  for (const { root, encoder } of removed) terminal.say(`removed ${root} (${encoder})`);
  if (removed.length === 0) terminal.say("nothing to remove");
  return 0;
}
