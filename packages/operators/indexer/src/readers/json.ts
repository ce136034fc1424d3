import { missing } from "@tessera/core/internal";
import type { Node } from "jsonc-parser";
import { type Block, type Reader, type ReaderContext, UnreadFile } from "./reader.js";
import { type Tree, treeBlocks } from "./tree.js";

/** The line of an offset of a text, from 1. */
function lineCounter(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
}

/** A value of JSON, with comments and commas too many. @throws UnreadFile "damaged", "limit" */
async function parseJson(text: string, context: ReaderContext): Promise<Tree> {
  const { parseTree } = await import("jsonc-parser").catch(missing("jsonc-parser"));
  assertDepth(text, context.limits.depth);
  const root = parseTree(text, [], { allowTrailingComma: true });
  if (!root) throw new UnreadFile("damaged", "it is no JSON");
  const line = lineCounter(text);
  const treeOf = ({ type, value, offset, length, children = [] }: Node): Tree => {
    const lines = [line(offset), line(offset + Math.max(0, length - 1))] as const;
    if (type === "array") return { kind: "list", lines, items: children.map(treeOf) };
    if (type !== "object") return { kind: "value", lines, text: String(value) };
    const entries = children.flatMap(({ children: [key, member] = [], offset: from, length: size }) =>
      key && member
        ? [
            {
              name: String(key.value),
              value: treeOf(member),
              lines: [line(from), line(from + Math.max(0, size - 1))] as const,
            },
          ]
        : [],
    );
    return { kind: "map", lines, entries };
  };
  return treeOf(root);
}

function assertDepth(text: string, most: number): void {
  let depth = 0;
  for (const [sign] of text.matchAll(/"(?:[^"\\\n]|\\.)*"|[[\]{}]/g)) {
    if (sign === "[" || sign === "{") depth++;
    else if (sign === "]" || sign === "}") depth--;
    if (depth > most) throw new UnreadFile("limit", "its values are nested too deep");
  }
}

/** JSON: each value with its path. */
export const jsonReader: Reader = {
  name: "json",
  version: 1,
  extensions: ["json", "jsonc", "json5", "geojson", "webmanifest"],
  async read({ path, bytes }, context) {
    const text = await context.text(bytes);
    try {
      return { kind: "blocks", blocks: treeBlocks(await parseJson(text, context)) };
    } catch (error) {
      // what is no JSON is a text: a template, an example with dots
      if (error instanceof UnreadFile && error.reason === "damaged" && text.trim() !== "")
        return { kind: "text", text, language: path.endsWith("5") ? "text" : "json" };
      throw error;
    }
  },
};

/** One value a line: each is a record. */
export const jsonLinesReader: Reader = {
  name: "jsonl",
  version: 1,
  extensions: ["jsonl", "ndjson", "jsonlines"],
  binary: true,
  async read({ bytes }, context) {
    const blocks: Block[] = [];
    const broken: number[] = [];
    const lines = (await context.text(bytes)).split("\n");
    for (const [index, line] of lines.entries()) {
      if (line.trim() === "") continue;
      let value: unknown;
      try {
        value = JSON.parse(line);
      } catch {
        broken.push(index + 1);
        continue;
      }
      const fields = [...flat(value, "")];
      if (fields.length > 0) blocks.push({ kind: "record", fields, lines: [index + 1, index + 1] });
    }
    const shown = `${broken.slice(0, 5).join(", ")}${broken.length > 5 ? ", …" : ""}`;
    return {
      kind: "blocks",
      blocks,
      unread: broken.length > 0 ? [{ reason: "partial", detail: `lines ${shown}: no JSON` }] : [],
    };
  },
};

function* flat(value: unknown, path: string): Generator<readonly [string, string]> {
  if (value === null || typeof value !== "object") yield [path, String(value).slice(0, 2_000)];
  else if (Array.isArray(value) && value.every((one) => one === null || typeof one !== "object"))
    yield [path, value.join(", ")];
  else for (const [name, inner] of Object.entries(value)) yield* flat(inner, path === "" ? name : `${path}.${name}`);
}
