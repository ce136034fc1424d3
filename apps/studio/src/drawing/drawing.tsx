import {
  Background,
  Controls,
  type Edge,
  type Node,
  Position,
  ReactFlow,
  type ReactFlowInstance,
  useReactFlow,
} from "@xyflow/react";
import "@xyflow/react/dist/base.css";
import "../styles/drawing.css";
import { memo, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Check, Finding, FlowDocument } from "../api/types.js";
import type { RunModel } from "../runs/run-model.js";
import { texts } from "../texts.js";
import { type CardData, DrawingContext, type DrawingLinks, DrawnCard, whenAt } from "./card.js";
import { type Drawing, type DrawnEdge, type DrawnNode, drawingOf, flowsIn, whenPort } from "./graph.js";
import { type Box, layOut, lineHeight, portsFrom } from "./layout.js";
import { LitEdges } from "./lit.js";
import { Wire } from "./wire.js";

export interface DrawingProps {
  readonly document: FlowDocument;
  readonly ports: Check["ports"];
  readonly run?: RunModel | undefined;
  /** The path of the chosen node. */
  readonly chosen?: string | undefined;
  readonly choose?: ((path: string | undefined) => void) | undefined;
  readonly findings?: readonly Finding[] | undefined;
  readonly edit?: DrawingLinks["edit"];
}

const nodeTypes = { card: memo(DrawnCard) };
const edgeTypes = { wire: memo(Wire) };

const handleSize = 8; // pixels
const half = handleSize / 2;

/** Where the handles of a node are, as its styles place them: what is out of sight need not be drawn to be measured. */
function handlesOf(node: DrawnNode, width: number): NonNullable<Node["handles"]> {
  const size = { width: handleSize, height: handleSize };
  const y = (index: number) => portsFrom(node) + index * lineHeight + lineHeight / 2 - half;
  const left = { ...size, type: "target", position: Position.Left, x: -half } as const;
  const right = { ...size, type: "source", position: Position.Right, x: width - half } as const;
  return [
    ...node.inputs.map((name, index) => ({ ...left, id: `in:${name}`, y: y(index) })),
    ...node.outputs.map((name, index) => ({ ...right, id: `out:${name}`, y: y(index) })),
    { ...left, id: `in:${whenPort}`, y: whenAt - half },
  ];
}

function nodesOf({ nodes }: Drawing, boxes: ReadonlyMap<string, Box>, canEdit: boolean): Node<CardData>[] {
  return nodes.map((node) => {
    const { x, y, width, height } = boxes.get(node.id) ?? { x: 0, y: 0, width: 200, height: 80 };
    return {
      id: node.id,
      type: "card",
      position: { x, y },
      width,
      height,
      handles: handlesOf(node, width),
      data: { node },
      ariaLabel: node.runs === "" ? node.name : `${node.name}, ${node.runs}`,
      draggable: false,
      connectable: canEdit,
      deletable: false,
      ...(node.parent !== undefined && { parentId: node.parent }),
    };
  });
}

const edgeOf = ({ id, from, fromPort, to, toPort, when }: DrawnEdge): Edge => ({
  id,
  type: "wire",
  source: from,
  sourceHandle: `out:${fromPort}`,
  target: to,
  targetHandle: `in:${toPort}`,
  className: when === undefined ? "" : "when",
  focusable: false,
  deletable: false,
  zIndex: 1,
  ...(when !== undefined && { label: when }),
});

function useLayout(drawing: Drawing): ReadonlyMap<string, Box> | undefined {
  const [laid, setLaid] = useState<{ boxes: ReadonlyMap<string, Box>; of: Drawing }>();
  useEffect(() => {
    let current = true;
    void layOut(drawing).then((boxes) => current && setLaid({ boxes, of: drawing }));
    return () => {
      current = false;
    };
  }, [drawing]);
  return laid?.of === drawing ? laid.boxes : undefined;
}

/** Keeps the chosen node in sight. */
function Sight({ chosen }: { chosen: string | undefined }) {
  const { getInternalNode, setCenter, getZoom } = useReactFlow();
  useEffect(() => {
    const node = chosen === undefined ? undefined : getInternalNode(chosen);
    if (!node) return;
    const { x, y } = node.internals.positionAbsolute;
    const { width = 200, height = 100 } = node;
    void setCenter(x + width / 2, y + height / 2, { zoom: Math.max(0.5, getZoom()), duration: motion() });
  }, [chosen, getInternalNode, setCenter, getZoom]);
  return null;
}

