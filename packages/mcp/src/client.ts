// public: McpSettings, openMcpServer
import type { Client } from "@modelcontextprotocol/sdk/client/index.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { type Json, TesseraError } from "@tessera/core";
import { abortable, didYouMean, messageOf, missing } from "@tessera/core/internal";
import { contentOf } from "./content.js";
import type { SearchSettings } from "./search-settings.js";
import type { McpCallOptions, McpContent, McpResource, McpResult, McpServer, McpTool } from "./server.js";

/** Where an MCP server is: a command that starts it, or an address. */
export interface McpSettings {
  /** A program that speaks MCP on its standard input and output. */
  readonly command?: string | undefined;
  readonly args?: readonly string[] | undefined;
  /** The folder in which it is started. */
  readonly folder?: string | undefined;
  /** Its environment variables, besides a few such as PATH and HOME. Nothing else of the environment is handed over. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** The address of a server that speaks MCP's streamable HTTP. */
  readonly url?: string | undefined;
  /** Headers of every request to it. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The longest silence within a call, in milliseconds; 60,000. A message of progress begins it anew. */
  readonly timeoutMs?: number | undefined;
  /** Resources by names of your own, with their addresses at the server. */
  readonly resources?: Readonly<Record<string, string>> | undefined;
  readonly search?: SearchSettings | undefined;
}

interface Sdk {
  readonly client: typeof import("@modelcontextprotocol/sdk/client/index.js");
  readonly stdio: typeof import("@modelcontextprotocol/sdk/client/stdio.js");
  readonly http: typeof import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  readonly templates: typeof import("@modelcontextprotocol/sdk/shared/uriTemplate.js");
}

let loading: Promise<Sdk> | undefined;

/** The official client, which is loaded when the first server is opened. @throws TesseraError DEPENDENCY_MISSING */
function loadSdk(): Promise<Sdk> {
  const absent = missing("@modelcontextprotocol/sdk");
  loading ??= Promise.all([
    import("@modelcontextprotocol/sdk/client/index.js").catch(absent),
    import("@modelcontextprotocol/sdk/client/stdio.js").catch(absent),
    import("@modelcontextprotocol/sdk/client/streamableHttp.js").catch(absent),
    import("@modelcontextprotocol/sdk/shared/uriTemplate.js").catch(absent),
  ]).then(
    ([client, stdio, http, templates]) => ({ client, stdio, http, templates }),
    (cause) => {
      loading = undefined;
      throw cause;
    },
  );
  return loading;
}

/** The last words that a program wrote on its standard error. */
class LastWords {
  text = "";

  hear(part: unknown): void {
    this.text = `${this.text}${String(part)}`.slice(-2000);
  }
}

/** An address that a resource has at its server, or a template of addresses. */
interface Addressed extends McpResource {
  readonly address: string;
}

const cacheless = { asked: 0 };
const mostPages = 1000;

class McpClient implements McpServer {
  readonly search: SearchSettings | undefined;
  private connected: Promise<Client> | undefined;
  private listed: Promise<readonly McpTool[]> | undefined;
  private words = new LastWords();
  private closed = false;

  constructor(
    private readonly settings: McpSettings,
    private readonly sdk: Sdk,
  ) {
    this.search = settings.search;
  }

  /** Another one each time that it is asked: what a server says changes without a word, so that no cache may keep it. */
  get revision(): string {
    return `mcp:${process.pid}:${++cacheless.asked}`;
  }

  private get place(): string {
    return this.settings.url === undefined ? this.settings.command! : new URL(this.settings.url).origin;
  }

  private transport(): Transport {
    const { url, headers = {}, command, args = [], environment = {}, folder } = this.settings;
    if (url !== undefined)
      return new this.sdk.http.StreamableHTTPClientTransport(new URL(url), {
        requestInit: { headers: { ...headers } },
      });
    const started = new this.sdk.stdio.StdioClientTransport({
      command: command!,
      args: [...args],
      env: { ...this.sdk.stdio.getDefaultEnvironment(), ...environment },
      stderr: "pipe",
      ...(folder !== undefined && { cwd: folder }),
    });
    const words = new LastWords();
    this.words = words;
    started.stderr?.on("data", (part) => words.hear(part));
    return started;
  }

