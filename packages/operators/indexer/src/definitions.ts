import type { Node } from "web-tree-sitter";
import type { Rows } from "./pieces.js";

/** A named thing in a syntax tree, with the comments and decorators above it. */
export interface Definition {
  /** "function", "class", "method", "interface", "type", "enum", "namespace", "variable", "field", "property". */
  readonly kind: string;
  readonly name: string;
  readonly rows: Rows;
  readonly members: readonly Definition[];
}

type Named = Pick<Definition, "kind" | "name"> & { readonly body?: Node | null };

const kinds: Record<string, string> = {
  abstract_class_declaration: "class",
  abstract_method_signature: "method",
  class: "class",
  class_declaration: "class",
  class_definition: "class",
  enum_declaration: "enum",
  field_definition: "field",
  function_declaration: "function",
  function_definition: "function",
  function_expression: "function",
  function_signature: "function",
  generator_function: "function",
  generator_function_declaration: "function",
  interface_declaration: "interface",
  internal_module: "namespace",
  method_definition: "method",
  method_signature: "method",
  module: "namespace",
  pair: "property",
  public_field_definition: "field",
  type_alias_declaration: "type",
};
const functions = new Set(["arrow_function", "function_expression", "generator_function"]);
// what stands around a definition, and under which field it has it
const wrappers: Record<string, readonly string[]> = {
  ambient_declaration: ["declaration"],
  decorated_definition: ["definition"],
  export_statement: ["declaration", "value"],
};
const containers = new Set(["class", "namespace"]);
const leading = new Set(["comment", "decorator"]);

function rowsOf(node: Node): Rows {
  const [from, { row, column }] = [node.startPosition.row, node.endPosition];
  return [from, column === 0 && row > from ? row - 1 : row];
}

/** The name and kind of a value that is bound to a name. */
function bound(name: string, value: Node | null): Named {
  if (value && functions.has(value.type)) return { kind: "function", name };
  if (value?.type === "class") return { kind: "class", name, body: value.childForFieldName("body") };
  return { kind: "variable", name, body: value?.type === "object" ? value : null };
}

/** `exports.a` is a, `A.prototype.b` is A.b. */
const assigned = (target: string): string =>
  target.replace(/^(module\.)?exports(\.|$)/, "").replace(".prototype.", ".") || "default";

function named(node: Node): Named | undefined {
  const { type } = node;
  for (const field of wrappers[type] ?? []) {
    const inner = node.childForFieldName(field) ?? (type === "ambient_declaration" ? node.namedChild(0) : null);
    if (inner) return named(inner) ?? bound("default", inner);
  }
  if (type === "lexical_declaration" || type === "variable_declaration") {
    const declarator = node.namedChildren.find((child) => child?.type === "variable_declarator");
    const name = declarator?.childForFieldName("name");
    return declarator && name ? bound(name.text, declarator.childForFieldName("value")) : undefined;
  }
  if (type === "expression_statement") {
    const inner = node.namedChild(0);
    if (inner?.type === "internal_module") return named(inner);
    if (inner?.type !== "assignment_expression" && inner?.type !== "assignment") return undefined;
    const target = inner.childForFieldName("left");
    return target ? bound(assigned(target.text), inner.childForFieldName("right")) : undefined;
  }
  const kind = Object.hasOwn(kinds, type) ? kinds[type]! : undefined;
  if (!kind) return undefined;
  const name = node.childForFieldName("name") ?? node.childForFieldName("property") ?? node.childForFieldName("key");
  const value = node.childForFieldName("value");
  const method = (kind === "field" || kind === "property") && value && functions.has(value.type);
  return {
    kind: method ? "method" : kind,
    name: name?.text.replace(/^(["'])(.*)\1$/, "$2") ?? "default",
    body: containers.has(kind) ? node.childForFieldName("body") : null,
  };
}

/** The children of a node, with those of damaged parts in their place. */
function* childrenOf(node: Node): Generator<Node> {
  for (const child of node.namedChildren) {
    if (!child) continue;
    if (child.type === "ERROR") yield* childrenOf(child);
    else yield child;
  }
}

/** The definitions directly inside a node, in order. Overloads are one definition with what they overload. */
export function definitionsIn(container: Node, inClass = false): Definition[] {
  const found: Definition[] = [];
  let lead: Rows | undefined; // comments and decorators that touch the next node
  let end = -1; // the last row of what came before
  for (const node of childrenOf(container)) {
    const [from, to] = rowsOf(node);
    if (leading.has(node.type)) {
      if (from !== end) lead = lead && from <= lead[1] + 1 ? [lead[0], to] : [from, to];
      continue;
    }
    const definition = named(node);
    if (definition) {
      const start = lead && from <= lead[1] + 1 ? lead[0] : from;
      const { kind, name, body } = definition;
      const before = found.at(-1);
      if (before && before.name === name && before.rows[1] + 1 >= start && /function|method/.test(before.kind))
        found[found.length - 1] = { ...before, rows: [before.rows[0], to] };
      else
        found.push({
          kind: inClass && kind === "function" ? "method" : kind,
          name,
          rows: [start, to],
          members: body ? definitionsIn(body, kind === "class") : [],
        });
    }
    lead = undefined;
    end = to;
  }
  return found;
}
