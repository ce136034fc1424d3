// public: printFlow
// internal: OperatorImport
import { type FlowDocument, type NodeDocument, readsOf, type Source, splitReference } from "./document.js";
import { TesseraError } from "./errors.js";

/** How an operator is written in printed code: an imported constant, by package. */
export interface OperatorImport {
  readonly from: string;
  readonly name: string;
}

export interface PrintOptions {
  /** Where an operator can be imported from; without it (or for unknown ones) `use("name", config)` is printed. */
  readonly importOf?: (operator: string) => OperatorImport | undefined;
}

const identifier = /^[A-Za-z_$][A-Za-z0-9_$]*$/;
const reserved = new Set(
  "await break case catch class const continue debugger default delete do else enum export extends false finally for function if implements import in instanceof interface let new null package private protected public return static super switch this throw true try typeof var void while with yield f flow first is named use value input arguments eval".split(
    " ",
  ),
);

const json = (value: unknown): string => JSON.stringify(value);
const key = (name: string): string => (identifier.test(name) && name !== "__proto__" ? name : json(name));
const member = (object: string, name: string): string =>
  identifier.test(name) ? `${object}.${name}` : `${object}[${json(name)}]`;
const record = (entries: [string, string][]): string =>
  entries.length === 0 ? "{}" : `{ ${entries.map(([name, code]) => `${key(name)}: ${code}`).join(", ")} }`;

/** A name that is free in its scope, in camel case. */
function variable(name: string, taken: Set<string>): string {
  const camel = name.replace(/[^A-Za-z0-9]+(.)?/g, (_, next: string | undefined) => next?.toUpperCase() ?? "");
  const base = /^[A-Za-z]/.test(camel) ? camel : `node${camel}`;
  let result = base;
  for (let n = 2; taken.has(result) || reserved.has(result); n++) result = `${base}${n}`;
  taken.add(result);
  return result;
}

/** Nodes in an order where each comes after all it reads. */
function ordered(document: FlowDocument): [string, NodeDocument][] {
  const result: [string, NodeDocument][] = [];
  const state = new Map<string, "open" | "done">([["input", "done"]]);
  for (const root of Object.keys(document.nodes)) {
    const stack = [root];
    while (stack.length > 0) {
      const id = stack.at(-1)!;
      const node = Object.hasOwn(document.nodes, id) ? document.nodes[id]! : undefined;
      if (!node) throw new TesseraError("UNKNOWN_NODE", `a source reads "${id}", which is no node`, { path: root });
      const waiting = readsOf(node)
        .map((reference) => splitReference(reference)[0])
        .filter((read) => state.get(read) !== "done");
      if (state.get(id) === "done") stack.pop();
      else if (waiting.length === 0) {
        state.set(id, "done");
        result.push([id, node]);
        stack.pop();
      } else if (state.get(id) === "open")
        throw new TesseraError("CYCLE", "nodes read each other in a circle", { path: id });
      else {
        state.set(id, "open");
        stack.push(...waiting.filter((read) => state.get(read) !== "open"));
        if (stack.at(-1) === id) throw new TesseraError("CYCLE", "nodes read each other in a circle", { path: id });
      }
    }
  }
  return result;
}

/** The names of the operators that a document and the flows in it run. */
function operatorsOf(document: FlowDocument, found = new Set<string>()): Set<string> {
  for (const { run } of Object.values(document.nodes))
    if (typeof run === "string") found.add(run);
    else operatorsOf(run, found);
  return found;
}

/**
 * Prints a document as builder code that makes the same document.
 * @returns an ES module, valid as TypeScript and JavaScript, that exports the flow under its name in camel case
 * @throws TesseraError CYCLE, UNKNOWN_NODE if the nodes have no order.
 */
export function printFlow(document: FlowDocument, { importOf }: PrintOptions = {}): string {
  const printer = new Printer();
  for (const operator of [...operatorsOf(document)].sort()) {
    const found = importOf?.(operator);
    if (found) printer.import(operator, found);
  }
  const body = printer.flow(document, "");
  return `${printer.header}\n\nexport const ${variable(document.name, printer.topLevel)} = ${body};\n`;
}

