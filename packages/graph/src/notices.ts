// internal: Notice
import type { PortType } from "@tessera/core";
import { referencesOf, splitReference } from "@tessera/core/internal";
import type { FlowPlan } from "./plan.js";

/** What is allowed, but may surprise the author of the flow. */
export interface Notice {
  readonly path: string;
  readonly message: string;
}

/**
 * Nodes that stream into an output of the flow, and whose policy holds for failures before the first part alone: a part
 * that was shown cannot be taken back.
 */
export function noticesOf(plan: FlowPlan): Notice[] {
  const found = new Map<string, Notice>();
  const pending: [plan: FlowPlan, ports: readonly string[]][] = [[plan, Object.keys(plan.document.output)]];
  while (pending.length > 0) {
    const [flow, ports] = pending.pop()!;
    const byId = new Map(flow.nodes.map((node) => [node.id, node]));
    const fed = new Map<string, string[]>();
    for (const reference of ports.flatMap((port) => referencesOf(flow.document.output[port]!))) {
      const [id, port] = splitReference(reference);
      const node = byId.get(id);
      if (!node || node.document.each || !isStreamed(node.gives.get(port)?.type)) continue;
      fed.set(id, [...(fed.get(id) ?? []), port]);
    }
    for (const [id, given] of fed) {
      const { path, document, body } = byId.get(id)!;
      const { retry, onError } = document.policy ?? {};
      const kept = [(retry?.attempts ?? 1) > 1 && "tried again", onError === "skip" && "left out"].filter(Boolean);
      if (kept.length > 0) {
        const message = `it feeds an output as a stream: once a part was shown, a failure ends the run, and it is not ${kept.join(" or ")}`;
        found.set(path, { path, message });
      }
      if (body.kind === "flow") pending.push([body, given]);
    }
  }
  return [...found.values()];
}

const isStreamed = (type: PortType | undefined): boolean => type === "text" || type === "any";
