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
 * Prints a document as the builder code that makes it.
 * @returns an ES module (TypeScript and JavaScript alike) that exports the flow under its camel-case name.
 * @throws TesseraError CYCLE, UNKNOWN_NODE where the nodes have no order.
 */
export function printFlow(document: FlowDocument, { importOf }: PrintOptions = {}): string {
  const core = new Set(["flow"]);
  const imports = new Map<string, Set<string>>([["@tessera/core", core]]);
  const topLevel = new Set<string>();
  const imported = new Map<string, string>();
  for (const operator of [...operatorsOf(document)].sort()) {
    const found = importOf?.(operator);
    if (!found) continue;
    const local = variable(found.name, topLevel);
    imported.set(operator, local);
    if (!imports.has(found.from)) imports.set(found.from, new Set());
    imports.get(found.from)!.add(local === found.name ? local : `${found.name} as ${local}`);
  }

  const piece = (node: NodeDocument, indent: string): string => {
    if (typeof node.run !== "string") return flowCode(node.run, indent);
    const args = node.with === undefined ? [] : [json(node.with)];
    const constant = imported.get(node.run);
    if (constant) return `${constant}(${args})`;
    core.add("use");
    return `use(${[json(node.run), ...args].join(", ")})`;
  };

  const flowCode = (flow: FlowDocument, indent: string): string => {
    const taken = new Set(topLevel);
    const names = new Map<string, string>([["input", "input"]]);
    const inner = `${indent}  `;
    const reference = (ref: string): string => {
      const [id, port] = splitReference(ref);
      return member(names.get(id)!, port);
    };
    const source = (from: Source): string => {
      if (typeof from === "string") return reference(from);
      if (Array.isArray(from)) return `[${from.map(reference).join(", ")}]`;
      if ("value" in from) {
        core.add("value");
        return `value(${json(from.value)})`;
      }
      if ("named" in from) {
        core.add("named");
        return `named(${record(Object.entries(from.named).map(([name, ref]) => [name, reference(ref)]))})`;
      }
      core.add("first");
      return `first(${from.first.map((one) => (typeof one === "string" ? reference(one) : source(one))).join(", ")})`;
    };
    const sources = (of: Record<string, Source>): string =>
      record(Object.entries(of).map(([port, from]) => [port, source(from)]));

    const lines = ordered(flow).map(([id, node]) => {
      const input = sources(node.in);
      const options: [string, string][] = [];
      if (node.when && Object.keys(node.when).length > 0) {
        core.add("is");
        const conditions = Object.entries(node.when).map(
          ([ref, wanted]) =>
            `is(${[reference(ref), ...(Array.isArray(wanted) ? wanted : [wanted]).map(json)].join(", ")})`,
        );
        options.push(["when", conditions.length === 1 ? conditions[0]! : `[${conditions.join(", ")}]`]);
      }
      if (node.policy) options.push(["policy", json(node.policy)]);
      const method = node.each ? "each" : node.repeat ? "repeat" : "node";
      const args = [
        json(id),
        piece(node, inner),
        ...((node.each ?? node.repeat) ? [json(node.each ?? node.repeat)] : []),
        input,
      ];
      if (options.length > 0) args.push(record(options));
      names.set(id, variable(id, taken));
      return `${inner}const ${names.get(id)} = f.${method}(${args.join(", ")});`;
    });
    return `flow(${json(flow.name)}, ${json(flow.input)}, (f, input) => {\n${[...lines, `${inner}return ${sources(flow.output)};`].join("\n")}\n${indent}}${flow.serve ? `, { serve: ${json(flow.serve)} }` : ""})`;
  };

  const body = flowCode(document, "");
  const header = [...imports]
    .map(([from, list]) => `import { ${[...list].sort().join(", ")} } from ${json(from)};`)
    .join("\n");
  return `${header}\n\nexport const ${variable(document.name, topLevel)} = ${body};\n`;
}
