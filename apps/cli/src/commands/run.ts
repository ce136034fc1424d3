import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { openSandbox, quickjs } from "@tessera/coder";
import type { FlowDocument, Passage } from "@tessera/core";
import { isOptional } from "@tessera/core/internal";
import { corpusResources, readCorpus } from "@tessera/eval/internal";
import { SqliteDatabase } from "@tessera/query";
import type { Resources } from "@tessera/tessera";
import { defaultEncoder, openSource, type SourceOptions } from "../codebase.js";
import { configResources, joinResources } from "../config-resources.js";
import { parseJson, readFlow, schemaInput } from "../documents.js";
import { openNamed } from "../engine.js";
import { foldersOf } from "../folders.js";
import { graphDatabaseOf } from "../graph-database.js";
import { defaultModelOf, type LanguageModelOptions, openLanguageModel } from "../language-model.js";
import { writeOutputs } from "../outputs.js";
import { runFlow } from "../run.js";
import { settingsFor } from "../settings.js";
import { type Terminal, UsageError } from "../terminal.js";
import { usesVectors } from "../vectors.js";

interface RunResourceOptions extends SourceOptions {
  /** A folder whose index gives the stores "sparse" and "dense" and the encoder "encoder". */
  readonly source?: string;
  /** A data set, whose corpus gives them, the graph "graph" and the heads instead. */
  readonly data?: string;
  /** A SQLite file as the database "database". */
  readonly database?: string;
  /** Functions that a statement for the database, or a query for the graph database, may call besides those that only read. */
  readonly admit?: readonly string[];
  /** Folders that flows may read by name: `<name>=<path>` each. */
  readonly folder?: readonly string[];
  readonly signal?: AbortSignal;
}

export interface RunCommandOptions extends RunResourceOptions, LanguageModelOptions {
  /** A JSON object, or a file that holds one; "-" is standard input. */
  readonly input: string;
  /** In its place: the text of a flow of one text input. */
  readonly question?: string;
  /** A file with the JSON Schema that the flow takes as its input `schema`. */
  readonly jsonSchema?: string;
  readonly trace?: boolean;
  /** A run that would spend more ends with what was reached. */
  readonly mostCalls?: number;
  readonly mostTokens?: number;
  /** Where the outputs go, in place of being shown. */
  readonly out?: string;
}

interface Opened {
  readonly resources: Resources;
  readonly close: () => Promise<void>;
}

/** The one input of a flow that is a text, where nothing else must be given. */
function textInputOf({ input }: FlowDocument): string | undefined {
  const wanted = Object.entries(input).filter(([, type]) => !isOptional(type));
  return wanted.length === 1 && wanted[0]![1] === "text" ? wanted[0]![0] : undefined;
}

async function readInput(given: string): Promise<string> {
  if (given !== "-") return readFile(given, "utf8");
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

/**
 * The inputs of a flow: a JSON object, a file of one, or standard input ("-"); where a flow has one text input, its text
 * itself will do.
 */
async function inputOf(
  { input: given, question }: Pick<RunCommandOptions, "input" | "question">,
  document: FlowDocument,
): Promise<Record<string, unknown>> {
  const port = textInputOf(document);
  // a question may be the name of a file, and is itself all the same
  if (question !== undefined && port !== undefined)
    return { [port]: question === "-" ? (await readInput("-")).trimEnd() : question };
  if (question !== undefined) return inputOf({ input: question }, document);
  const isJson = (text: string): boolean => /^\s*[[{]/.test(text);
  const isFile = !isJson(given) && (given === "-" || existsSync(given));
  if (!isFile && !isJson(given)) {
    if (port !== undefined && !/\.jsonl?$/.test(given)) return { [port]: given };
    throw new UsageError(
      `--input is a JSON object of the flow's inputs (${Object.keys(document.input).join(", ")}), a file of one, or "-" for standard input; there is no file "${given}"`,
    );
  }
  const text = isFile ? await readInput(given) : given;
  if (isFile && port !== undefined && !isJson(text)) return { [port]: text.trimEnd() };
  const input = parseJson(text, isFile ? given : "--input");
  if (typeof input !== "object" || input === null || Array.isArray(input))
    throw new UsageError("--input is a JSON object of the flow's inputs");
  return input as Record<string, unknown>;
}

/** The corpus of a data set in memory; without one, only an encoder: hash features, unless a model is named. */
async function openData(terminal: Terminal, { data, encoder, engine, signal }: RunResourceOptions): Promise<Opened> {
  if (encoder !== undefined && typeof encoder !== "string")
    throw new UsageError("the vectors of a data set are computed here: name a local --encoder");
  const name = encoder;
  const passages: Passage[] = [];
  if (data !== undefined) for await (const passage of readCorpus(data)) passages.push(passage);
  const plain = name === undefined || name === defaultEncoder || name === "hash";
  const vectors = plain ? undefined : await openNamed(terminal, { encoder: name, engine });
  const { store, graph, ...encoders } = corpusResources(passages, { vectors, signal });
  return {
    resources: { ...encoders, ...(data !== undefined && { store, graph }) } as Resources,
    close: async () => vectors?.close(),
  };
}

/**
 * What a run may name beside a model: the stores and the encoder of a folder or a data set, a database, a sandbox.
 * @throws UsageError where both a folder and a data set are given; TesseraError as what is opened does.
 */
export async function openResources(terminal: Terminal, options: RunResourceOptions): Promise<Opened> {
  const { source, data, database, admit: functions } = options;
  if (source !== undefined && data !== undefined) throw new UsageError("--source and --data exclude each other");
  const { resources, close }: Opened =
    source === undefined ? await openData(terminal, options) : await openSource(terminal, source, options);
  return {
    resources: {
      ...resources,
      sandbox: { sandbox: () => openSandbox(quickjs()) },
      folder: foldersOf(options.folder),
      ...(database !== undefined && { database: { database: () => SqliteDatabase.open(database, { functions }) } }),
      ...graphDatabaseOf(functions),
    },
    close,
  };
}

/** Runs a flow on an input. */
export async function run(terminal: Terminal, nameOrFile: string, options: RunCommandOptions): Promise<number> {
  const { config, flows } = await settingsFor(terminal);
  const document = await readFlow(nameOrFile, flows);
  const input = { ...(await inputOf(options, document)), ...(await schemaInput(document, options.jsonSchema)) };
  const silent = [options.model, options.cassette, options.endpoint, config.model].every((one) => one === undefined);
  const model = await openLanguageModel(terminal, silent ? { ...options, model: defaultModelOf(document) } : options);
  let opened: Opened | undefined;
  try {
    const encoder = options.encoder ?? config.encoder;
    opened = await openResources(terminal, { ...options, encoder, vectors: usesVectors(document, flows) });
    const own = await configResources(terminal, options.engine);
    const resources = joinResources(own, opened.resources, model ? { model: { model } } : {});
    const budget = { calls: options.mostCalls, tokens: options.mostTokens };
    const { result, events } = await runFlow(terminal, document, input, resources, { ...options, budget });
    const output =
      options.out === undefined
        ? result.output
        : await writeOutputs(options.out, result.output as Record<string, unknown>);
    terminal.result({ ...result, output, ...(model?.scripted && { scripted: true }), events });
    terminal.say(JSON.stringify({ ...result, output }, undefined, 2));
    return 0;
  } finally {
    await opened?.close();
    await model?.close?.();
  }
}
