import { TesseraError } from "@tessera/core";
import { type McpServer, type McpSettings, openMcpServer } from "@tessera/mcp";
import { isOfThisMachine } from "@tessera/models/internal";
import { type Settings, settingsFor } from "./settings.js";
import type { Terminal } from "./terminal.js";

type Given = NonNullable<Settings["config"]["mcp"]>[string];

const isSettings = (given: Given): given is McpSettings =>
  typeof given === "object" && ("command" in given || "url" in given);

/** Puts variables of the environment in the place of `${NAME}`. @throws TesseraError BAD_SETTINGS where there is none */
function filled(text: string, path: string, environment: Settings["environment"]): string {
  return text.replace(/\$\{([A-Za-z_]\w*)\}/g, (_, name: string) => {
    const value = environment[name];
    if (value !== undefined) return value;
    throw new TesseraError("BAD_SETTINGS", `"${path}" names the variable ${name}, which is not set`, {
      path,
      hint: `set it in the environment, or in .env beside the config`,
    });
  });
}

/** The settings of a server with its variables, and its folder from that of the config. */
function resolved(name: string, given: McpSettings, { environment, at }: Settings): McpSettings {
  const fill = (text: string, field: string): string => filled(text, `mcp.${name}.${field}`, environment);
  const all = (texts: Readonly<Record<string, string>> | undefined, field: string) =>
    Object.fromEntries(Object.entries(texts ?? {}).map(([key, text]) => [key, fill(text, `${field}.${key}`)]));
  return {
    ...given,
    ...(given.command !== undefined && { folder: at(given.folder ?? ".") }),
    ...(given.url !== undefined && { url: fill(given.url, "url") }),
    args: given.args?.map((text, index) => fill(text, `args.${index}`)),
    environment: all(given.environment, "environment"),
    headers: all(given.headers, "headers"),
  };
}

/** The MCP servers of the config, which are opened when a flow asks for one; it is said where texts go. */
export async function mcpServers(terminal: Terminal): Promise<Readonly<Record<string, () => Promise<McpServer>>>> {
  const settings = await settingsFor(terminal);
  const open = async (name: string, given: Given): Promise<McpServer> => {
    if (typeof given === "function") return given();
    if (!isSettings(given)) return given;
    const own = resolved(name, given, settings);
    if (own.url !== undefined && !isOfThisMachine(own.url))
      terminal.note(`what flows ask the MCP server "${name}" goes to ${URL.parse(own.url)?.origin ?? own.url}`);
    return openMcpServer(own);
  };
  const entries = Object.entries(settings.config.mcp ?? {}).map(([name, given]) => [name, () => open(name, given)]);
  return Object.fromEntries(entries);
}
