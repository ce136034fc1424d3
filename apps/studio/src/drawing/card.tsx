import { type Connection, type Edge, Handle, type Node, type NodeProps, Position } from "@xyflow/react";
import { createContext, type ReactNode, use, useSyncExternalStore } from "react";
import type { Check, Finding } from "../api/types.js";
import type { NodeState, RunModel } from "../runs/run-model.js";
import { texts } from "../texts.js";
import { duration } from "../ui/numbers.js";
import { type DrawnNode, whenPort } from "./graph.js";
import { lineHeight, portsFrom } from "./layout.js";
import { LitEdges } from "./lit.js";

export interface CardData extends Record<string, unknown> {
  readonly node: DrawnNode;
}

/** The end of a wire that is being drawn. */
export interface WireEnd {
  readonly nodeId: string | null;
  readonly handleId: string | null;
  readonly handleType: "source" | "target" | null;
}

/** What the cards of a drawing share. */
export interface DrawingLinks {
  readonly toggle: (path: string) => void;
  readonly lit: LitEdges;
  readonly run: RunModel | undefined;
  readonly chosen: string | undefined;
  readonly findings: readonly Finding[];
  readonly ports: Check["ports"];
  readonly edit?:
    | {
        readonly fits: (wire: Connection | Edge) => boolean;
        readonly connect: (wire: Connection) => void;
        readonly begin: (from: WireEnd | undefined) => void;
        /** Why a port cannot take the wire that is being drawn; "" where it can; nothing while none is drawn. */
        readonly refusal: (node: string, port: string, side: "in" | "out") => string | undefined;
      }
    | undefined;
}

export const DrawingContext = createContext<DrawingLinks>({
  toggle: () => {},
  lit: new LitEdges(),
  run: undefined,
  chosen: undefined,
  findings: [],
  ports: undefined,
});

/** How far below the top of a card the edge of a condition ends, in pixels. */
export const whenAt = 20;

const never = () => () => {};

function useNodeState(run: RunModel | undefined, path: string): NodeState | undefined {
  return useSyncExternalStore(run?.subscribe ?? never, () => run?.node(path));
}

function Port({ node, name, side }: { node: DrawnNode; name: string; side: "in" | "out" }) {
  const { lit, ports, edit } = use(DrawingContext);
  const known = ports?.[flowOf(node)]?.[portsKey(node, side)]?.[name];
  const refusal = edit?.refusal(node.id, name, side);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: hovering only lights what the list of ports says too
    <div
      className={`port ${side}${refusal ? " refused" : ""}${refusal === "" ? " fits" : ""}`}
      title={refusal || (known ? `${name}: ${known.words}${known.optional ? texts.drawing.optional : ""}` : name)}
      onMouseEnter={(event) => {
        event.stopPropagation();
        lit.hover({ node: node.id, port: name, side });
      }}
      onMouseLeave={() => lit.hover({ node: node.id })}
    >
      <Handle
        type={side === "in" ? "target" : "source"}
        position={side === "in" ? Position.Left : Position.Right}
        id={`${side}:${name}`}
      />
      <span>{name}</span>
    </div>
  );
}

/** The path under which a check tells the ports of a drawn node. */
const flowOf = ({ id, kind }: DrawnNode): string =>
  kind === "input" || kind === "output" ? id.slice(0, id.lastIndexOf("/")) : id;
const portsKey = ({ kind }: DrawnNode, side: "in" | "out"): "input" | "output" => {
  if (kind === "input") return "input";
  if (kind === "output") return "output";
  return side === "in" ? "input" : "output";
};

function Ports({ node }: { node: DrawnNode }) {
  const rows = Math.max(node.inputs.length, node.outputs.length);
  return (
    <div className="ports" style={{ top: portsFrom(node), height: rows * lineHeight }}>
      <div>
        {node.inputs.map((name) => (
          <Port key={name} node={node} name={name} side="in" />
        ))}
      </div>
      <div>
        {node.outputs.map((name) => (
          <Port key={name} node={node} name={name} side="out" />
        ))}
      </div>
    </div>
  );
}

function Ran({ state }: { state: NodeState }): ReactNode {
  const words = texts.stepStatus[state.status];
  const many = state.times > 1 ? ` ×${state.times}` : "";
  return (
    <span className="ran">
      <span className="visually-hidden">{words}</span>
      {state.status === "done" ? duration(state.ms) : words}
      {many}
    </span>
  );
}

/** A node of the drawing. */
export function DrawnCard({ data: { node } }: NodeProps<Node<CardData>>) {
  const { toggle, run, chosen, findings } = use(DrawingContext);
  const state = useNodeState(run, node.id);
  const wrong = findings.filter(({ path = "" }) => path === node.id || path.startsWith(`${node.id}.`));
  const isEnd = node.kind === "input" || node.kind === "output";
  return (
    <div
      className={`card ${node.kind}${node.isOpen ? " open" : ""}${state ? ` ${state.status}` : ""}${
        chosen === node.id ? " chosen" : ""
      }${wrong.length > 0 ? " wrong" : ""}`}
      title={wrong.map(({ message }) => message).join("\n") || undefined}
    >
      {!isEnd && (
        <Handle type="target" position={Position.Left} id={`in:${whenPort}`} className="when" style={{ top: whenAt }} />
      )}
      <div className="head">
        <div className="name">
          <span>{isEnd ? texts.drawing[node.kind as "input" | "output"] : node.name}</span>
          {state && !isEnd && <Ran state={state} />}
        </div>
        {!isEnd && (
          <div className="runs">
            <span>{node.runs}</span>
            {node.kind === "flow" && (
              <button
                type="button"
                className="toggle nodrag"
                aria-expanded={node.isOpen}
                aria-label={texts.drawing.toggle(node.name, node.isOpen)}
                onClick={(event) => {
                  event.stopPropagation();
                  toggle(node.id);
                }}
              >
                {node.isOpen ? "−" : "+"}
              </button>
            )}
          </div>
        )}
        {node.badges.map((badge) => (
          <div key={badge} className="badge">
            {badge}
          </div>
        ))}
      </div>
      <Ports node={node} />
    </div>
  );
}
