import type { Drawing } from "./graph.js";

/** The port, or the node, that the pointer is on. */
export interface HoveredAt {
  readonly node: string;
  readonly port?: string;
  readonly side?: "in" | "out";
}

/** Which edges are lit, told to each edge alone: to follow a value draws nothing else again. */
export class LitEdges {
  #lit: ReadonlySet<string> = new Set();
  #drawing: Drawing | undefined;
  readonly #listeners = new Map<string, () => void>();

  /** The element that has the class "following" while an edge is lit. */
  holder: HTMLElement | null = null;

  set drawing(drawing: Drawing | undefined) {
    this.#drawing = drawing;
    this.#light(new Set());
  }

  has(edge: string): boolean {
    return this.#lit.has(edge);
  }

  /** Calls `listener` when the edge is lit or no longer so. Each edge has one. */
  subscribe(edge: string, listener: () => void): () => void {
    this.#listeners.set(edge, listener);
    return () => void this.#listeners.delete(edge);
  }

  /** Lights the edges of a port, from where its value is made to all who read it; of a node all that touch it. */
  hover(at: HoveredAt | undefined): void {
    if (!at) return this.#light(new Set());
    const { node, port, side } = at;
    const touched = (this.#drawing?.edges ?? []).filter((edge) =>
      port === undefined
        ? edge.from === node || edge.to === node
        : side === "out"
          ? edge.from === node && edge.fromPort === port
          : edge.to === node && edge.toPort === port,
    );
    this.#light(new Set(touched.map(({ id }) => id)));
  }

  #light(next: ReadonlySet<string>): void {
    const before = this.#lit;
    this.#lit = next;
    this.holder?.classList.toggle("following", next.size > 0);
    for (const edge of before) if (!next.has(edge)) this.#listeners.get(edge)?.();
    for (const edge of next) if (!before.has(edge)) this.#listeners.get(edge)?.();
  }
}
