import type { Block, Field } from "./reader.js";

/** A value of JSON or YAML with the lines that it stands on. */
export type Tree = { readonly lines: readonly [from: number, to: number]; readonly note?: string } & (
  | { readonly kind: "value"; readonly text: string }
  | { readonly kind: "list"; readonly items: readonly Tree[] }
  | {
      readonly kind: "map";
      readonly entries: readonly {
        readonly name: string;
        readonly value: Tree;
        readonly lines: readonly [number, number];
      }[];
    }
);

const longest = 1_000; // characters of a value that are kept
const together = 900; // characters of values that stand in one passage

/** A long value, or one that is data in letters, is cut. */
const shortText = (text: string): string => {
  const most = /^[A-Za-z0-9+/=_-]{200,}$/.test(text) ? 40 : longest;
  return text.length > most ? `${text.slice(0, most)} … (${text.length} characters)` : text;
};

const isPlain = (name: string): boolean => /^[\p{L}_$@][\p{L}\p{N}_$@/-]*$/u.test(name);
const below = (path: string, name: string): string =>
  isPlain(name) ? (path === "" ? name : `${path}.${name}`) : `${path}[${JSON.stringify(name)}]`;

const isFlat = (tree: Tree): boolean =>
  tree.kind === "value" || (tree.kind === "list" && tree.items.every(({ kind }) => kind === "value"));

/** The values of a tree with their paths: "server.limits.size". A list of values is one. */
function* fieldsIn(tree: Tree, path: string): Generator<Field> {
  const note = tree.note ? `  # ${tree.note}` : "";
  if (tree.kind === "value") yield [path, shortText(tree.text) + note];
  else if (isFlat(tree))
    yield [
      path,
      shortText(
        (tree.kind === "list" ? tree.items : []).map((item) => (item.kind === "value" ? item.text : "")).join(", "),
      ) + note,
    ];
  else if (tree.kind === "list")
    for (const [index, item] of tree.items.entries()) yield* fieldsIn(item, `${path}[${index}]`);
  else {
    if (note) yield [path, note.trim()];
    for (const { name, value } of tree.entries) yield* fieldsIn(value, below(path, name));
  }
}

/** Whether a list of maps stands anywhere in a tree: each of its elements is a passage. */
const isTable = (tree: Tree): boolean =>
  tree.kind === "list" && tree.items.filter(({ kind }) => kind === "map").length > 1;
const holdsTable = (tree: Tree): boolean =>
  isTable(tree) ||
  (tree.kind === "list"
    ? tree.items.some(holdsTable)
    : tree.kind === "map" && tree.entries.some(({ value }) => holdsTable(value)));

const sizeOf = (tree: Tree): number => {
  let size = 0;
  for (const [path, value] of fieldsIn(tree, "")) size += path.length + value.length + 4;
  return size;
};

/** The values of a tree as records: what belongs together and is short stands in one, each element of a list of maps alone. */
export function treeBlocks(root: Tree): Block[] {
  const blocks: Block[] = [];
  const visit = (tree: Tree, path: string, lines: readonly [number, number]): void => {
    if (!holdsTable(tree) && (isFlat(tree) || sizeOf(tree) <= together)) {
      const fields = [...fieldsIn(tree, path)];
      if (fields.length > 0) blocks.push({ kind: "record", fields, perLine: true, lines });
    } else if (tree.kind === "list")
      for (const [index, item] of tree.items.entries()) element(item, `${path}[${index}]`);
    else if (tree.kind === "map") members(tree, path);
  };
  /** An element of a list: its values by their own names where that is a table, else by their whole path. */
  const element = (item: Tree, path: string): void => {
    if (sizeOf(item) > together) return visit(item, path, item.lines);
    const isRow = item.kind === "map" && item.entries.every(({ value }) => isFlat(value));
    const fields = [...fieldsIn(item, isRow ? "" : path)];
    if (fields.length > 0)
      blocks.push({
        kind: "record",
        fields: isRow && !/^\[\d+\]$/.test(path) ? [["", path], ...fields] : fields,
        perLine: !isRow,
        lines: item.lines,
      });
  };
  /** Small members that follow one another stand together. */
  const members = ({ entries }: Tree & { kind: "map" }, path: string): void => {
    let open: { fields: Field[]; size: number; lines: [number, number] } | undefined;
    const flush = () => {
      if (open) blocks.push({ kind: "record", fields: open.fields, perLine: true, lines: open.lines });
      open = undefined;
    };
    for (const { name, value, lines } of entries) {
      const size = sizeOf(value);
      if (size > together || holdsTable(value)) {
        flush();
        visit(value, below(path, name), lines);
        continue;
      }
      if (open && open.size + size > together) flush();
      open ??= { fields: [], size: 0, lines: [lines[0], lines[1]] };
      open.fields.push(...fieldsIn(value, below(path, name)));
      open.size += size;
      open.lines[1] = lines[1];
    }
    flush();
  };
  visit(root, "", root.lines);
  return blocks;
}
