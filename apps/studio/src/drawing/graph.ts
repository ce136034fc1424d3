import type { Check, FlowDocument, NodeDocument, NodePorts, Source } from "../api/types.js";

/** A node of the drawing: a node of the document, or the inputs or outputs of a flow. */
export interface DrawnNode {
  /** Its path in the document, such as "ask/loop/search"; "ask/<input>" and "ask/<output>" for what a flow takes and gives. */
  readonly id: string;
  readonly parent: string | undefined;
  readonly kind: "operator" | "flow" | "input" | "output";
  readonly name: string;
  /** The operator, or the flow that it runs. */
  readonly runs: string;
  readonly isOpen: boolean;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly badges: readonly string[];
  readonly writes: boolean;
}

/** A value that goes from a port to a port, or a decision that a node waits for. */
export interface DrawnEdge {
  readonly id: string;
  readonly from: string;
  readonly fromPort: string;
  readonly to: string;
  readonly toPort: string;
  /** What a decision must be; nothing for a value. */
  readonly when?: string;
}

export interface Drawing {
  readonly nodes: readonly DrawnNode[];
  readonly edges: readonly DrawnEdge[];
}

export const whenPort = "<when>";

/** The references of a source, in order. */
export function referencesOf(source: Source): string[] {
  if (typeof source === "string") return [source];
  if (Array.isArray(source)) return source;
  if ("first" in source) return source.first.filter((member) => typeof member === "string");
  return "named" in source ? Object.values(source.named) : [];
}

const split = (reference: string): [string, string] => {
  const dot = reference.indexOf(".");
  return [reference.slice(0, dot), reference.slice(dot + 1)];
};

function badgesOf({ each, repeat, when, policy }: NodeDocument): string[] {
  const list: string[] = [];
  if (each) list.push(`each of ${each.over}, ${each.max} at most`);
  if (repeat) {
    const until = repeat.until === undefined ? `while ${repeat.while}` : `until ${[repeat.until].flat().join(" or ")}`;
    list.push(`repeat ${until}, ${repeat.max} at most`);
  }
  if (when) list.push("only if");
  if (policy?.onError === "skip") list.push("may fail");
  if (policy?.retry) list.push(`${policy.retry.attempts} attempts`);
  return list;
}

interface Building {
  readonly nodes: DrawnNode[];
  readonly edges: DrawnEdge[];
  readonly ports: Check["ports"];
  readonly open: ReadonlySet<string>;
}

const outputsOf = (node: NodeDocument, ports: NodePorts | undefined): string[] => {
  if (ports) return Object.keys(ports.output);
  return typeof node.run === "string" ? [] : Object.keys(node.run.output);
};

function drawNode(building: Building, path: string, id: string, node: NodeDocument): void {
  const { nodes, ports, open } = building;
  const own = `${path}/${id}`;
  const known = ports?.[own];
  const isFlow = typeof node.run !== "string";
  const isOpen = isFlow && open.has(own);
  nodes.push({
    id: own,
    parent: path.includes("/") ? path : undefined,
    kind: isFlow ? "flow" : "operator",
    name: id,
    runs: typeof node.run === "string" ? node.run : node.run.name,
    isOpen,
    inputs: [...new Set([...Object.keys(known?.input ?? {}), ...Object.keys(node.in)])],
    outputs: outputsOf(node, known),
    badges: badgesOf(node),
    writes: known?.writes === true,
  });
  if (isOpen) drawFlow(building, node.run as FlowDocument, own);
}

function connect(building: Building, path: string, source: Source, to: string, toPort: string): void {
  for (const reference of referencesOf(source)) {
    const [node, port] = split(reference);
    const from = node === "input" ? `${path}/<input>` : `${path}/${node}`;
    building.edges.push({ id: `${from}.${port}>${to}.${toPort}`, from, fromPort: port, to, toPort });
  }
}

function drawFlow(building: Building, document: FlowDocument, path: string): void {
  const { nodes, edges } = building;
  const parent = path.includes("/") ? path : undefined;
  const plain = { parent, runs: "", isOpen: false, badges: [], writes: false };
  const inputs = Object.keys(document.input);
  if (inputs.length > 0)
    nodes.push({ ...plain, id: `${path}/<input>`, kind: "input", name: "input", inputs: [], outputs: inputs });
  for (const [id, node] of Object.entries(document.nodes)) {
    drawNode(building, path, id, node);
    const own = `${path}/${id}`;
    for (const [port, source] of Object.entries(node.in)) connect(building, path, source, own, port);
    for (const [reference, wanted] of Object.entries(node.when ?? {})) {
      const [from, port] = split(reference);
      const source = from === "input" ? `${path}/<input>` : `${path}/${from}`;
      const when = `= ${[wanted].flat().map(String).join(" or ")}`;
      edges.push({ id: `${source}.${port}?${own}`, from: source, fromPort: port, to: own, toPort: whenPort, when });
    }
  }
  const outputs = Object.keys(document.output);
  nodes.push({ ...plain, id: `${path}/<output>`, kind: "output", name: "output", inputs: outputs, outputs: [] });
  for (const [port, source] of Object.entries(document.output))
    connect(building, path, source, `${path}/<output>`, port);
}

/** A document as nodes and edges; flows inside it are drawn where their path is in `open`. */
export function drawingOf(document: FlowDocument, ports: Check["ports"], open: ReadonlySet<string>): Drawing {
  const building: Building = { nodes: [], edges: [], ports, open };
  drawFlow(building, document, document.name);
  const known = new Set(building.nodes.map(({ id }) => id));
  // a reference that leads nowhere is a finding, and no line
  const edges = building.edges.filter(({ from, to }) => known.has(from) && known.has(to));
  // ports that are read are drawn also where no check has named them
  const read = new Map<string, Set<string>>();
  for (const { from, fromPort } of edges) read.set(from, (read.get(from) ?? new Set()).add(fromPort));
  const whole = (node: DrawnNode): DrawnNode => ({
    ...node,
    outputs: [...new Set([...node.outputs, ...(read.get(node.id) ?? [])])],
  });
  return { nodes: building.nodes.map(whole), edges };
}

/** The paths of all flows inside a document. */
export function flowsIn(document: FlowDocument, path = document.name): string[] {
  return Object.entries(document.nodes).flatMap(([id, { run }]) =>
    typeof run === "string" ? [] : [`${path}/${id}`, ...flowsIn(run, `${path}/${id}`)],
  );
}
