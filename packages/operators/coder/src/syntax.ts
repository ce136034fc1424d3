import { createRequire } from "node:module";
import { missing, readingThreads } from "@tessera/core/internal";
import type { Node, Parser } from "web-tree-sitter";
import type { Language } from "./sandbox/language.js";

/** A function at the top level of a program. */
export interface FunctionDefinition {
  readonly name: string;
  readonly parameters: number;
  /** Docstring and signature. */
  readonly header: string;
  /** The docstring, the signature and the body. */
  readonly code: string;
  /** The identifiers that stand in it. */
  readonly identifiers: ReadonlySet<string>;
  /** False where a part of it does not parse. */
  readonly sound: boolean;
}

/** A parser for a language. @throws TesseraError DEPENDENCY_MISSING */
export async function openParser(language: Language): Promise<Parser> {
  const require = createRequire(import.meta.url);
  const { Parser, Language } = await import("web-tree-sitter").catch(missing("web-tree-sitter", language));
  try {
    await Parser.init({ locateFile: () => require.resolve("web-tree-sitter/web-tree-sitter.wasm") });
    const parser = new Parser();
    parser.setLanguage(
      await Language.load(require.resolve(`@vscode/tree-sitter-wasm/wasm/tree-sitter-${language}.wasm`)),
    );
    return parser;
  } catch (cause) {
    return missing("@vscode/tree-sitter-wasm", language)(cause);
  }
}

/** How long a parser may take for one program, in milliseconds; what a person wrote takes some. */
export const limitMs = 2000;

const threads = readingThreads<FunctionDefinition[], Language>(new URL("./syntax-worker.js", import.meta.url), limitMs);

/**
 * The functions at the top level of a program, read in a thread; `undefined` where the parser does not end in time or
 * fails on it.
 * @throws TesseraError DEPENDENCY_MISSING, and the reason of the signal.
 */
export async function functionsIn(
  text: string,
  language: Language,
  signal?: AbortSignal,
): Promise<FunctionDefinition[] | undefined> {
  const reading = await threads(language).run(text, { signal });
  return "value" in reading ? reading.value : undefined;
}

const functions = new Set([
  "function_declaration",
  "generator_function_declaration",
  "function_definition",
  "arrow_function",
  "function_expression",
  "generator_function",
]);
const wrappers = new Set([
  "export_statement",
  "ERROR",
  "expression_statement",
  "program",
  "module",
  "decorated_definition",
]);