  /** The connection, made anew where the server ended. */
  private client(): Promise<Client> {
    if (this.closed) throw new TesseraError("CLOSED", "the MCP server was closed", { path: this.place });
    if (!this.connected) {
      const connecting = this.connect(() => {
        if (this.connected === connecting) this.forget();
      });
      this.connected = connecting;
      connecting.catch(() => this.connected === connecting && this.forget());
    }
    return this.connected;
  }

  private forget(): void {
    this.connected = undefined;
    this.listed = undefined;
  }

  private async connect(lost: () => void): Promise<Client> {
    const client = new this.sdk.client.Client(
      { name: "tessera", version: "0.1.0" },
      {
        listChanged: {
          tools: {
            autoRefresh: false,
            onChanged: () => {
              this.listed = undefined;
            },
          },
        },
      },
    );
    client.onclose = lost;
    try {
      await client.connect(this.transport(), { timeout: this.settings.timeoutMs ?? 60_000 });
      return client;
    } catch (cause) {
      await client.close().catch(() => {});
      throw this.failure("cannot be reached", cause);
    }
  }

  private failure(what: string, cause: unknown): TesseraError {
    const said = this.words.text.trim().split("\n").slice(-3).join("\n");
    const told = said === "" ? "" : `; it wrote: ${said}`;
    return new TesseraError("TOOL_FAILED", `the MCP server ${what}: ${messageOf(cause)}${told}`, {
      path: this.place,
      hint: this.settings.url === undefined ? "does the command start a server by itself?" : undefined,
      cause,
    });
  }

  /**
   * Asks the server; what goes wrong becomes an error of the framework, an abort stays what the signal says. A server that
   * no longer knows the session did nothing, and is asked again in a new one.
   */
  private async asked<T>(
    what: string,
    how: McpCallOptions,
    ask: (client: Client, options: object) => Promise<T>,
    again = true,
  ): Promise<T> {
    const { signal, progress } = how;
    signal?.throwIfAborted();
    const connecting = this.client();
    const client = await (signal ? abortable(connecting, { signal }) : connecting);
    const options = {
      timeout: this.settings.timeoutMs ?? 60_000,
      resetTimeoutOnProgress: true,
      // with it the server is asked to report progress, which also keeps the call alive
      onprogress: (told: { progress: number; total?: number; message?: string }) => progress?.(told),
      ...(signal && { signal }),
    };
    try {
      return await ask(client, options);
    } catch (cause) {
      signal?.throwIfAborted();
      if (TesseraError.is(cause)) throw cause;
      if (again && cause instanceof this.sdk.http.StreamableHTTPError && cause.code === 404) {
        if (this.connected === connecting) this.forget();
        await client.close().catch(() => {});
        return this.asked(what, how, ask, false);
      }
      throw this.failure(`did not answer for ${what}`, cause);
    }
  }

  tools(): Promise<readonly McpTool[]> {
    if (!this.listed) {
      const listing = this.listTools();
      this.listed = listing;
      listing.catch(() => {
        if (this.listed === listing) this.listed = undefined;
      });
    }
    return this.listed;
  }

  private listTools(): Promise<McpTool[]> {
    return this.asked("its tools", {}, async (client, options) => {
      if (!client.getServerCapabilities()?.tools) return [];
      const tools: McpTool[] = [];
      let cursor: string | undefined;
      for (let page = 0; page < mostPages; page++) {
        const { tools: more, nextCursor } = await client.listTools(cursor === undefined ? {} : { cursor }, options);
        for (const { name, description, inputSchema, annotations } of more)
          tools.push({ name, description, input: inputSchema, reads: annotations?.readOnlyHint === true });
        if (nextCursor === undefined) break;
        cursor = nextCursor;
      }
      return tools;
    });
  }

  call(tool: string, given: Readonly<Record<string, unknown>>, how: McpCallOptions = {}): Promise<McpResult> {
    return this.asked(`the tool "${tool}"`, how, async (client, options) => {
      const result = await client.callTool({ name: tool, arguments: { ...given } }, undefined, options);
      const content = (Array.isArray(result.content) ? result.content : []).flatMap(contentOf);
      if (result.isError === true) {
        const said = content
          .map(({ text }) => text ?? "")
          .join("\n")
          .trim();
        throw new TesseraError(
          "TOOL_FAILED",
          `the tool "${tool}" failed: ${said.slice(0, 1000) || "it does not say why"}`,
          {
            path: `${this.place}/${tool}`,
          },
        );
      }
      return {
        content,
        ...(result.structuredContent !== undefined && { structured: result.structuredContent as Json }),
      };
    });
  }

