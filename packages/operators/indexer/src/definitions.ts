import type { Node } from "web-tree-sitter";
import type { Rows } from "./pieces.js";

/** A named thing in a syntax tree, with the comments and decorators above it. */
export interface Definition {
  /** "function", "class", "method", "interface", "type", "enum", "namespace", "variable", "field", "property", "prototype", "rule". */
  readonly kind: string;
  readonly name: string;
  /** Where one declaration gives several names: all of them. */
  readonly names?: readonly string[];
  readonly rows: Rows;
  readonly members: readonly Definition[];
}

type Named = Pick<Definition, "kind" | "name" | "names"> & { readonly body?: Node | null };

// what a node of a syntax tree defines, in the grammars of all languages; what is not here defines nothing
const kinds: Record<string, string> = {
  abstract_class_declaration: "class",
  abstract_method_signature: "method",
  alias_declaration: "type",
  annotation_type_declaration: "interface",
  class: "class",
  class_declaration: "class",
  class_definition: "class",
  class_specifier: "class",
  concept_definition: "type",
  const_item: "variable",
  constructor_declaration: "method",
  delegate_declaration: "type",
  destructor_declaration: "method",
  enum_declaration: "enum",
  enum_item: "enum",
  enum_specifier: "enum",
  event_declaration: "field",
  field_definition: "field",
  function_declaration: "function",
  function_definition: "function",
  function_expression: "function",
  function_item: "function",
  function_signature: "function",
  function_signature_item: "function",
  generator_function: "function",
  generator_function_declaration: "function",
  impl_item: "class",
  interface_declaration: "interface",
  internal_module: "namespace",
  keyframes_statement: "rule",
  local_function_statement: "function",
  macro_definition: "function",
  media_statement: "rule",
  method: "method",
  method_declaration: "method",
  method_definition: "method",
  method_signature: "method",
  mod_item: "namespace",
  module: "namespace",
  namespace_declaration: "namespace",
  namespace_definition: "namespace",
  operator_declaration: "method",
  pair: "property",
  preproc_def: "variable",
  preproc_function_def: "function",
  property_declaration: "property",
  public_field_definition: "field",
  record_declaration: "class",
  rule_set: "rule",
  singleton_method: "method",
  static_item: "variable",
  struct_declaration: "class",
  struct_item: "class",
  struct_specifier: "class",
  trait_declaration: "interface",
  trait_item: "interface",
  type_alias_declaration: "type",
  type_item: "type",
  union_item: "class",
  union_specifier: "class",
};
const functions = new Set(["arrow_function", "function_expression", "generator_function"]);
// what stands around a definition, and under which field it has it
const wrappers: Record<string, readonly string[]> = {
  ambient_declaration: ["declaration"],
  decorated_definition: ["definition"],
  export_statement: ["declaration", "value"],
};
const containers = new Set(["class", "namespace", "interface", "enum"]);
const leading = new Set([
  "comment",
  "line_comment",
  "block_comment",
  "decorator",
  "attribute_item",
  "inner_attribute_item",
]);
// what is no scope of its own: conditions of a preprocessor, extern "C"
const transparent = new Set([
  "ERROR",
  "preproc_ifdef",
  "preproc_if",
  "preproc_else",
  "preproc_elif",
  "preproc_elifdef",
  "linkage_specification",
  "enum_body_declarations",
]);
const nested = 12; // rows from which on a function is looked into for functions of its own

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

/** The names of a pattern that takes a value apart. */
function namesIn(pattern: Node): string[] {
  if (/^(?:shorthand_property_)?identifier(?:_pattern)?$/.test(pattern.type)) return [pattern.text];
  if (pattern.type === "pair_pattern") return namesIn(pattern.childForFieldName("value")!);
  if (/_assignment_pattern$|^assignment_pattern$/.test(pattern.type))
    return namesIn(pattern.childForFieldName("left")!);
  return pattern.namedChildren.flatMap((child) => (child ? namesIn(child) : []));
}