const large = 150; // nodes
const none: readonly Finding[] = [];

const motion = (): number => (matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 250);

type Stage = { readonly drawing: Drawing; readonly boxes: ReadonlyMap<string, Box> };

/** The nodes and edges of what is laid out, and which edges are lit. */
function useParts(stage: Stage | undefined, canEdit: boolean) {
  const [lit] = useState(() => new LitEdges());
  const nodes = useMemo(() => (stage ? nodesOf(stage.drawing, stage.boxes, canEdit) : []), [stage, canEdit]);
  const edges = useMemo(() => (stage?.drawing.edges ?? []).map(edgeOf), [stage]);
  useEffect(() => {
    lit.drawing = stage?.drawing;
  }, [lit, stage]);
  return { nodes, edges, lit };
}

/** Fits the view when there are other nodes. A large flow begins at its inputs; zooming out shows the whole. */
function useFitted(nodes: readonly Node<CardData>[], name: string) {
  const instance = useRef<ReactFlowInstance<Node<CardData>>>(undefined);
  const count = nodes.length;
  // biome-ignore lint/correctness/useExhaustiveDependencies: only when there are other nodes
  useEffect(() => {
    if (count === 0) return;
    const first = count > large ? nodes.slice(0, 40).map(({ id }) => ({ id })) : undefined;
    const options = { padding: 0.08, maxZoom: 1, ...(first && { nodes: first }) };
    requestAnimationFrame(() => void instance.current?.fitView(options));
  }, [count, name]);
  return instance;
}

/** The drawing of a flow: nodes and ports, laid out from left to right. */
export default function FlowDrawing(props: DrawingProps) {
  const { document, ports, run, chosen, choose, findings, edit } = props;
  const inner = useMemo(() => flowsIn(document), [document]);
  const [open, setOpen] = useState<ReadonlySet<string>>(() => new Set(inner.length <= 3 ? inner : []));
  const drawing = useMemo(() => drawingOf(document, ports, open), [document, ports, open]);
  const boxes = useLayout(drawing);
  const shown = useRef<Stage>(undefined);
  if (boxes) shown.current = { drawing, boxes };
  const stage = shown.current;
  const { nodes, edges, lit } = useParts(stage, edit !== undefined);
  const toggle = useCallback(
    (path: string) =>
      setOpen((before) => {
        const next = new Set(before);
        if (!next.delete(path)) next.add(path);
        return next;
      }),
    [],
  );
  const links = useMemo(
    () => ({ toggle, lit, run, chosen, findings: findings ?? none, edit, ports }),
    [toggle, lit, run, chosen, findings, edit, ports],
  );
  const count = nodes.length;
  const instance = useFitted(nodes, document.name);
  return (
    <DrawingContext value={links}>
      <section
        className="drawing"
        aria-label={texts.drawing.label(document.name)}
        ref={(element) => {
          lit.holder = element;
        }}
      >
        {inner.length > 0 && (
          <button
            type="button"
            className="button small drawing-open"
            onClick={() => setOpen(new Set(open.size === 0 ? inner : []))}
          >
            {open.size === 0 ? texts.drawing.openAll : texts.drawing.closeAll}
          </button>
        )}
        <ReactFlow
          nodes={nodes}
          edges={edges}
          nodeTypes={nodeTypes}
          edgeTypes={edgeTypes}
          onInit={(made) => {
            instance.current = made;
          }}
          onNodeClick={(_, { id }) => choose?.(id)}
          onPaneClick={() => choose?.(undefined)}
          onNodeMouseEnter={(_, { id }) => lit.hover({ node: id })}
          onNodeMouseLeave={() => lit.hover(undefined)}
          isValidConnection={edit ? (wire) => edit.fits(wire) : undefined}
          onConnect={edit ? (wire) => edit.connect(wire) : undefined}
          onConnectStart={edit ? (_, from) => edit.begin(from) : undefined}
          onConnectEnd={edit ? () => edit.begin(undefined) : undefined}
          nodesConnectable={edit !== undefined}
          nodesDraggable={false}
          onlyRenderVisibleElements={count > 60}
          disableKeyboardA11y
          minZoom={0.05}
          maxZoom={1.6}
          proOptions={{ hideAttribution: true }}
        >
          <Background gap={24} size={1} color="var(--line)" />
          <Controls showInteractive={false} />
          <Sight chosen={chosen} />
        </ReactFlow>
      </section>
    </DrawingContext>
  );
}
