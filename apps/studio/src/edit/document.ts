import type { FlowDocument, Json, NodeDocument, Operator, Source } from "../api/types.js";
import { referencesOf } from "../drawing/graph.js";

// changes of a document; each gives a new one and leaves the old as it is, so that undo is to show the old one again

type Nodes = FlowDocument["nodes"];

/** The node at a path such as "ask/loop/search". */
export function nodeAt(document: FlowDocument, path: string): NodeDocument | undefined {
  const [, id, ...rest] = path.split("/");
  const node = id === undefined ? undefined : document.nodes[id];
  if (!node || rest.length === 0) return node;
  return typeof node.run === "string" ? undefined : nodeAt(node.run, [id, ...rest].join("/"));
}

/** A document in which the flow at a path (that of the document itself, or of a flow inside it) is another. */
function withFlow(document: FlowDocument, path: string, change: (flow: FlowDocument) => FlowDocument): FlowDocument {
  const [, id, ...rest] = path.split("/");
  if (id === undefined) return change(document);
  const node = document.nodes[id];
  if (!node || typeof node.run === "string") return document;
  const run = withFlow(node.run, [id, ...rest].join("/"), change);
  return { ...document, nodes: { ...document.nodes, [id]: { ...node, run } } };
}

export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));
export const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** A document in which one node is another; without one it is removed, with everything that reads it. */
export function withNode(
  document: FlowDocument,
  path: string,
  change: (node: NodeDocument) => NodeDocument | undefined,
): FlowDocument {
  return withFlow(document, parentOf(path), (flow) => {
    const id = nameOf(path);
    const { [id]: node, ...others } = flow.nodes;
    if (!node) return flow;
    const next = change(node);
    if (next) return { ...flow, nodes: { ...flow.nodes, [id]: next } };
    return { ...flow, nodes: mapReads(others, (reference) => (reads(reference, id) ? undefined : reference)) };
  });
}

const reads = (reference: string, id: string): boolean => reference.startsWith(`${id}.`);

/** A source in which references are others; nothing where none is left. */
function mapSource(source: Source, of: (reference: string) => string | undefined): Source | undefined {
  if (typeof source === "string") return of(source);
  if (Array.isArray(source)) {
    const list = source.flatMap((one) => of(one) ?? []);
    return list.length > 0 ? list : undefined;
  }
  if ("first" in source) {
    const list = source.first.flatMap((one) => (typeof one === "string" ? (of(one) ?? []) : one));
    return list.length > 0 ? { first: list } : undefined;
  }
  if (!("named" in source)) return source;
  const named = Object.entries(source.named).flatMap(([key, one]) => {
    const next = of(one);
    return next === undefined ? [] : [[key, next] as const];
  });
  return named.length > 0 ? { named: Object.fromEntries(named) } : undefined;
}

function mapSources(sources: Record<string, Source>, of: (reference: string) => string | undefined) {
  return Object.fromEntries(
    Object.entries(sources).flatMap(([port, source]) => {
      const next = mapSource(source, of);
      return next === undefined ? [] : [[port, next] as const];
    }),
  );
}

const mapReads = (nodes: Nodes, of: (reference: string) => string | undefined): Nodes =>
  Object.fromEntries(
    Object.entries(nodes).map(([id, node]) => {
      const when = Object.entries(node.when ?? {}).flatMap(([reference, value]) => {
        const next = of(reference);
        return next === undefined ? [] : [[next, value] as const];
      });
      const { when: _, ...plain } = node;
      const kept = when.length > 0 ? { ...plain, when: Object.fromEntries(when) } : plain;
      return [id, { ...kept, in: mapSources(node.in, of) }];
    }),
  );

/** A document in which a node has another name, also where it is read. */
export function renamed(document: FlowDocument, path: string, name: string): FlowDocument {
  const id = nameOf(path);
  return withFlow(document, parentOf(path), (flow) => {
    if (!flow.nodes[id] || flow.nodes[name] || !/^[A-Za-z][\w-]*$/.test(name) || name === "input") return flow;
    const of = (reference: string) => (reads(reference, id) ? name + reference.slice(id.length) : reference);
    const nodes = Object.fromEntries(
      Object.entries(mapReads(flow.nodes, of)).map(([key, node]) => [key === id ? name : key, node]),
    );
    return { ...flow, nodes, output: mapSources(flow.output, of) };
  });
}