/** What a module imports while its code is printed. */
class Printer {
  readonly topLevel = new Set<string>();
  readonly #core = new Set(["flow"]);
  readonly #imports = new Map<string, Set<string>>([["@tessera/core", this.#core]]);
  readonly #imported = new Map<string, string>();

  import(operator: string, { from, name }: OperatorImport): void {
    const local = variable(name, this.topLevel);
    this.#imported.set(operator, local);
    if (!this.#imports.has(from)) this.#imports.set(from, new Set());
    this.#imports.get(from)!.add(local === name ? local : `${name} as ${local}`);
  }

  get header(): string {
    return [...this.#imports]
      .map(([from, list]) => `import { ${[...list].sort().join(", ")} } from ${json(from)};`)
      .join("\n");
  }

  flow(flow: FlowDocument, indent: string): string {
    const taken = new Set(this.topLevel);
    const names = new Map<string, string>([["input", "input"]]);
    const inner = `${indent}  `;
    const lines = ordered(flow).map(([id, node]) => {
      const args = [json(id), this.#piece(node, inner)];
      if (node.each ?? node.repeat) args.push(json(node.each ?? node.repeat));
      args.push(this.#sources(node.in, names));
      const options = this.#options(node, names);
      if (options.length > 0) args.push(record(options));
      const method = node.each ? "each" : node.repeat ? "repeat" : "node";
      names.set(id, variable(id, taken));
      return `${inner}const ${names.get(id)} = f.${method}(${args.join(", ")});`;
    });
    lines.push(`${inner}return ${this.#sources(flow.output, names)};`);
    const serve = flow.serve ? `, { serve: ${json(flow.serve)} }` : "";
    const head = `flow(${json(flow.name)}, ${json(flow.input)}, (f, input) => {`;
    return `${head}\n${lines.join("\n")}\n${indent}}${serve})`;
  }

  #piece(node: NodeDocument, indent: string): string {
    if (typeof node.run !== "string") return this.flow(node.run, indent);
    const args = node.with === undefined ? [] : [json(node.with)];
    const constant = this.#imported.get(node.run);
    if (constant) return `${constant}(${args})`;
    this.#core.add("use");
    return `use(${[json(node.run), ...args].join(", ")})`;
  }

  #options(node: NodeDocument, names: Names): [string, string][] {
    const options: [string, string][] = [];
    if (node.when && Object.keys(node.when).length > 0) {
      this.#core.add("is");
      const conditions = Object.entries(node.when).map(
        ([reference, wanted]) =>
          `is(${[printed(reference, names), ...(Array.isArray(wanted) ? wanted : [wanted]).map(json)].join(", ")})`,
      );
      options.push(["when", conditions.length === 1 ? conditions[0]! : `[${conditions.join(", ")}]`]);
    }
    if (node.policy) options.push(["policy", json(node.policy)]);
    return options;
  }

  #sources(of: Record<string, Source>, names: Names): string {
    return record(Object.entries(of).map(([port, from]) => [port, this.#source(from, names)]));
  }

  #source(from: Source, names: Names): string {
    if (typeof from === "string") return printed(from, names);
    if (Array.isArray(from)) return `[${from.map((reference) => printed(reference, names)).join(", ")}]`;
    if ("value" in from) {
      this.#core.add("value");
      return `value(${json(from.value)})`;
    }
    if ("named" in from) {
      this.#core.add("named");
      const members = Object.entries(from.named).map(([name, one]): [string, string] => [name, printed(one, names)]);
      return `named(${record(members)})`;
    }
    this.#core.add("first");
    const members = from.first.map((one) => (typeof one === "string" ? printed(one, names) : this.#source(one, names)));
    return `first(${members.join(", ")})`;
  }
}

/** The variables of nodes, by id. */
type Names = ReadonlyMap<string, string>;

function printed(reference: string, names: Names): string {
  const [id, port] = splitReference(reference);
  return member(names.get(id)!, port);
}
