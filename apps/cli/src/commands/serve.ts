import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Encoder, type FlowDocument, type Resource, type Store, TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { flows as catalogue } from "@tessera/flows";
import { compile } from "@tessera/graph";
import { KeyRing, type Scope, scopes, serve as startService } from "@tessera/server";
import type { Resources } from "@tessera/tessera";
import { ResourceHost } from "@tessera/tessera/internal";
import { type OpenedSource, openSource } from "../codebase.js";
import { configResources, joinResources } from "../config-resources.js";
import type { EncoderOptions } from "../engine.js";
import { foldersOf } from "../folders.js";
import { graphDatabaseOf } from "../graph-database.js";
import { type LanguageModelOptions, openLanguageModel } from "../language-model.js";
import { servedModels } from "../served-models.js";
import { type Settings, settingsFor } from "../settings.js";
import { type Terminal, UsageError } from "../terminal.js";
import { openTraces, type Traces } from "../traces.js";

/** Where a service keeps its keys, runs, flows and indexes: `$TESSERA_HOME/service` or `.tessera/service`. */
export const serviceFolder = (): string => join(process.env.TESSERA_HOME ?? join(process.cwd(), ".tessera"), "service");

export interface ServeCommandOptions extends EncoderOptions, LanguageModelOptions {
  readonly source?: string;
  readonly host: string;
  readonly port: string;
  readonly database?: string;
  /** Folders that flows may read by name, uploaded ones too: `<name>=<path>` each. */
  readonly folder?: readonly string[];
  /** What a query for the graph database "database" may call besides the functions of its language. */
  readonly admit?: readonly string[];
  readonly keepRuns: string;
  readonly keepDays: string;
  readonly origin?: string[];
  readonly trustProxy?: string[];
  readonly otlp?: string;
  readonly otlpContent?: boolean;
  /** Serves the studio, and saves flows in this folder. */
  readonly studio?: boolean | string;
  readonly signal: AbortSignal;
}

/**
 * The flows of the catalogue that can run on these resources, and those of the config; others of the catalogue lack a
 * model, a database or a sandbox here.
 * @throws TesseraError INVALID_FLOW for a flow of the config that cannot run
 */
async function runnable(
  resources: Resources,
  { flows: own, operators }: Settings,
): Promise<Record<string, FlowDocument>> {
  const found: Record<string, FlowDocument> = Object.fromEntries(own);
  // never closed: what it opens belongs to the caller
  const host = new ResourceHost(resources);
  for (const document of own.values()) await compile(document, { operators, host });
  for (const [name, { flow }] of catalogue)
    try {
      if (own.has(name)) continue;
      await compile(flow.document, { operators, host });
      found[name] = flow.document;
    } catch (error) {
      if (!TesseraError.is(error)) throw error;
    }
  return found;
}

function atLeastZero(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0)
    throw new UsageError(`${name} is a number from 0, not "${text}"`);
  return value;
}

/** What the studio shows of a source, and the folder that it saves flows in. */
async function studioOf(
  terminal: Terminal,
  { studio, host }: ServeCommandOptions,
  { codebase, report, resources }: OpenedSource,
) {
  if (!["127.0.0.1", "::1", "localhost"].includes(host))
    throw new UsageError(`the studio is served to this machine alone, not at ${host}: leave out --host`);
  const { page } = await import("@tessera/studio");
  const { measureRecorded, tuneServed } = await import("@tessera/eval/internal");
  const of = <T extends Resource>(kind: string, name: string) => resources[kind]?.[name] as T | undefined;
  return {
    page,
    ...(typeof studio === "string" && { folder: studio }),
    source: {
      root: codebase.root,
      files: codebase.files,
      skipped: report?.skipped ?? [],
      passages: () => codebase.passages(),
      sparse: of<Store>("store", "sparse"),
      dense: of<Store>("store", "dense"),
      encoder: of<Encoder>("encoder", "encoder"),
    },
    measure: measureRecorded,
    tune: tuneServed,
    used: (link: string) => terminal.say(`the studio was opened; another link: ${link}`),
  };
}