/** The name of a new node of an operator: the end of its name, with a number where that is taken. */
function freeName(nodes: Nodes, operator: string): string {
  const base = operator.slice(operator.indexOf(".") + 1).replace(/[^A-Za-z0-9]+/g, "-");
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}${number}`;
    if (!nodes[name]) return name;
  }
}

/** The settings that an operator cannot do without, as its schema presets or begins them. */
function leastSettings({ config }: Operator): Json | undefined {
  const needed = (config.required ?? []).filter((name) => config.properties?.[name]?.default === undefined);
  if (needed.length === 0) return undefined;
  const usual: Record<string, Json> = { model: "model", store: "sparse", encoder: "encoder" };
  return Object.fromEntries(
    needed.map((name) => {
      const { type, minimum, enum: choices } = config.properties?.[name] ?? {};
      if (usual[name] !== undefined) return [name, usual[name]];
      if (choices) return [name, choices[0]!];
      if (type === "number" || type === "integer") return [name, minimum ?? 1];
      if (type === "array") return [name, []];
      return [name, type === "object" ? {} : type === "boolean" ? false : ""];
    }),
  );
}

/** A document with a new node of an operator, in the flow at a path. Inputs of the flow feed ports of the same name and type. */
export function withOperator(document: FlowDocument, at: string, operator: Operator): [FlowDocument, path: string] {
  let path = at;
  const next = withFlow(document, at, (flow) => {
    const name = freeName(flow.nodes, operator.name);
    path = `${at}/${name}`;
    const fed = Object.entries(operator.ports?.input ?? {}).filter(
      ([port, { type, optional }]) => !optional && JSON.stringify(flow.input[port]) === JSON.stringify(type),
    );
    const settings = leastSettings(operator);
    const node: NodeDocument = {
      run: operator.name,
      ...(settings !== undefined && { with: settings }),
      in: Object.fromEntries(fed.map(([port]) => [port, `input.${port}`])),
    };
    return { ...flow, nodes: { ...flow.nodes, [name]: node } };
  });
  return [next, path];
}

/** The ends of a wire as the drawing names them: paths, where a flow's own inputs are "<path>/<input>". */
export interface Wire {
  readonly from: string;
  readonly fromPort: string;
  readonly to: string;
  readonly toPort: string;
}

/** A document with a wire: as the source of a port, or as a further member of its list. */
export function wired(
  document: FlowDocument,
  { from, fromPort, to, toPort }: Wire,
  as: "whole" | "member",
): FlowDocument {
  const node = nameOf(from);
  const reference = `${node === "<input>" ? "input" : node}.${fromPort}`;
  const sourceOf = (before: Source | undefined): Source => {
    if (as === "whole") return reference;
    const list = Array.isArray(before) ? before : before === undefined ? [] : referencesOf(before);
    return [...new Set([...list, reference])];
  };
  return withFlow(document, parentOf(to), (flow) => {
    const id = nameOf(to);
    if (id === "<output>") return { ...flow, output: { ...flow.output, [toPort]: sourceOf(flow.output[toPort]) } };
    const target = flow.nodes[id];
    if (!target) return flow;
    const fed = { ...target.in, [toPort]: sourceOf(target.in[toPort]) };
    return { ...flow, nodes: { ...flow.nodes, [id]: { ...target, in: fed } } };
  });
}

/** A document in which a port of a node is fed by nothing. */
export const unwired = (document: FlowDocument, path: string, port: string): FlowDocument =>
  withNode(document, path, (node) => {
    const { [port]: _, ...others } = node.in;
    return { ...node, in: others };
  });

/** A flow to begin with: a question that is searched for, and what was found. */
export const emptyFlow = (name: string): FlowDocument => ({
  version: 1,
  name,
  input: { query: "text" },
  nodes: { search: { run: "retriever.sparse", with: { store: "sparse", top: 10 }, in: { query: "input.query" } } },
  output: { hits: "search.hits" },
});
