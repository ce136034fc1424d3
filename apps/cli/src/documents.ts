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
 * A flow document: a file, or the name of a flow of the catalogue.
 * @throws TesseraError BAD_ARGUMENT where there is neither, BAD_JSON, BAD_DOCUMENT.
 */
export async function readFlow(nameOrFile: string): Promise<FlowDocument> {
  const named = flows.get(nameOrFile);
  if (named) return named.flow.document;
  let text: string;
  try {
    text = await readFile(nameOrFile, "utf8");
  } catch (cause) {
    const looksLikeFile = /[./\\]/.test(nameOrFile);
    throw new TesseraError("BAD_ARGUMENT", `there is no flow "${nameOrFile}", and no such file`, {
      path: nameOrFile,
      hint: looksLikeFile ? undefined : didYouMean(nameOrFile, flows.keys()),
      cause,
    });
  }
  return parseDocument(parseJson(text, nameOrFile));
}