/** Serves the flows over the index of a folder until it is told to stop. */
export async function serve(terminal: Terminal, options: ServeCommandOptions): Promise<number> {
  const port = Number(options.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new UsageError(`--port is a whole number up to 65535, not "${options.port}"`);
  const retention = {
    runs: atLeastZero("--keep-runs", options.keepRuns),
    ageMs: atLeastZero("--keep-days", options.keepDays) * 86_400_000,
  };
  if (options.database) process.noDeprecation = true; // DBOS 5.3 uses pg in a way that pg 9 will refuse, and pg says so
  const settings = await settingsFor(terminal);
  const { source: configured = ".", encoder: configuredEncoder } = settings.config;
  const source = options.source ?? settings.at(configured);
  if (!(await stat(source).catch(() => undefined))?.isDirectory())
    throw new TesseraError("BAD_SOURCE", "there is no such folder", { path: source });
  const withEncoder = { ...options, encoder: options.encoder ?? configuredEncoder };
  const model = await openLanguageModel(terminal, options);
  let opened: OpenedSource | undefined;
  let traces: Traces | undefined;
  try {
    traces = options.otlp ? await openTraces(options.otlp, { content: options.otlpContent }) : undefined;
    opened = await openSource(terminal, source, withEncoder);
    const resources = joinResources(
      await configResources(terminal, options.engine),
      opened.resources,
      { folder: foldersOf(options.folder), ...graphDatabaseOf(options.admit) },
      model ? { model: { model } } : {},
    );
    const flows = await runnable(resources, settings);
    const { server, url, firstKey, studio } = await startService({
      folder: serviceFolder(),
      flows,
      operators: settings.operators,
      resources,
      models: servedModels(withEncoder, settings.config.model, opened, model),
      host: options.host,
      port,
      retention,
      ...(options.database && { database: options.database }),
      ...(traces && { observer: traces.observer }),
      ...(options.origin && { origins: options.origin }),
      ...(options.trustProxy && { trustProxy: options.trustProxy }),
      ...(options.studio && { studio: await studioOf(terminal, options, opened) }),
    });
    terminal.result({ url, flows: Object.keys(flows), firstKey, ...(studio && { studio }) });
    if (options.database) terminal.note("runs, budgets, uploaded flows and indexes are kept in the database");
    terminal.say(`${url}\n${Object.keys(flows).length} flows: ${Object.keys(flows).join(", ")}`);
    if (studio) terminal.say(`the studio, for one browser: ${studio}`);
    if (firstKey) terminal.say(`the first key, shown this once: ${firstKey}`);
    await new Promise<void>((resolve) => {
      process.once("SIGTERM", resolve);
      if (options.signal.aborted) resolve();
      else options.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await server.close();
    return 0;
  } finally {
    await opened?.close();
    await model?.close?.();
    await traces?.close();
  }
}

/** Serves a folder with the studio: it is searched, and flows are saved in it. */
export async function studio(
  terminal: Terminal,
  folder: string | undefined,
  options: Omit<ServeCommandOptions, "host" | "keepRuns" | "keepDays">,
): Promise<number> {
  const root = resolve(folder ?? options.source ?? ".");
  const kept = { host: "127.0.0.1", keepRuns: "10000", keepDays: "30" };
  return serve(terminal, { ...options, ...kept, source: options.source ?? root, studio: root });
}

export interface KeyOptions {
  readonly principal?: string;
  readonly group?: string[];
  readonly scope?: string[];
  readonly flow?: string[];
  readonly index?: string[];
  readonly requestsPerMinute?: string;
  readonly concurrency?: string;
  readonly callsPerDay?: string;
  readonly tokensPerDay?: string;
}

const ring = (): Promise<KeyRing> => KeyRing.open(join(serviceFolder(), "keys"));

const limitOf = (name: string, text: string | undefined) => {
  if (text === undefined) return {};
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new UsageError(`${name} is a whole number, not "${text}"`);
  return { [name]: value };
};

/** Makes a key and prints it this once. */
export async function createKey(terminal: Terminal, name: string, options: KeyOptions): Promise<number> {
  const wrong = options.scope?.find((scope) => !scopes.includes(scope as Scope));
  if (wrong !== undefined) throw new UsageError(`there is no scope "${wrong}": ${scopes.join(", ")}`);
  const keys = await ring();
  let made: Awaited<ReturnType<KeyRing["create"]>>;
  try {
    made = await keys.create({
      name,
      ...(options.principal && {
        principal: { id: options.principal, ...(options.group && { groups: options.group }) },
      }),
      scopes: options.scope as Scope[] | undefined,
      flows: options.flow,
      indexes: options.index,
      limits: {
        ...limitOf("requestsPerMinute", options.requestsPerMinute),
        ...limitOf("concurrency", options.concurrency),
        ...limitOf("callsPerDay", options.callsPerDay),
        ...limitOf("tokensPerDay", options.tokensPerDay),
      },
    });
  } catch (error) {
    if (TesseraError.is(error)) throw error;
    throw new UsageError(`not a key: ${messageOf(error)}`);
  }
  const { token, key } = made;
  terminal.result({ id: key.id, token, principal: key.principal, scopes: key.scopes });
  terminal.say(`${token}\n`);
  terminal.note("it is shown this once");
  return 0;
}

/** Lists the keys; no secrets are kept to be shown. */
export async function listKeys(terminal: Terminal): Promise<number> {
  const keys = (await (await ring()).list()).map(({ hash: _, ...key }) => key);
  terminal.result(keys);
  terminal.table(
    ["id", "principal", "scopes", "state", "name"],
    keys.map(({ id, principal, scopes, revoked, name }) => [
      id,
      principal.id,
      scopes.join(" "),
      revoked ? `revoked ${revoked.slice(0, 10)}` : "valid",
      name,
    ]),
  );
  return 0;
}

/** Revokes a key; a service that runs refuses it at once. */
export async function revokeKey(terminal: Terminal, id: string): Promise<number> {
  const { hash: _, ...key } = await (await ring()).revoke(id);
  terminal.result(key);
  terminal.say(`revoked ${key.id} (${key.name})`);
  return 0;
}
