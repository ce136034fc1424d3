import { LocalFolder } from "@tessera/indexer";
import type { EngineKind } from "@tessera/models";
import type { Resources } from "@tessera/tessera";
import { furtherModels } from "./language-model.js";
import { mcpServers } from "./mcp-servers.js";
import { settingsFor } from "./settings.js";
import type { Terminal } from "./terminal.js";

/** What the config hands over to flows beside what a command opens: stores, encoders, rerankers, folders, further models. */
export async function configResources(terminal: Terminal, engine: EngineKind | undefined): Promise<Resources> {
  const { config, at } = await settingsFor(terminal);
  const mcp = await mcpServers(terminal);
  const folders = Object.entries(config.folders ?? {}).map(([name, path]) => [name, () => LocalFolder.open(at(path))]);
  return {
    store: config.stores ?? {},
    encoder: config.encoders ?? {},
    reranker: config.rerankers ?? {},
    mcp,
    folder: Object.fromEntries(folders),
    model: await furtherModels(terminal, engine),
  } as Resources;
}

/** Resources of several origins by kind and name; the later ones come first. */
export function joinResources(...all: readonly Resources[]): Resources {
  const joined: Record<string, Resources[string]> = {};
  for (const resources of all)
    for (const [kind, named] of Object.entries(resources)) joined[kind] = { ...joined[kind], ...named };
  return joined;
}
