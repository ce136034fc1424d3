import type { Hit } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import type { SearchSettings } from "./search-settings.js";
import type { McpContent, McpResult } from "./server.js";

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What stands at a place of names with dots between them; a name may hold dots itself. */
function at(value: unknown, path: string): unknown {
  if (!isFields(value)) return undefined;
  if (Object.hasOwn(value, path)) return value[path];
  for (let dot = path.indexOf("."); dot > 0; dot = path.indexOf(".", dot + 1)) {
    const name = path.slice(0, dot);
    if (!Object.hasOwn(value, name)) continue;
    const found = at(value[name], path.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A value as text: a list in lines, numbers as they are written; nothing for objects. */
function asText(value: unknown): string {
  if (typeof value === "string") return value.trim();
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return value.map(asText).filter(Boolean).join("\n");
  return "";
}

function asJson(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const label = /^[ \t]*(?:[-*][ \t]+)?(?:\*\*)?([A-Za-z][A-Za-z _-]{0,30})(?:\*\*)?:(?:\*\*)?[ \t]+(\S.*)$/;

/** A text of hits with labelled lines ("Title: …", "URL: …"), parted by blank lines or by the first label coming again. */
function labelled(text: string): Fields[] {
  const found: Record<string, string>[] = [];
  let last: string | undefined;
  let first: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    const [, name, value] = label.exec(line) ?? [];
    if (name === undefined) {
      if (line.trim() !== "" && last !== undefined) found.at(-1)![last] += `\n${line.trim()}`;
      continue;
    }
    const key = name.trim().toLowerCase();
    first ??= key;
    if (key === first) found.push({});
    last = key;
    const own = found.at(-1)!;
    own[key] = own[key] === undefined ? value! : `${own[key]}\n${value}`;
  }
  return found;
}

// what servers call the parts of a hit
const usual = {
  hits: ["results", "hits", "items", "documents", "data", "organic", "web.results", "entities", "matches", "result"],
  text: ["text", "content", "snippet", "description", "summary", "body", "observations", "raw_content", "abstract"],
  title: ["title", "name", "heading"],
  address: ["url", "link", "uri", "href", "source", "path"],
};

/** The list of hits in a JSON value: where the settings say, or where such lists usually stand. */
function listIn(value: unknown, path: string | undefined): readonly unknown[] | undefined {
  if (path !== undefined) {
    const found = at(value, path);
    return Array.isArray(found) ? found : found === undefined ? undefined : [found];
  }
  if (Array.isArray(value)) return value;
  for (const one of usual.hits) {
    const found = at(value, one);
    if (Array.isArray(found)) return found;
  }
  return undefined;
}

interface Found {
  readonly text: string;
  readonly title?: string | undefined;
  readonly address?: string | undefined;
}

function fromFields(one: unknown, settings: SearchSettings): Found {
  if (!isFields(one)) return { text: asText(one) };
  const first = (names: readonly string[]): string | undefined =>
    names.map((name) => asText(at(one, name))).find((text) => text !== "");
  const title = first(settings.title === undefined ? usual.title : [settings.title]);
  const text =
    settings.text === undefined
      ? first(usual.text)
      : settings.text
          .map((name) => asText(at(one, name)))
          .filter(Boolean)
          .join("\n");
  return {
    text: text || title || "",
    title,
    address: first(settings.address === undefined ? usual.address : [settings.address]),
  };
}

/** The hits of a block of text: a JSON list or object, labelled lines, or the text itself. */
function fromBlock({ kind, text, address, title }: McpContent, settings: SearchSettings): Found[] {
  if (kind === "link") return [{ text: text || title || "", title, address }];
  if (kind !== "text" || text === undefined) return [];
  const json = asJson(text);
  if (json !== undefined) {
    const list = listIn(json, settings.hits);
    if (list) return list.map((one) => fromFields(one, settings));
    return settings.hits === undefined ? [fromFields(json, settings)] : [];
  }
  if (settings.hits !== undefined) return [];
  const lines = labelled(text);
  const isList = lines.some((one) => usual.address.some((name) => name in one)) || settings.address !== undefined;
  if (isList) return lines.map((one) => fromFields(one, settings));
  return [{ text: text.trim(), title, address }];
}

/** The hits of a result: of its JSON if it has hits there, else of its blocks, in the order of the server. */
export function hitsOf(
  result: McpResult,
  settings: SearchSettings,
  {
    operator,
    server,
    top,
  }: {
    readonly operator: string;
    readonly server: string;
    readonly top: number;
  },
): Hit[] {
  const list = result.structured === undefined ? undefined : listIn(result.structured, settings.hits);
  const found = list
    ? list.map((one) => fromFields(one, settings))
    : result.content.flatMap((block) => fromBlock(block, settings));
  const seen = new Set<string>();
  const hits: Hit[] = [];
  for (const { text, title, address } of found) {
    const id = address ?? `${server}:${sha256(`${title ?? ""}\n${text}`).slice(0, 16)}`;
    if (text === "" || seen.has(id) || hits.length >= top) continue;
    seen.add(id);
    const rank = hits.length + 1;
    const score = 1 / rank;
    hits.push({
      passage: {
        id,
        text,
        ...(title !== undefined && { title }),
        ...(address !== undefined && { source: { path: address } }),
        metadata: {},
      },
      score,
      provenance: [{ operator, rank, score }],
    });
  }
  return hits;
}
