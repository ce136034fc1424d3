import { hash as hashNow } from "node:crypto";
import type { FlowDocument, NodeDocument } from "./document.js";

/** JSON with sorted keys and no `undefined`: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((member) => canonicalJson(member ?? null)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${entries.join(",")}}`;
}

const longText = 1 << 14; // characters
const remembered = 8;
/** The latest long texts that were hashed: a value that passes many nodes is hashed once. */
const latest: { readonly text: string; readonly hash: string }[] = [];

export function sha256(text: string): string {
  if (text.length < longText) return hashNow("sha256", text);
  const known = latest.find((one) => one.text === text);
  if (known) return known.hash;
  const hash = hashNow("sha256", text);
  if (latest.unshift({ text, hash }) > remembered) latest.pop();
  return hash;
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || (typeof value === "object" && value !== null && Object.keys(value).length === 0);

const single = <T>(value: T | T[]): T | T[] => (Array.isArray(value) && value.length === 1 ? value[0]! : value);

function canonicalNode(node: NodeDocument): NodeDocument {
  const { run, with: config, when, repeat, policy, ...rest } = node;
  return {
    ...rest,
    run: typeof run === "string" ? run : canonical(run),
    ...(!isEmpty(config) && { with: config }),
    ...(!isEmpty(when) && {
      when: Object.fromEntries(Object.entries(when!).map(([port, value]) => [port, single(value as never)])),
    }),
    ...(repeat && { repeat: { ...repeat, ...(repeat.until !== undefined && { until: single(repeat.until) }) } }),
    ...(!isEmpty(policy) && { policy }),
  };
}

/** A document without what does not change its meaning: `$schema`, empty settings, lists of one condition. */
export function canonical(document: FlowDocument): FlowDocument {
  const { $schema: _, nodes, ...rest } = document;
  return { ...rest, nodes: Object.fromEntries(Object.entries(nodes).map(([id, node]) => [id, canonicalNode(node)])) };
}

/** The content hash of a document: equal for the same flow, however it was written. */
export const hashDocument = (document: FlowDocument): string => sha256(canonicalJson(canonical(document)));
