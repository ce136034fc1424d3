import {
  Background,
  Controls,
  type Edge,
  type Node,
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
import { type CardData, DrawingContext, type DrawingLinks, DrawnCard } from "./card.js";
import { type Drawing, type DrawnEdge, drawingOf, flowsIn } from "./graph.js";
import { type Box, layOut } from "./layout.js";

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

function nodesOf({ nodes }: Drawing, boxes: ReadonlyMap<string, Box>, canEdit: boolean): Node<CardData>[] {
  return nodes.map((node) => {
    const { x, y, width, height } = boxes.get(node.id) ?? { x: 0, y: 0, width: 200, height: 80 };
    return {
      id: node.id,
      type: "card",
      position: { x, y },
      width,
      height,
      data: { node },
      ariaLabel: node.runs === "" ? node.name : `${node.name}, ${node.runs}`,
      draggable: false,
      connectable: canEdit,
      deletable: false,
      ...(node.parent !== undefined && { parentId: node.parent }),
    };
  });
}

const litEdge = ({ className }: Edge): Partial<Edge> => ({ className: `${className} lit`, zIndex: 1001 });

const edgeOf = ({ id, from, fromPort, to, toPort, when }: DrawnEdge): Edge => ({
  id,
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

/** The edges of a value, from where it is made to all who read it. */
function useLit({ edges }: Drawing): [ReadonlySet<string>, DrawingLinks["hover"]] {
  const [lit, setLit] = useState<ReadonlySet<string>>(new Set());
  const hover = useCallback<DrawingLinks["hover"]>(
    (at) => {
      if (!at) return setLit(new Set());
      const { node, port, side } = at;
      const touched = edges.filter((edge) =>
        port === undefined
          ? edge.from === node || edge.to === node
          : side === "out"
            ? edge.from === node && edge.fromPort === port
            : edge.to === node && edge.toPort === port,
      );
      setLit(new Set(touched.map(({ id }) => id)));
    },
    [edges],
  );
  return [lit, hover];
}

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

const motion = (): number => (matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 250);

type Stage = { readonly drawing: Drawing; readonly boxes: ReadonlyMap<string, Box> };

/** The nodes and edges of what is laid out. An edge that is not lit stays the same object, and is not drawn again. */
function useParts(stage: Stage | undefined, drawing: Drawing, canEdit: boolean) {
  const [lit, hover] = useLit(stage?.drawing ?? drawing);
  const nodes = useMemo(() => (stage ? nodesOf(stage.drawing, stage.boxes, canEdit) : []), [stage, canEdit]);
  const plain = useMemo(() => (stage?.drawing.edges ?? []).map(edgeOf), [stage]);
  const edges = useMemo(
    () => (lit.size === 0 ? plain : plain.map((edge) => (lit.has(edge.id) ? { ...edge, ...litEdge(edge) } : edge))),
    [plain, lit],
  );
  return [nodes, edges, hover, lit.size > 0] as const;
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
  const [nodes, edges, hover, isFollowing] = useParts(stage, drawing, edit !== undefined);
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
    () => ({ toggle, hover, run, chosen, findings: findings ?? [], edit, ports }),
    [toggle, hover, run, chosen, findings, edit, ports],
  );
  const count = nodes.length;
  const instance = useFitted(nodes, document.name);
  return (
    <DrawingContext value={links}>
      <section className={`drawing${isFollowing ? " following" : ""}`} aria-label={texts.drawing.label(document.name)}>
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
          onInit={(made) => {
            instance.current = made;
          }}
          onNodeClick={(_, { id }) => choose?.(id)}
          onPaneClick={() => choose?.(undefined)}
          onNodeMouseEnter={(_, { id }) => hover({ node: id })}
          onNodeMouseLeave={() => hover(undefined)}
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
