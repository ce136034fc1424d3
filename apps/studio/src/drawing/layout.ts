import type { ELK, ElkNode } from "elkjs/lib/elk-api.js";
import ElkApi from "elkjs/lib/elk-api.js";
import workerUrl from "elkjs/lib/elk-worker.min.js?url";
import type { Drawing, DrawnNode } from "./graph.js";

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export const lineHeight = 24;
const headHeight = 52;
const badgeHeight = 22;
const padding = 10;

let elk: ELK | undefined;
const engine = (): ELK => {
  elk ??= new ElkApi({ workerUrl, workerFactory: (url) => new Worker(url!) });
  return elk;
};

/** How large a node is drawn: a head, a line for each badge, and a line for each row of ports. */
export function sizeOf({ kind, name, runs, inputs, outputs, badges }: DrawnNode): { width: number; height: number } {
  const longest = (list: readonly string[]) => Math.max(0, ...list.map(({ length }) => length));
  const across = Math.max(name.length + 4, runs.length, longest(inputs) + longest(outputs) + 4, longest(badges) * 0.9);
  const rows = Math.max(inputs.length, outputs.length);
  const head = kind === "input" || kind === "output" ? 30 : headHeight;
  return {
    width: Math.min(320, Math.max(kind === "input" || kind === "output" ? 104 : 168, across * 7.3 + 28)),
    height: head + badges.length * badgeHeight + rows * lineHeight + padding,
  };
}

/** The height above the first port of a node. */
export const portsFrom = ({ kind, badges }: DrawnNode): number =>
  (kind === "input" || kind === "output" ? 30 : headHeight) + badges.length * badgeHeight;

function elkNode(node: DrawnNode, children: ReadonlyMap<string | undefined, DrawnNode[]>): ElkNode {
  const { width, height } = sizeOf(node);
  const from = portsFrom(node);
  const port = (side: "WEST" | "EAST") => (name: string, index: number) => ({
    id: `${node.id}|${side}|${name}`,
    width: 1,
    height: 1,
    x: side === "WEST" ? 0 : width,
    y: from + index * lineHeight + lineHeight / 2,
    layoutOptions: { "elk.port.side": side },
  });
  if (node.isOpen)
    return {
      id: node.id,
      children: (children.get(node.id) ?? []).map((child) => elkNode(child, children)),
      layoutOptions: {
        "elk.padding": `[top=${from + Math.max(node.inputs.length, node.outputs.length) * lineHeight + 20},left=24,bottom=24,right=24]`,
        "elk.nodeSize.constraints": "MINIMUM_SIZE",
        "elk.nodeSize.minimum": `(${width}, ${height})`,
      },
    };
  return {
    id: node.id,
    width,
    height,
    ports: [
      ...node.inputs.map(port("WEST")),
      { id: `${node.id}|WEST|<when>`, width: 1, height: 1, x: 0, y: 20, layoutOptions: { "elk.port.side": "WEST" } },
      ...node.outputs.map(port("EAST")),
    ],
    layoutOptions: { "elk.portConstraints": "FIXED_POS" },
  };
}

/** Where each node of a drawing stands, relative to the flow around it. It is computed in a worker. */
export async function layOut({ nodes, edges }: Drawing): Promise<ReadonlyMap<string, Box>> {
  const children = grouped(nodes);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const end = (id: string, side: "WEST" | "EAST", port: string) =>
    byId.get(id)!.isOpen ? id : `${id}|${side}|${port}`;
  const graph = await engine().layout({
    id: "<all>",
    layoutOptions: {
      "elk.algorithm": "layered",
      "elk.direction": "RIGHT",
      "elk.hierarchyHandling": "INCLUDE_CHILDREN",
      "elk.layered.spacing.nodeNodeBetweenLayers": "64",
      "elk.spacing.nodeNode": "28",
      "elk.layered.considerModelOrder.strategy": "NODES_AND_EDGES",
      "elk.layered.nodePlacement.strategy": nodes.length > 150 ? "SIMPLE" : "NETWORK_SIMPLEX",
      "elk.layered.thoroughness": nodes.length > 150 ? "2" : "7",
    },
    children: (children.get(undefined) ?? []).map((node) => elkNode(node, children)),
    edges: edges
      // a flow that is open is left by its own output, so that the layout need not know both
      .map(({ id, from, fromPort, to, toPort }) => ({
        id,
        sources: [end(from, "EAST", fromPort)],
        targets: [end(to, "WEST", toPort)],
      })),
  });
  const boxes = new Map<string, Box>();
  const take = (node: ElkNode) => {
    for (const child of node.children ?? []) {
      boxes.set(child.id, { x: child.x ?? 0, y: child.y ?? 0, width: child.width ?? 0, height: child.height ?? 0 });
      take(child);
    }
  };
  take(graph);
  return boxes;
}

function grouped(nodes: readonly DrawnNode[]): Map<string | undefined, DrawnNode[]> {
  const groups = new Map<string | undefined, DrawnNode[]>();
  for (const node of nodes) {
    const group = groups.get(node.parent);
    if (group) group.push(node);
    else groups.set(node.parent, [node]);
  }
  return groups;
}
