import { BaseEdge, type EdgeProps, getBezierPath } from "@xyflow/react";
import { use, useCallback, useSyncExternalStore } from "react";
import { DrawingContext } from "./card.js";

/** The line from a port to a port. It is drawn again alone when it is lit. */
export function Wire(props: EdgeProps) {
  const { id, sourceX, sourceY, sourcePosition, targetX, targetY, targetPosition, label } = props;
  const { lit } = use(DrawingContext);
  const subscribe = useCallback((listener: () => void) => lit.subscribe(id, listener), [lit, id]);
  const isLit = useSyncExternalStore(subscribe, () => lit.has(id));
  const [path, labelX, labelY] = getBezierPath({
    ...{ sourceX, sourceY, sourcePosition, targetX, targetY, targetPosition },
  });
  return (
    <BaseEdge
      path={path}
      labelX={labelX}
      labelY={labelY}
      label={label}
      interactionWidth={0}
      className={isLit ? "lit" : ""}
      markerEnd={props.markerEnd}
    />
  );
}
