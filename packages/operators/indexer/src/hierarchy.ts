// public: hierarchy
import { operator, type Passage, passages } from "@tessera/core";
import { accessKey } from "@tessera/core/internal";
import { z } from "zod";

/** The names from the top down to the node that a passage hangs from. */
const places = {
  headings: ({ id, source, metadata }: Passage): string[] => [
    source?.path ?? id,
    ...(Array.isArray(metadata.headings) ? metadata.headings.map(String) : []),
  ],
  folders: ({ id, source }: Passage): string[] => (source?.path ?? id).split("/"),
};

interface Branch {
  readonly names: readonly string[];
  readonly parent: Branch | undefined;
  readonly branches: Set<Branch>;
  readonly leaves: Passage[];
}

const idOf = ({ names }: Branch): string => `tree:${names.join(" > ")}`;

const isOpen = ({ metadata }: Passage): boolean => !Object.hasOwn(metadata, accessKey);

const below = ({ branches, leaves }: Branch): Passage[] => [...leaves, ...[...branches].flatMap(below)];

/** Who may see a node of nothing but restricted passages: those who may see one of them; a damaged list admits nobody. */
const accessTo = (leaves: readonly Passage[]): string[] => [
  ...new Set(
    leaves.flatMap(({ metadata }) => (Array.isArray(metadata[accessKey]) ? metadata[accessKey].map(String) : [])),
  ),
];

/**
 * Words that stand for what is below a node: the names of its branches, then the beginnings of its passages, each with an
 * equal share of `size` words. Restricted passages lend no words, nor their branches names.
 */
function summaryOf(branch: Branch, open: readonly Passage[], size: number): string {
  const names = [...branch.branches]
    .filter((inner) => below(inner).some(isOpen))
    .map(({ names: inner }) => inner.at(-1)!);
  const symbols = open.flatMap(({ source }) => source?.symbol ?? []);
  const share = Math.max(3, Math.floor(size / Math.max(1, open.length)));
  const beginnings = open.map(({ text }) => text.split(/\s+/).filter(Boolean).slice(0, share).join(" "));
  return [branch.names.at(-1)!, ...names, ...symbols, ...beginnings]
    .join("\n")
    .split(/(?<=\s)/)
    .slice(0, size)
    .join("")
    .trim();
}

/**
 * Builds the tree that passages hang from, by their headings (below their document) or by the folders of their path.
 * Each node is a passage whose text sums up what is below it: `metadata.level` counts from 0 at the top, and
 * `metadata.children` counts its nodes and passages. The parent of a passage, and of a node, is the node above it.
 * Index both together; `indexer.descend` searches them from the top down.
 */
export const hierarchy = operator({
  name: "indexer.hierarchy",
  version: 1,
  about: {
    module: "indexing",
    submodule: "structure organisation",
    paper: "Modular RAG, operator 4 (structural-aware)",
    summary: "Hangs passages from a tree of headings or folders, whose nodes sum up what is below them.",
  },
  config: z.strictObject({
    by: z.enum(["headings", "folders"]).default("headings"),
    /** Words of a summary. */
    words: z.int().positive().default(120),
  }),
  ports: { input: { passages }, output: { passages, nodes: passages } },
  effects: "none",
  setup:
    ({ by, words }) =>
    ({ passages: list }) => {
      const tree = new Map<string, Branch>();
      const branchOf = (names: readonly string[]): Branch => {
        const key = JSON.stringify(names);
        let branch = tree.get(key);
        if (!branch) {
          const parent = names.length > 1 ? branchOf(names.slice(0, -1)) : undefined;
          branch = { names, parent, branches: new Set(), leaves: [] };
          tree.set(key, branch);
          parent?.branches.add(branch);
        }
        return branch;
      };
      const hung = list.map((passage: Passage) => {
        const branch = branchOf(places[by](passage));
        branch.leaves.push(passage);
        return { ...passage, parent: idOf(branch) };
      });
      const nodes = [...tree.values()].map((branch): Passage => {
        const leaves = below(branch);
        const open = leaves.filter(isOpen);
        return {
          id: idOf(branch),
          text: summaryOf(branch, open, words),
          title: branch.names.join(by === "headings" ? " > " : "/"),
          ...(branch.parent && { parent: idOf(branch.parent) }),
          metadata: {
            level: branch.names.length - 1,
            children: branch.branches.size + branch.leaves.length,
            ...(open.length === 0 && { [accessKey]: accessTo(leaves) }),
          },
        };
      });
      return { passages: hung, nodes };
    },
});
