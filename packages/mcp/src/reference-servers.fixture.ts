import { createRequire } from "node:module";
import type { McpSettings } from "./client.js";

const require = createRequire(import.meta.url);

/** The program of a reference server, whose package exports nothing. */
const programOf = (name: string): string =>
  require.resolve
    .paths(name)!
    .map((folder) => `${folder}/@modelcontextprotocol/${name}/dist/index.js`)
    .find(exists)!;

function exists(path: string): boolean {
  try {
    require.resolve(path);
    return true;
  } catch {
    return false;
  }
}

/** How one of the reference servers of the protocol's authors is started. */
export const referenceServer = (
  name: "server-everything" | "server-filesystem" | "server-memory",
  args: readonly string[] = [],
): McpSettings => ({ command: process.execPath, args: [programOf(name), ...args] });