function declared(node: Node): Named | undefined {
  const declarators = node.namedChildren.filter((child) => child?.type === "variable_declarator") as Node[];
  const first = declarators.find((one) => functions.has(one.childForFieldName("value")?.type ?? "")) ?? declarators[0];
  const name = first?.childForFieldName("name");
  if (!first || !name) return undefined;
  const names = declarators.flatMap((one) => namesIn(one.childForFieldName("name") ?? one));
  if (name.type === "identifier") {
    const one = bound(name.text, first.childForFieldName("value"));
    return names.length > 1 && one.kind === "variable" ? { ...one, names, body: null } : one;
  }
  return names.length > 0 ? { kind: "variable", name: names[0]!, names } : undefined;
}

/** What a C or C++ declarator declares: the name, and whether it is a function. */
function declaratorOf(node: Node | null): { name: string; callable: boolean } | undefined {
  let callable = false;
  for (
    let at = node;
    at;
    at = at.childForFieldName("declarator") ?? (at.type === "reference_declarator" ? at.namedChild(0) : null)
  ) {
    if (at.type === "function_declarator") callable = true;
    if (
      /^(?:(?:field_|type_|qualified_)?identifier|destructor_name|operator_name|operator_cast|template_function)$/.test(
        at.type,
      )
    )
      return {
        name: at.text
          .replace(/<[^<>]*>/g, "")
          .replaceAll("::", ".")
          .replace(/\s+/g, ""),
        callable,
      };
  }
  return undefined;
}

/** Go's methods by their receiver, its types, constants and variables; declarations of C and C++; parts of Rust and CSS. */
function namedElsewhere(node: Node): Named | undefined {
  const { type } = node;
  if (type === "method_declaration" && node.childForFieldName("receiver")) {
    const receiver = /(\w+)\s*(?:\[[^\]]*\])?\s*\)$/.exec(node.childForFieldName("receiver")!.text)?.[1];
    const name = node.childForFieldName("name")?.text ?? "default";
    return { kind: "method", name: receiver === undefined ? name : `${receiver}.${name}` };
  }
  if (type === "type_declaration" || type === "const_declaration" || type === "var_declaration") {
    const specs = node.descendantsOfType([
      "type_spec",
      "type_alias",
      "const_spec",
      "var_spec",
      "const_element",
    ]) as Node[];
    const names = specs.flatMap((spec) => spec.childrenForFieldName("name").map((name) => name?.text ?? ""));
    const found = names.length > 0 ? names : specs.map((spec) => spec.namedChild(0)?.text ?? "");
    if (found.length === 0) return undefined;
    const structure = /^(?:struct|interface)_type$/.test(specs[0]?.childForFieldName("type")?.type ?? "");
    const kind = type === "type_declaration" ? (structure && found.length === 1 ? "class" : "type") : "variable";
    return { kind, name: found[0]!, ...(found.length > 1 && { names: found }) };
  }
  if (type === "template_declaration") {
    const inner = node.namedChildren.at(-1);
    return inner ? named(inner) : undefined;
  }
  if (
    type === "function_definition" ||
    type === "declaration" ||
    type === "field_declaration" ||
    type === "type_definition"
  ) {
    const declarator = node.childForFieldName("declarator");
    const found = declaratorOf(declarator);
    if (found) {
      const kind =
        type === "type_definition"
          ? "type"
          : found.callable
            ? type === "function_definition"
              ? "function"
              : "prototype"
            : type === "field_declaration"
              ? "field"
              : "variable";
      const inner = node.childForFieldName("type");
      return { kind, name: found.name, body: type === "type_definition" ? inner?.childForFieldName("body") : null };
    }
    if (declarator?.type === "variable_declarator")
      return { kind: "field", name: declarator.childForFieldName("name")?.text ?? declarator.text };
    const own =
      node.childForFieldName("type") ?? node.namedChildren.find((child) => child?.type === "variable_declaration");
    return own && Object.hasOwn(kinds, own.type) ? named(own) : undefined;
  }
  if (type === "impl_item") {
    const name = node.childForFieldName("type")?.text.replace(/<[\s\S]*$/, "") ?? "default";
    return { kind: "class", name, body: node.childForFieldName("body") };
  }
  if (type === "rule_set" || type === "media_statement" || type === "keyframes_statement") {
    const name = node.text.slice(0, node.text.indexOf("{")).trim().split("\n")[0]!.slice(0, 80);
    return {
      kind: "rule",
      name,
      body: node.namedChildren.find((child) => type !== "rule_set" && child?.type === "block"),
    };
  }
  return undefined;
}