  async resources(signal?: AbortSignal): Promise<readonly McpResource[]> {
    return (await this.addressed(signal)).map(({ address: _, ...resource }) => resource);
  }

  /** Those of the settings first, then those that the server lists, single ones and templates. */
  private async addressed(signal?: AbortSignal): Promise<Addressed[]> {
    const valuesOf = (address: string): string[] =>
      this.sdk.templates.UriTemplate.isTemplate(address)
        ? new this.sdk.templates.UriTemplate(address).variableNames
        : [];
    const own = Object.entries(this.settings.resources ?? {}).map(
      ([name, address]): Addressed => ({
        name,
        address,
        values: valuesOf(address),
      }),
    );
    const listed = await this.asked("its resources", { signal }, async (client, options) => {
      if (!client.getServerCapabilities()?.resources) return [];
      const found: Addressed[] = [];
      let cursor: string | undefined;
      for (let page = 0; page < mostPages; page++) {
        const { resources, nextCursor } = await client.listResources(cursor === undefined ? {} : { cursor }, options);
        for (const { name, description, mimeType, uri } of resources)
          found.push({ name, description, mimeType, address: uri, values: [] });
        if (nextCursor === undefined) break;
        cursor = nextCursor;
      }
      // a server may have resources and know nothing of templates
      const templates = await client.listResourceTemplates({}, options).catch(() => ({ resourceTemplates: [] }));
      for (const { name, description, mimeType, uriTemplate } of templates.resourceTemplates)
        found.push({ name, description, mimeType, address: uriTemplate, values: valuesOf(uriTemplate) });
      return found;
    });
    const names = new Set(own.map(({ name }) => name));
    return [...own, ...listed.filter(({ name }) => !names.has(name))];
  }

  private async addressOf(name: string, values: Readonly<Record<string, string>>, signal?: AbortSignal) {
    const all = await this.addressed(signal);
    const found = all.filter((resource) => resource.name === name);
    if (found.length !== 1)
      throw new TesseraError(
        "UNKNOWN_RESOURCE",
        found.length === 0
          ? `the MCP server has no resource "${name}"`
          : `the MCP server has ${found.length} resources that are named "${name}"`,
        {
          path: this.place,
          hint:
            found.length === 0
              ? didYouMean(
                  name,
                  all.map((one) => one.name),
                )
              : 'name one of them in the config: "resources": { "mine": "<its address>" }',
        },
      );
    const [{ address, values: places }] = found as [Addressed];
    const lacking = places.filter((place) => values[place] === undefined);
    if (lacking.length > 0)
      throw new TesseraError("TOOL_FAILED", `the resource "${name}" needs values for ${lacking.join(", ")}`, {
        path: this.place,
      });
    return places.length === 0 ? address : new this.sdk.templates.UriTemplate(address).expand({ ...values });
  }

  async read(
    resource: string,
    values: Readonly<Record<string, string>> = {},
    how: McpCallOptions = {},
  ): Promise<readonly McpContent[]> {
    const uri = await this.addressOf(resource, values, how.signal);
    return this.asked(`the resource "${resource}"`, how, async (client, options) => {
      const { contents } = await client.readResource({ uri }, options);
      return contents.flatMap((one) => contentOf({ type: "resource", resource: one }));
    });
  }

  async check(signal?: AbortSignal): Promise<void> {
    await this.asked("a sign of life", { signal }, (client, options) => client.ping(options));
  }

  async close(): Promise<void> {
    this.closed = true;
    const client = await this.connected?.catch(() => undefined);
    this.forget();
    await client?.close();
  }
}

/**
 * Connects to an MCP server: starts its command, or calls its address. It is connected again when it ended in the meantime.
 * @throws TesseraError BAD_ARGUMENT, DEPENDENCY_MISSING; TOOL_FAILED if there is no server
 */
export async function openMcpServer(settings: McpSettings): Promise<McpServer> {
  if ((settings.command === undefined) === (settings.url === undefined))
    throw new TesseraError("BAD_ARGUMENT", "an MCP server has either a command or a URL");
  if (settings.url !== undefined && !/^https?:$/.test(URL.parse(settings.url)?.protocol ?? ""))
    throw new TesseraError("BAD_ARGUMENT", `"${settings.url}" is not the URL of an MCP server`, {
      hint: 'as in "http://127.0.0.1:3001/mcp"',
    });
  const client = new McpClient(settings, await loadSdk());
  try {
    await client.tools();
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}