// where a definition begins at the left margin, and what may stand above it
const beginning = /^(?:export|async|function|const|let|var|def|class)\b/;
const lead = /^(?:\/\/|\/\*| ?\*|#|@)/;

/**
 * The functions at the top level of a program, in order; the last of a name stays. In a program that does not parse, each
 * part from one beginning at the left margin to the next is read by itself, so that one error costs one function.
 */
export function functionsOf(parser: Parser, text: string): FunctionDefinition[] {
  const found = new Map<string, FunctionDefinition>();
  const add = (definitions: readonly FunctionDefinition[]): void => {
    for (const one of definitions) {
      found.delete(one.name);
      found.set(one.name, one);
    }
  };
  const whole = read(parser, text);
  if (whole.sound) add(whole.definitions);
  else for (const part of partsOf(text)) add(read(parser, part).definitions.filter(({ sound }) => sound));
  return [...found.values()];
}

/** A text in parts, each a definition with the comments and decorators that touch it. */
function partsOf(text: string): string[] {
  const lines = text.split("\n");
  const starts = [...lines.keys()]
    .filter((row) => beginning.test(lines[row]!))
    .map((row) => {
      let start = row;
      while (start > 0 && lead.test(lines[start - 1]!)) start -= 1;
      return start;
    });
  return starts.map((start, index) => lines.slice(start, starts[index + 1]).join("\n"));
}

function read(parser: Parser, text: string): { sound: boolean; definitions: FunctionDefinition[] } {
  const tree = parser.parse(text);
  if (!tree) return { sound: true, definitions: [] };
  try {
    const definitions = [...definitionsIn(tree.rootNode)].map(({ name, node, outer }) =>
      describe(name, node, outer, text),
    );
    return { sound: !tree.rootNode.hasError, definitions: definitions.filter((one) => one !== undefined) };
  } finally {
    tree.delete();
  }
}

interface Found {
  readonly name: string;
  /** The function. */
  readonly node: Node;
  /** The statement it stands in. */
  readonly outer: Node;
}

function* definitionsIn(container: Node): Generator<Found> {
  for (const child of container.namedChildren) {
    if (child) yield* definitionsOf(child, child);
  }
}

function* definitionsOf(node: Node, outer: Node): Generator<Found> {
  if (functions.has(node.type)) {
    const name = node.childForFieldName("name");
    if (name) yield { name: name.text, node, outer };
  } else if (node.type === "lexical_declaration" || node.type === "variable_declaration") {
    for (const declarator of node.namedChildren) {
      const [name, value] = [declarator?.childForFieldName("name"), declarator?.childForFieldName("value")];
      if (name && value && functions.has(value.type)) yield { name: name.text, node: value, outer };
    }
  } else if (node.type === "assignment_expression" || node.type === "assignment") {
    const [left, right] = [node.childForFieldName("left"), node.childForFieldName("right")];
    if (left && right && functions.has(right.type))
      yield { name: left.text.replace(/^(module\.)?exports\./, ""), node: right, outer };
  } else if (wrappers.has(node.type)) {
    for (const child of node.namedChildren) {
      if (child) yield* definitionsOf(child, node.type === "ERROR" || node.type === "program" ? child : outer);
    }
  }
}

function describe(name: string, node: Node, outer: Node, text: string): FunctionDefinition | undefined {
  const body = node.childForFieldName("body");
  // what follows a body that broke off belongs to nobody
  if (!body || body.isMissing) return undefined;
  const comments = commentsBefore(outer, text);
  const docstring = docstringOf(body);
  const signature = text
    .slice(outer.startIndex, body.startIndex)
    .replace(/(=>|\{|:)?\s*$/, (end) => end.trim())
    .trimEnd();
  const python = docstring !== undefined || node.type === "function_definition";
  const header = python
    ? [comments, signature, docstring && `    ${docstring}`].filter(Boolean).join("\n")
    : [comments, signature].filter(Boolean).join("\n");
  const identifiers = new Set<string>();
  collect(node, identifiers);
  return {
    name,
    parameters: parametersOf(node),
    header,
    code: [comments, text.slice(outer.startIndex, outer.endIndex)].filter(Boolean).join("\n"),
    identifiers,
    sound: !node.hasError,
  };
}

/** The comments that end on the line above a statement, or on one directly above those. */
function commentsBefore(node: Node, text: string): string {
  let start = node.startIndex;
  let row = node.startPosition.row;
  for (let before = node.previousNamedSibling; before?.type === "comment"; before = before.previousNamedSibling) {
    if (before.endPosition.row < row - 1) break;
    start = before.startIndex;
    row = before.startPosition.row;
  }
  return text.slice(start, node.startIndex).trim();
}

/** The string that begins a Python body. */
function docstringOf(body: Node): string | undefined {
  const first = body.namedChild(0);
  const string = first?.type === "string" ? first : first?.type === "expression_statement" ? first.namedChild(0) : null;
  return body.type === "block" && string?.type === "string" ? string.text : undefined;
}

function parametersOf(node: Node): number {
  if (node.childForFieldName("parameter")) return 1;
  const list = node.childForFieldName("parameters");
  return list ? list.namedChildren.filter((child) => child && child.type !== "comment").length : 0;
}

function collect(node: Node, into: Set<string>): void {
  const stack = [node];
  while (stack.length > 0) {
    const next = stack.pop()!;
    if (next.type === "identifier" || next.type === "shorthand_property_identifier") into.add(next.text);
    for (const child of next.namedChildren) if (child) stack.push(child);
  }
}
