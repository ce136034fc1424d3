import type { FlowDocument } from "@tessera/core";
import { flows as catalogue } from "@tessera/flows";

/** The names under which an index gives its vectors. */
const names = new Set(["dense", "encoder"]);

/** Whether a flow, or one that it runs (of a config, or of the catalogue), names the store "dense" or the encoder "encoder" in its settings. */
export function usesVectors(
  document: unknown,
  flows: ReadonlyMap<string, FlowDocument> = new Map(),
  seen = new Set<string>(),
): boolean {
  if (typeof document === "string") return names.has(document);
  if (Array.isArray(document)) return document.some((one) => usesVectors(one, flows, seen));
  if (document === null || typeof document !== "object") return false;
  const { run } = document as { run?: unknown };
  if (typeof run === "string" && !seen.has(run)) {
    seen.add(run);
    const named = flows.get(run) ?? catalogue.get(run)?.flow.document;
    if (named && usesVectors(named, flows, seen)) return true;
  }
  return Object.entries(document).some(
    ([name, value]) => name !== "in" && name !== "output" && usesVectors(value, flows, seen),
  );
}
