import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import nodeModule from "node:module";
import { homedir } from "node:os";
import { dirname, extname, join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { pathToFileURL } from "node:url";
import { parseEnv } from "node:util";
import { type AnyOperator, type FlowDocument, type Prompt, parseDocument, prompt, TesseraError } from "@tessera/core";
import { assertStandsFor, didYouMean, isOperator, messageOf, sha256 } from "@tessera/core/internal";
import { operators as catalogue, type TesseraConfig } from "@tessera/tessera";
import type { z } from "zod";
import { configShape, isObject } from "./config-shape.js";
import { parseJson } from "./documents.js";
import type { Terminal } from "./terminal.js";

/** What a config file says, read and checked; without a file, what there is by default. */
export interface Settings {
  /** The file, where there is one. */
  readonly path: string | undefined;
  readonly config: TesseraConfig;
  /** The variables of the process, and those of `.env` beside the config or in the working directory. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Flows of the config by name. */
  readonly flows: ReadonlyMap<string, FlowDocument>;
  /** The operators of the catalogue, and those of the config. */
  readonly operators: readonly AnyOperator[];
  /** The prompts of the config, by the names of those that they stand for. */
  readonly prompts: Readonly<Record<string, Prompt>>;
  /** A path of the config, from its folder. */
  at(path: string): string;
}

const names = [
  "tessera.config.ts",
  "tessera.config.mts",
  "tessera.config.mjs",
  "tessera.config.js",
  "tessera.config.json",
];

/**
 * The config of a folder: in it or above it, up to the root of its repository or to the home folder, whichever comes
 * first. Outside of both only the folder itself is looked at.
 */
export function findConfig(from: string, home = homedir()): string | undefined {
  const chain: string[] = [];
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    chain.push(folder);
    const ends = existsSync(join(folder, ".git")) || folder === resolve(home);
    if (!ends && dirname(folder) !== folder) continue;
    const searched = ends ? chain : chain.slice(0, 1);
    const found = searched.flatMap((one) => names.map((name) => join(one, name)));
    return found.find((path) => existsSync(path));
  }
}

/** The most specific issue of an error, where a union has several. */
function issueOf({ issues }: z.ZodError): { path: string; message: string } {
  let [issue] = issues;
  const path: PropertyKey[] = [...issue!.path];
  while (issue?.code === "invalid_union") {
    const deepest: z.core.$ZodIssue | undefined = issue.errors.flat().sort((a, b) => b.path.length - a.path.length)[0];
    if (!deepest) break;
    path.push(...deepest.path);
    issue = deepest;
  }
  return { path: path.join("."), message: issue!.message };
}

/** @throws TesseraError BAD_SETTINGS that names the field */
function checked(value: unknown, path: string): TesseraConfig {
  const parsed = configShape.safeParse(value);
  if (parsed.success) return parsed.data as TesseraConfig;
  const issue = issueOf(parsed.error);
  throw new TesseraError("BAD_SETTINGS", `${path}: ${issue.path === "" ? "" : `"${issue.path}": `}${issue.message}`, {
    path: issue.path === "" ? path : issue.path,
    hint: "docs/config.md lists what a config may hold",
  });
}

/** Where it is remembered which configs of code may run: the home folder of the user, or `$TESSERA_HOME`. */
const trustFile = (): string => join(process.env.TESSERA_HOME ?? join(homedir(), ".tessera"), "trusted-configs.json");

async function trusted(): Promise<Record<string, string>> {
  try {
    const read: unknown = JSON.parse(await readFile(trustFile(), "utf8"));
    return isObject(read) ? (read as Record<string, string>) : {};
  } catch {
    return {}; // none was trusted yet
  }
}

async function asksYes(question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}

