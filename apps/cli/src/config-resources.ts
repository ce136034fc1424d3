import type { Encoder } from "@tessera/core";
import { LocalFolder } from "@tessera/indexer";
import type { EngineKind } from "@tessera/models";
import { openReranker } from "@tessera/models/internal";
import type { Resources } from "@tessera/tessera";
import { openEncoder, openRerankerOf } from "./endpoints.js";
import { openNamed } from "./engine.js";
import { furtherModels } from "./language-model.js";
import { mcpServers } from "./mcp-servers.js";
import { settingsFor } from "./settings.js";
import type { Terminal } from "./terminal.js";

/** What the config hands over to flows beside what a command opens: stores, encoders, rerankers, folders, further models. */
export async function configResources(terminal: Terminal, engine: EngineKind | undefined): Promise<Resources> {
  const settings = await settingsFor(terminal);
  const { config, prompts, at } = settings;
  const mcp = await mcpServers(terminal);
  const folders = Object.entries(config.folders ?? {}).map(([name, path]) => [name, () => LocalFolder.open(at(path))]);
  return {
    store: config.stores ?? {},
    encoder: named(config.encoders, async (name) => {
      if (typeof name !== "string") return openEncoder(terminal, name, settings);
      const vectors = await openNamed(terminal, { encoder: name, ...(engine && { engine }) });
      return closedBy(vectors.encoderOver(undefined, "text"), () => vectors.close());
    }),
    reranker: named(config.rerankers, async (given) =>
      typeof given === "string" ? openReranker(given) : openRerankerOf(terminal, given, settings),
    ),
    mcp,
    prompt: prompts,
    folder: Object.fromEntries(folders),
    model: await furtherModels(terminal, engine),
  } as Resources;
}

/** The same encoder, whose end is another's. */
const closedBy = (encoder: Encoder, close: () => Promise<void>): Encoder => ({
  revision: encoder.revision,
  ...(encoder.words !== undefined && { words: encoder.words }),
  ...(encoder.closer && { closer: encoder.closer }),
  space: (embedding) => encoder.space(embedding),
  ...(encoder.searches && { searches: (query) => encoder.searches!(query) }),
  encode: (texts, how, signal) => encoder.encode(texts, how, signal),
  close,
});

/** Resources that are opened when a flow asks for one. */
const named = <T>(
  all: Readonly<Record<string, T>> = {},
  open: (given: T) => Promise<unknown>,
): Record<string, unknown> => Object.fromEntries(Object.entries(all).map(([key, given]) => [key, () => open(given)]));

/** Resources of several origins by kind and name; the later ones come first. */
export function joinResources(...all: readonly Resources[]): Resources {
  const joined: Record<string, Resources[string]> = {};
  for (const resources of all)
    for (const [kind, named] of Object.entries(resources)) joined[kind] = { ...joined[kind], ...named };
  return joined;
}
