import type { Groups } from "./device.js";
import type { DispatchShape } from "./kernels/compact.js";

/**
 * The sizes of the dispatches of one run: known here until texts leave, then read on the device, where `compact` wrote
 * them. Every shape is asked for before the first text leaves, so that the list is whole by then.
 */
export class DispatchSizes {
  readonly shapes: DispatchShape[] = [];
  /** Texts may have left: sizes come from `dispatch`. */
  compacted = false;

  constructor(
    private readonly rows: Readonly<Record<DispatchShape["rows"], number>>,
    private readonly dispatch: GPUBuffer,
  ) {}

  /** ⌈rows / every⌉ × across. */
  of(rows: DispatchShape["rows"], every = 1, across = 1): Groups {
    let index = this.shapes.findIndex(
      (shape) => shape.rows === rows && shape.every === every && shape.across === across,
    );
    if (index < 0) index = this.shapes.push({ rows, every, across }) - 1;
    return this.compacted ? { dispatch: this.dispatch, at: 12 * index } : [Math.ceil(this.rows[rows] / every), across];
  }
}

/** Shapes that a run may have, at most. */
export const mostShapes = 32;