/** Code that was found, and not named, runs only where it ran before as it is, or after a yes. @throws TesseraError NOT_TRUSTED */
async function assertTrusted(path: string, text: string, named: boolean): Promise<void> {
  const before = await trusted();
  const hash = sha256(text);
  if (before[path] === hash) return;
  if (!named && !(await asksYes(`${path} is code that has not run here as it is now. Run it?`)))
    throw new TesseraError("NOT_TRUSTED", "the config is code, and has not run here as it is now", {
      path,
      hint: `look at it, then name it once: --config ${path}; or leave it out: --no-config`,
    });
  await mkdir(dirname(trustFile()), { recursive: true });
  await writeFile(trustFile(), `${JSON.stringify({ ...before, [path]: hash }, undefined, 2)}\n`);
}

let hooked = false;

/**
 * Lets modules of a folder that has no packages of its own import ours, and zod: what cannot be found from there is looked
 * for beside the command line. Node has the hook from 22.15 on.
 */
function lendPackages(): void {
  if (hooked || typeof nodeModule.registerHooks !== "function") return;
  hooked = true;
  nodeModule.registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (error) {
        if (!/^(?:@tessera\/|zod(?:\/|$))/.test(specifier)) throw error;
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}

/** @throws TesseraError BAD_SETTINGS where a module cannot be loaded */
async function load(path: string): Promise<Record<string, unknown>> {
  lendPackages();
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (cause) {
    const isUnknown = (cause as { code?: string }).code === "ERR_UNKNOWN_FILE_EXTENSION";
    throw new TesseraError("BAD_SETTINGS", `${path} cannot be loaded: ${messageOf(cause)}`, {
      path,
      cause,
      hint: isUnknown ? "TypeScript is read from Node 22.18 on; write it as tessera.config.mjs" : undefined,
    });
  }
}

async function readConfig(path: string, named: boolean): Promise<TesseraConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new TesseraError("BAD_SETTINGS", `the config cannot be read: ${messageOf(cause)}`, { path, cause });
  }
  if (extname(path) === ".json") {
    const config = checked(parseJson(text, path), path);
    // modules are code, and so is a command
    const starts = Object.values(config.mcp ?? {}).some((one) => "command" in one && one.command !== undefined);
    if (config.operators?.length || config.readers?.length || starts) await assertTrusted(path, text, named);
    return config;
  }
  await assertTrusted(path, text, named);
  const { default: given } = await load(path);
  if (given === undefined)
    throw new TesseraError("BAD_SETTINGS", `${path} exports no config`, {
      path,
      hint: "export default defineConfig({ … })",
    });
  return checked(given, path);
}

/** A model's name as it is; its path from the folder of the config. */
function modelAt(name: string, at: (path: string) => string): string {
  const [, before, place] = /^((?:hash\+)?(?:[a-z]+\.(?:cpp|js):)?)(.*)$/s.exec(name)!;
  const isPath = /[\\/]/.test(place!) || /\.(?:gguf|jsonl)$/i.test(place!);
  return isPath ? `${before}${at(place!)}` : name;
}

/** The config with every path of a model from the folder of the config. */
function withModelsAt(config: TesseraConfig, at: (path: string) => string): TesseraConfig {
  const placed = <T>(given: T): T => {
    if (typeof given === "string") return modelAt(given, at) as T;
    if (isObject(given) && typeof (given as { file?: unknown }).file === "string")
      return { ...given, file: at((given as unknown as { file: string }).file) };
    return given;
  };
  const each = <T>(all: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(all).map(([name, given]) => [name, placed(given)]));
  return {
    ...config,
    ...(config.model !== undefined && { model: placed(config.model) }),
    ...(config.models && { models: each(config.models) }),
    ...(config.encoder !== undefined && { encoder: placed(config.encoder) }),
    ...(config.encoders && { encoders: each(config.encoders) }),
    ...(config.rerankers && { rerankers: each(config.rerankers) }),
  };
}

async function flowsOf(config: TesseraConfig, at: (path: string) => string): Promise<Map<string, FlowDocument>> {
  const flows = new Map<string, FlowDocument>();
  for (const [name, given] of Object.entries(config.flows ?? {})) {
    const path = `flows.${name}`;
    let document: unknown = given;
    if (typeof given === "string")
      try {
        document = parseJson(await readFile(at(given), "utf8"), at(given));
      } catch (cause) {
        if (TesseraError.is(cause)) throw cause;
        throw new TesseraError("BAD_SETTINGS", `${path} cannot be read: ${messageOf(cause)}`, { path, cause });
      }
    else if ("document" in given) document = given.document;
    const parsed = parseDocument(document);
    if (parsed.name !== name)
      throw new TesseraError("BAD_SETTINGS", `the flow at "${path}" is named "${parsed.name}" in its document`, {
        path,
        hint: `write it under "${parsed.name}", or name the document "${name}"`,
      });
    flows.set(name, parsed);
  }
  return flows;
}

