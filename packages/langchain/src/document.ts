// public: DocumentLike
import { type Json, type Passage, passage } from "@tessera/core";
import { accessKey, sha256 } from "@tessera/core/internal";
import { z } from "zod";

/** LangChain's Document, by its shape. */
export interface DocumentLike {
  readonly pageContent: string;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  readonly id?: string | undefined;
}

// what a passage has beside its text and metadata, kept under one key of a document's metadata
const key = "tessera";
const kept = passage.pick({ id: true, title: true, source: true, parent: true });
// how LangChain's own splitters and loaders write a place
const location = z.object({ lines: z.object({ from: z.number(), to: z.number() }) });

function jsonOf(value: unknown): Json | undefined {
  try {
    const text = JSON.stringify(value);
    return text === undefined ? undefined : (JSON.parse(text) as Json);
  } catch {
    return undefined;
  }
}

/**
 * A document as a passage. Its id is the document's, or else a hash of its content; `source` and `loc.lines` of the
 * metadata become the passage's source. Metadata that is not JSON is dropped, but for the access list: a damaged one
 * stays, and admits nobody.
 */
export function toPassage({ pageContent, metadata = {}, id }: DocumentLike): Passage {
  const plain: Record<string, Json> = {};
  for (const [name, value] of Object.entries(metadata)) {
    if (name === key) continue;
    const json = jsonOf(value);
    if (json !== undefined) plain[name] = json;
    else if (name === accessKey) plain[name] = null;
  }
  const own = kept.safeParse(metadata[key]);
  if (own.success) return { ...own.data, text: pageContent, metadata: plain };
  const lines = location.safeParse(metadata.loc).data?.lines;
  const { source, title } = metadata;
  return {
    id: id ?? sha256(JSON.stringify([pageContent, plain])).slice(0, 32),
    text: pageContent,
    ...(typeof title === "string" && { title }),
    ...(typeof source === "string" && {
      source: { path: source, ...(lines && { lines: [lines.from, lines.to] as [number, number] }) },
    }),
    metadata: plain,
  };
}

/** A passage as a document, in the shape that LangChain's own loaders give theirs; `toPassage` gives the passage back. */
export function toDocument({ id, text, title, source, parent, metadata }: Passage) {
  return {
    pageContent: text,
    id,
    metadata: {
      ...metadata,
      ...(title !== undefined && metadata.title === undefined && { title }),
      ...(source && metadata.source === undefined && { source: source.path }),
      ...(source?.lines &&
        metadata.loc === undefined && { loc: { lines: { from: source.lines[0], to: source.lines[1] } } }),
      [key]: {
        id,
        ...(title !== undefined && { title }),
        ...(source && { source }),
        ...(parent !== undefined && { parent }),
      },
    } as Record<string, unknown>,
  };
}
