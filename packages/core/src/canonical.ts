// internal: canonicalJson, sha256, canonical, hashing, hashDocument
import crypto, { createHash } from "node:crypto";
import type { FlowDocument, NodeDocument } from "./document.js";
import { TesseraError } from "./errors.js";
import { atOnce, type Sliced } from "./slices.js";

const nesting = 10_000; // more than any stack would have taken
const piece = 1 << 16; // characters of text that are handed on together

/** A list or an object that is being written, and how far. */
interface Open {
  readonly value: Record<string | number, unknown>;
  /** The keys of an object; undefined for a list. */
  readonly keys: readonly string[] | undefined;
  readonly length: number;
  at: number;
}

/**
 * JSON with sorted keys and no `undefined`: equal values give equal text.
 * @throws TesseraError BAD_VALUE where it is nested more than 10,000 deep, or refers to itself
 */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return plain(value);
  const parts: string[] = [];
  atOnce(writing(value, (text) => parts.push(text)));
  return parts.length === 1 ? parts[0]! : parts.join("");
}

const plain = (value: unknown): string => JSON.stringify(value) ?? "null";

/** Writes the text of `canonicalJson` part by part, without recursion. */
function* writing(value: object, write: (text: string) => void): Sliced<void> {
  const opened: Open[] = [open(value)];
  let text = opened[0]!.keys ? "{" : "[";
  for (let visits = 1; opened.length > 0; visits++) {
    const top = opened.at(-1)!;
    if (top.at === top.length) {
      text += top.keys ? "}" : "]";
      opened.pop();
      continue;
    }
    const key = top.keys?.[top.at];
    if (top.at++ > 0) text += ",";
    if (key !== undefined) text += `${JSON.stringify(key)}:`;
    const member = top.value[key ?? top.at - 1];
    if (typeof member === "object" && member !== null) {
      if (opened.length === nesting)
        throw new TesseraError("BAD_VALUE", `the value is nested more than ${nesting} deep, or refers to itself`);
      const inner = open(member);
      opened.push(inner);
      text += inner.keys ? "{" : "[";
    } else text += plain(member);
    if (text.length > piece) {
      write(text);
      text = "";
    }
    if (visits % 1000 === 0) yield;
  }
  write(text);
}

function open(value: object): Open {
  const members = value as Open["value"];
  if (Array.isArray(value)) return { value: members, keys: undefined, length: value.length, at: 0 };
  const keys = Object.keys(value)
    .filter((key) => members[key] !== undefined)
    .sort();
  return { value: members, keys, length: keys.length, at: 0 };
}

const longText = 1 << 14; // characters
const remembered = 8;
/** The latest long texts that were hashed: a value that passes many nodes is hashed once. */
const latest: { readonly text: string; readonly hash: string }[] = [];

export function sha256(text: string): string {
  if (text.length < longText) return crypto.hash("sha256", text);
  const known = latest.find((one) => one.text === text);
  if (known) return known.hash;
  const hash = crypto.hash("sha256", text);
  if (latest.unshift({ text, hash }) > remembered) latest.pop();
  return hash;
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || (typeof value === "object" && value !== null && Object.keys(value).length === 0);

const single = <T>(value: T | T[]): T | T[] => (Array.isArray(value) && value.length === 1 ? value[0]! : value);

function* canonicalNode(node: NodeDocument): Sliced<NodeDocument> {
  const { run, with: config, when, repeat, policy, ...rest } = node;
  return {
    ...rest,
    run: typeof run === "string" ? run : yield* canonicalInSlices(run),
    ...(!isEmpty(config) && { with: config }),
    ...(!isEmpty(when) && {
      when: Object.fromEntries(Object.entries(when!).map(([port, value]) => [port, single(value as never)])),
    }),
    ...(repeat && { repeat: { ...repeat, ...(repeat.until !== undefined && { until: single(repeat.until) }) } }),
    ...(!isEmpty(policy) && { policy }),
  };
}

/** A document without what does not change its meaning: `$schema`, empty settings, lists of one condition. */
export const canonical = (document: FlowDocument): FlowDocument => atOnce(canonicalInSlices(document));

function* canonicalInSlices(document: FlowDocument): Sliced<FlowDocument> {
  const { $schema: _, nodes: given, ...rest } = document;
  const nodes: [string, NodeDocument][] = [];
  for (const [id, node] of Object.entries(given)) {
    nodes.push([id, yield* canonicalNode(node)]);
    if (nodes.length % 64 === 0) yield;
  }
  return { ...rest, nodes: Object.fromEntries(nodes) };
}

/** The content hash of a document: equal for the same flow, however it was written. */
export const hashDocument = (document: FlowDocument): string => atOnce(hashing(document));

/** As `hashDocument`, in slices. */
export function* hashing(document: FlowDocument): Sliced<string> {
  const hash = createHash("sha256");
  yield* writing(yield* canonicalInSlices(document), (text) => hash.update(text));
  return hash.digest("hex");
}