function named(node: Node): Named | undefined {
  const { type } = node;
  for (const field of wrappers[type] ?? []) {
    const inner = node.childForFieldName(field) ?? (type === "ambient_declaration" ? node.namedChild(0) : null);
    if (inner) return named(inner) ?? bound("default", inner);
  }
  if (type === "lexical_declaration" || type === "variable_declaration") return declared(node);
  if (type === "expression_statement") {
    const inner = node.namedChild(0);
    if (inner?.type === "internal_module") return named(inner);
    if (inner?.type === "call_expression") return wrapped(inner);
    if (inner?.type !== "assignment_expression" && inner?.type !== "assignment") return undefined;
    const target = inner.childForFieldName("left");
    return target ? bound(assigned(target.text), inner.childForFieldName("right")) : undefined;
  }
  const elsewhere = namedElsewhere(node);
  if (elsewhere) return elsewhere;
  const kind = Object.hasOwn(kinds, type) ? kinds[type]! : undefined;
  if (!kind) return undefined;
  // a name that nothing but a body may follow, as in `struct point p`, defines nothing
  if (/_specifier$/.test(type) && !node.childForFieldName("body")) return undefined;
  const name = node.childForFieldName("name") ?? node.childForFieldName("property") ?? node.childForFieldName("key");
  const value = node.childForFieldName("value");
  const method = (kind === "field" || kind === "property") && value && functions.has(value.type);
  const text = name?.text.replace(/^(["'])(.*)\1$/, "$2").replaceAll("::", ".") ?? "default";
  return {
    kind: method ? "method" : kind,
    name: text === "extends" ? "default" : text, // which the grammar takes for a name where there is none
    body: containers.has(kind) || /function|method/.test(kind) ? node.childForFieldName("body") : null,
  };
}

/** A function that is called where it stands, as modules were once written: what is defined in it is of the file. */
function wrapped(call: Node): Named | undefined {
  const inner = call.descendantsOfType(["function_expression", "arrow_function"])[0];
  const body = inner?.childForFieldName("body");
  return body && body.endPosition.row - body.startPosition.row >= nested
    ? { kind: "wrapper", name: "", body }
    : undefined;
}

/** The children of a node, with those of damaged parts and of conditions in their place. */
function* childrenOf(node: Node): Generator<Node> {
  for (const child of node.namedChildren) {
    if (!child) continue;
    if (!transparent.has(child.type)) yield child;
    else if (child.type === "linkage_specification") {
      const body = child.childForFieldName("body");
      if (body?.type === "declaration_list") yield* childrenOf(body);
      else if (body) yield body;
    } else yield* childrenOf(child);
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
    if (definition?.kind === "wrapper") found.push(...definitionsIn(definition.body!));
    else if (definition) {
      const start = lead && from <= lead[1] + 1 ? lead[0] : from;
      const { kind, name, names, body } = definition;
      const before = found.at(-1);
      if (before && before.name === name && before.rows[1] + 1 >= start && /function|method/.test(before.kind))
        found[found.length - 1] = { ...before, rows: [before.rows[0], to] };
      else
        found.push({
          kind: inClass && kind === "function" ? "method" : kind,
          name,
          ...(names && { names }),
          rows: [start, to],
          members: membersOf(kind, body),
        });
    }
    lead = undefined;
    end = to;
  }
  return found;
}

/** What is defined in a body; of a function only where it is long, and only what stands alone. */
function membersOf(kind: string, body: Node | null | undefined): Definition[] {
  if (!body) return [];
  if (!/function|method/.test(kind)) return definitionsIn(body, kind === "class" || kind === "interface");
  if (body.endPosition.row - body.startPosition.row < nested) return [];
  return definitionsIn(body).filter(
    (member) => /function|method|class/.test(member.kind) && member.rows[0] < member.rows[1],
  );
}
