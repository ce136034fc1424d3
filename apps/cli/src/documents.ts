import { readFile } from "node:fs/promises";
import { type FlowDocument, parseDocument, TesseraError } from "@tessera/core";
import { didYouMean, messageOf } from "@tessera/core/internal";
import { flows } from "@tessera/flows";

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
