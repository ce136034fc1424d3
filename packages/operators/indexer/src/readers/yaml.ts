import { missing } from "@tessera/core/internal";
import type { Document, LineCounter, Node, Pair, Scalar } from "yaml";
import { type Block, type Reader, UnreadFile } from "./reader.js";
import { type Tree, treeBlocks } from "./tree.js";

/** YAML: each value with its path, and the comment above or beside it. */
export const yamlReader: Reader = {
  name: "yaml",
  version: 1,
  extensions: ["yaml", "yml"],
  async read({ bytes }, context) {
    const yaml = await import("yaml").catch(missing("yaml"));
    const text = await context.text(bytes);
    const counter = new yaml.LineCounter();
    let documents: Document.Parsed[];
    try {
      const parsed = yaml.parseAllDocuments(text, {
        lineCounter: counter,
        keepSourceTokens: false,
        logLevel: "silent",
        uniqueKeys: false,
      });
      documents = Array.isArray(parsed) ? (parsed as Document.Parsed[]) : [];
    } catch {
      documents = [];
    }
    // a template of YAML is a text
    if (documents.length === 0 || documents.some(({ errors }) => errors.length > 0))
      return { kind: "text", text, language: "yaml" };
    const blocks: Block[] = [];
    for (const document of documents)
      if (document.contents)
        blocks.push(
          ...treeBlocks(treeOf(document.contents as Node, { yaml, counter, document, depth: context.limits.depth })),
        );
    if (blocks.length === 0) return { kind: "text", text, language: "yaml" };
    return { kind: "blocks", blocks };
  },
};

interface Around {
  readonly yaml: typeof import("yaml");
  readonly counter: LineCounter;
  readonly document: Document.Parsed;
  readonly depth: number;
}

const noteOf = (...comments: (string | null | undefined)[]): string =>
  comments.filter(Boolean).join(" ").replace(/\s+/g, " ").trim();

function treeOf(node: Node, around: Around, above = ""): Tree {
  const { yaml, counter, depth } = around;
  if (depth < 0) throw new UnreadFile("limit", "its values are nested too deep");
  const inner = { ...around, depth: depth - 1 };
  const [from = 0, to = from] = node.range ?? [];
  const lines = [counter.linePos(from).line, counter.linePos(Math.max(from, to - 1)).line] as const;
  const note = noteOf(above, node.commentBefore, node.comment);
  const common = { lines, ...(note !== "" && { note }) };
  if (yaml.isMap(node)) {
    const entries = node.items.flatMap((pair: Pair) => {
      const key = pair.key as Scalar;
      const value = pair.value as Node | null;
      const [start = from] = key?.range ?? [];
      const tree: Tree = value
        ? treeOf(value, inner, key?.commentBefore ?? "")
        : { kind: "value", text: "null", lines };
      const first = counter.linePos(start).line;
      return [
        {
          name: String(yaml.isScalar(key) ? key.value : key),
          value: tree,
          lines: [first, Math.max(first, tree.lines[1])] as const,
        },
      ];
    });
    return { ...common, kind: "map", entries };
  }
  if (yaml.isSeq(node))
    return { ...common, kind: "list", items: node.items.map((item) => treeOf(item as Node, inner)) };
  if (yaml.isAlias(node)) return { ...common, kind: "value", text: `*${node.source}` };
  // as it is written: "0.10", "012", "yes", "2024-01-01"
  return { ...common, kind: "value", text: String((node as Scalar).source ?? (node as Scalar).value) };
}
