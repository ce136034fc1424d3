// public: McpServer, McpTool, McpResource, McpResult, McpContent, McpProgress, McpCallOptions
import { type Json, type Resource, TesseraError } from "@tessera/core";
import { didYouMean } from "@tessera/core/internal";
import type { SearchSettings } from "./search-settings.js";

/** A tool of an MCP server. */
export interface McpTool {
  readonly name: string;
  readonly description?: string | undefined;
  /** The JSON Schema of its arguments. */
  readonly input: { readonly [key: string]: unknown };
  /** Whether the server says that the tool changes nothing. */
  readonly reads: boolean;
}

/** A resource of an MCP server, or a template of resources. */
export interface McpResource {
  readonly name: string;
  readonly description?: string | undefined;
  readonly mimeType?: string | undefined;
  /** The places of its address that values fill; none for a single resource. */
  readonly values: readonly string[];
}

/** A piece of what a tool or a resource gave: a text with its address where it has one, or what is no text. */
export interface McpContent {
  readonly kind: "text" | "image" | "audio" | "link" | "binary";
  readonly text?: string | undefined;
  readonly address?: string | undefined;
  readonly title?: string | undefined;
  readonly mimeType?: string | undefined;
}

/** What a tool gave. */
export interface McpResult {
  readonly content: readonly McpContent[];
  /** The same as JSON, if the tool declares such an output. */
  readonly structured?: Json | undefined;
}

/** How far a call is, as the server counts. */
export interface McpProgress {
  readonly progress: number;
  readonly total?: number | undefined;
  readonly message?: string | undefined;
}

/** How a call is made. */
export interface McpCallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((progress: McpProgress) => void) | undefined;
}

/** An MCP server as a resource of the kind "mcp". Its answers may change at any time. */
export interface McpServer extends Resource {
  /** How it is searched, if whoever provides it says so; the settings of `mcp.search` come before these. */
  readonly search?: SearchSettings | undefined;
  /** @throws TesseraError TOOL_FAILED */
  tools(): Promise<readonly McpTool[]>;
  /** @throws TesseraError TOOL_FAILED, also where the tool itself says that it failed */
  call(tool: string, given: Readonly<Record<string, unknown>>, how?: McpCallOptions): Promise<McpResult>;
  /** @throws TesseraError TOOL_FAILED */
  resources(signal?: AbortSignal): Promise<readonly McpResource[]>;
  /**
   * Reads a resource by its name; `values` fill the places of a template.
   * @throws TesseraError TOOL_FAILED, UNKNOWN_RESOURCE
   */
  read(
    resource: string,
    values: Readonly<Record<string, string>>,
    how?: McpCallOptions,
  ): Promise<readonly McpContent[]>;
}

/** A tool of a server by its name. @throws TesseraError UNKNOWN_RESOURCE */
export async function toolOf(server: McpServer, serverName: string, name: string): Promise<McpTool> {
  const tools = await server.tools();
  const found = tools.find((tool) => tool.name === name);
  if (found) return found;
  throw new TesseraError("UNKNOWN_RESOURCE", `the MCP server "${serverName}" has no tool "${name}"`, {
    path: `mcp/${serverName}`,
    hint: didYouMean(
      name,
      tools.map((tool) => tool.name),
    ),
  });
}
