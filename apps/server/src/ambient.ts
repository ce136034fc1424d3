// internal
import { type AnyOperator, type FlowDocument, TesseraError } from "@tessera/core";

/** The operators that a document names, at any depth, each with the path of a node that runs it. */
function operatorsIn(document: FlowDocument): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const open: [path: string, flow: FlowDocument][] = [[document.name, document]];
  for (let next = open.pop(); next; next = open.pop()) {
    const [path, { nodes }] = next;
    for (const [id, { run }] of Object.entries(nodes)) {
      const place = `${path}.nodes.${id}`;
      if (typeof run === "string") found.set(run, place);
      else open.push([place, run]);
    }
  }
  return found;
}

/**
 * Refuses a document from outside with an operator that reaches into the machine by itself, before anything is set up.
 * @throws TesseraError FORBIDDEN, which names the operator and the node.
 */
export function assertNotAmbient(document: FlowDocument, operators: readonly AnyOperator[]): void {
  const named = operatorsIn(document);
  for (const { name, ambient = [] } of operators) {
    const path = named.get(name);
    if (path !== undefined && ambient.length > 0)
      throw new TesseraError("FORBIDDEN", `"${name}" reaches into the machine (${ambient.join(", ")})`, {
        path,
        hint: "whoever runs the service may start it with this flow; it cannot be uploaded",
      });
  }
}
