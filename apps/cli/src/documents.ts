import { readFile } from "node:fs/promises";
import { type FlowDocument, type Json, parseDocument, TesseraError } from "@tessera/core";
import { didYouMean, messageOf } from "@tessera/core/internal";
import { flows } from "@tessera/flows";
import { UsageError } from "./terminal.js";

/** Parses JSON that came from a place. @throws TesseraError BAD_JSON */
export function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TesseraError("BAD_JSON", messageOf(cause), { path, hint: "it must be one JSON value", cause });
  }
}

/**
 * A flow document: the name of a flow of the config or of the catalogue, or a file.
 * @throws TesseraError BAD_ARGUMENT where there is neither, BAD_JSON, BAD_DOCUMENT.
 */
export async function readFlow(
  nameOrFile: string,
  own: ReadonlyMap<string, FlowDocument> = new Map(),
): Promise<FlowDocument> {
  const named = own.get(nameOrFile) ?? flows.get(nameOrFile)?.flow.document;
  if (named) return named;
  let text: string;
  try {
    text = await readFile(nameOrFile, "utf8");
  } catch (cause) {
    const looksLikeFile = /[./\\]/.test(nameOrFile);
    throw new TesseraError("BAD_ARGUMENT", `there is no flow "${nameOrFile}", and no such file`, {
      path: nameOrFile,
      hint: looksLikeFile ? undefined : didYouMean(nameOrFile, [...own.keys(), ...flows.keys()]),
      cause,
    });
  }
  return parseDocument(parseJson(text, nameOrFile));
}

/** The JSON Schema of a file. @throws TesseraError BAD_SOURCE, BAD_JSON, BAD_ARGUMENT */
export async function readSchemaFile(path: string): Promise<{ readonly [key: string]: Json }> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new TesseraError("BAD_SOURCE", `the schema cannot be read: ${messageOf(cause)}`, { path, cause });
  });
  const schema = parseJson(text, path) as Json;
  if (typeof schema !== "object" || schema === null || Array.isArray(schema))
    throw new TesseraError("BAD_ARGUMENT", "a JSON Schema is an object", { path });
  return schema;
}

/**
 * The input `schema` of a flow, from a file where one was named.
 * @throws UsageError where the flow has no such input
 */
export async function schemaInput(
  { name, input }: FlowDocument,
  file: string | undefined,
): Promise<{ readonly schema?: { readonly [key: string]: Json } }> {
  if (file === undefined) return {};
  if (!Object.hasOwn(input, "schema"))
    throw new UsageError(`the flow "${name}" has no input "schema"; "structured" has one`);
  return { schema: await readSchemaFile(file) };
}
