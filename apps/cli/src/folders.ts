import { LocalFolder } from "@tessera/indexer";
import type { Resources } from "@tessera/tessera";
import { UsageError } from "./terminal.js";

/** The folders that a command hands over to flows, of `<name>=<path>` each. @throws UsageError */
export function foldersOf(given: readonly string[] = []): Resources[string] {
  const folders: Record<string, () => Promise<LocalFolder>> = {};
  for (const one of given) {
    const [, name, path] = /^([A-Za-z][A-Za-z0-9_.-]*)=(.+)$/s.exec(one) ?? [];
    if (name === undefined || path === undefined)
      throw new UsageError(`--folder is <name>=<path>, as in docs=./docs, not "${one}"`);
    if (Object.hasOwn(folders, name)) throw new UsageError(`--folder names "${name}" twice`);
    folders[name] = () => LocalFolder.open(path);
  }
  return folders;
}
