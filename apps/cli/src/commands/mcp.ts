import { TesseraError } from "@tessera/core";
import { didYouMean, messageOf } from "@tessera/core/internal";
import { colors } from "../colors.js";
import { mcpServers } from "../mcp-servers.js";
import type { Terminal } from "../terminal.js";

/** The first line of a description, as far as a line of the terminal takes it. */
const brief = (description = ""): string => {
  const [line = ""] = description.trim().split("\n");
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
};

const argumentsOf = (input: { readonly [key: string]: unknown }): string => {
  const { properties = {}, required = [] } = input as { properties?: object; required?: readonly string[] };
  return Object.keys(properties)
    .map((name) => (required.includes(name) ? name : `${name}?`))
    .join(", ");
};

/** Lists what the MCP servers of the config offer; 1 where one of them cannot be opened. */
export async function listMcpServers(terminal: Terminal, only: string | undefined): Promise<number> {
  const servers = await mcpServers(terminal);
  const names = Object.keys(servers);
  if (only !== undefined && !Object.hasOwn(servers, only))
    throw new TesseraError("UNKNOWN_RESOURCE", `the config names no MCP server "${only}"`, {
      hint: didYouMean(only, names),
    });
  if (names.length === 0) terminal.say("The config names no MCP server; docs/mcp.md says how.");
  const listed: object[] = [];
  let failed = 0;
  for (const name of only === undefined ? names : [only])
    try {
      const server = await servers[name]!();
      try {
        const [tools, resources] = [await server.tools(), await server.resources()];
        listed.push({ name, tools, resources });
        terminal.say(colors.bold(name));
        for (const { name: tool, description, input, reads } of tools)
          terminal.say(
            `  ${tool}(${argumentsOf(input)})  ${reads ? "reads" : colors.yellow("may write")}  ${colors.dim(brief(description))}`,
          );
        for (const { name: resource, values, description } of resources)
          terminal.say(
            `  resource "${resource}"${values.map((one) => ` {${one}}`).join("")}  ${colors.dim(brief(description))}`,
          );
      } finally {
        await server.close?.();
      }
    } catch (error) {
      failed++;
      listed.push({ name, error: TesseraError.is(error) ? error.toJSON() : messageOf(error) });
      terminal.say(`${colors.bold(name)}  ${colors.red("✗")} ${messageOf(error)}`);
    }
  terminal.result(listed);
  return failed > 0 ? 1 : 0;
}