async function operatorsOf(config: TesseraConfig, at: (path: string) => string): Promise<AnyOperator[]> {
  const own = new Map<string, AnyOperator>();
  for (const given of config.operators ?? []) {
    if (typeof given !== "string") own.set(given.name, given);
    else {
      const found = Object.values(await load(at(given))).filter(isOperator);
      if (found.length === 0)
        throw new TesseraError("BAD_SETTINGS", `${given} exports no operator`, {
          path: "operators",
          hint: "export const mine = operator({ … })",
        });
      for (const operator of found) own.set(operator.name, operator);
    }
  }
  for (const flow of Object.values(config.flows ?? {}))
    if (typeof flow === "object" && "operators" in flow)
      for (const operator of (flow.operators as readonly AnyOperator[] | undefined) ?? [])
        if (!catalogue.some(({ name }) => name === operator.name)) own.set(operator.name, operator);
  return [...own.values()];
}

/** @throws TesseraError BAD_SETTINGS where a file cannot stand for the prompt that it is given for */
async function promptsOf(
  config: TesseraConfig,
  operators: readonly AnyOperator[],
  at: (path: string) => string,
): Promise<Record<string, Prompt>> {
  const known = new Map(operators.flatMap(({ prompts = [] }) => prompts).map((one) => [one.name, one]));
  const prompts: Record<string, Prompt> = {};
  for (const [name, given] of Object.entries(config.prompts ?? {})) {
    const path = `prompts.${name}`;
    const { file, version = "own" } = typeof given === "string" ? { file: given } : given;
    const own = known.get(name);
    if (!own)
      throw new TesseraError("BAD_SETTINGS", `there is no prompt "${name}"`, {
        path,
        hint: didYouMean(name, [...known.keys()]),
      });
    try {
      const made = prompt({ name, version, text: await readFile(at(file), "utf8") });
      assertStandsFor(made, own);
      prompts[name] = made;
    } catch (cause) {
      const { message, hint } = TesseraError.is(cause) ? cause : { message: messageOf(cause), hint: undefined };
      throw new TesseraError("BAD_SETTINGS", `${at(file)}: ${message}`, { path, hint, cause });
    }
  }
  return prompts;
}

async function environmentOf(folder: string): Promise<Settings["environment"]> {
  const text = await readFile(join(folder, ".env"), "utf8").catch(() => "");
  return { ...parseEnv(text), ...process.env };
}

/**
 * Reads the config of the working directory, or the one that is named.
 * @throws TesseraError BAD_SETTINGS, BAD_JSON, BAD_DOCUMENT; NOT_TRUSTED where it is code that has not run here before
 */
export async function readSettings(given?: string | false, from = process.cwd()): Promise<Settings> {
  const path = given === false ? undefined : given === undefined ? findConfig(from) : resolve(from, given);
  const folder = path === undefined ? from : dirname(path);
  const at = (one: string): string => resolve(folder, one);
  const config = path === undefined ? {} : withModelsAt(await readConfig(path, given !== undefined), at);
  const operators = [...catalogue, ...(await operatorsOf(config, at))];
  return {
    path,
    config,
    environment: await environmentOf(folder),
    flows: await flowsOf(config, at),
    operators,
    prompts: await promptsOf(config, operators, at),
    at,
  };
}

const read = new WeakMap<Terminal, Promise<Settings>>();

/** The settings of a command, read once. */
export function settingsFor(terminal: Terminal): Promise<Settings> {
  let settings = read.get(terminal);
  if (!settings) {
    settings = readSettings(terminal.options.config);
    read.set(terminal, settings);
  }
  return settings;
}
