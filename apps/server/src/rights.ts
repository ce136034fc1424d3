// internal
import { TesseraError } from "@tessera/core";
import type { RunState } from "@tessera/graph/internal";
import type { FlowHandle } from "@tessera/tessera";
import type { Key, Scope } from "./keys.js";
import type { Owner } from "./owners.js";

/** What a client wants to do, and with what. */
export type Action =
  | { readonly to: "see" | "run"; readonly flow: string }
  | { readonly to: "change"; readonly flow: string; readonly owner: Owner }
  | { readonly to: "see" | "change"; readonly run: Pick<RunState, "id" | "flow" | "principal"> }
  /** Runs a run again in which a step is another one than its flow says, or gives something else. */
  | { readonly to: "edit"; readonly run: Pick<RunState, "id" | "flow" | "principal"> }
  | { readonly to: "see"; readonly index: string }
  | { readonly to: "change"; readonly index: string; readonly owner: Owner };

const forbidden = (message: string, path: string, hint?: string) =>
  new TesseraError("FORBIDDEN", message, { path, hint });

const hasOneOf = ({ scopes }: Key, ...wanted: Scope[]): boolean => wanted.some((scope) => scopes.includes(scope));

/**
 * Refuses changes of what others own. Something new has no owner yet. Something without a known owner is older than the
 * record of owners, and needs the scope `operate`.
 */
function refusedOwner(key: Key, what: string, path: string, owner: Owner): TesseraError | undefined {
  if (owner === "new" || hasOneOf(key, "operate") || (owner !== "unknown" && owner.principal === key.principal.id))
    return undefined;
  return owner === "unknown"
    ? forbidden(`it is not known whose ${what} "${path}" is`, path, 'a key with the scope "operate" may change it')
    : forbidden(`the ${what} "${path}" belongs to somebody else`, path, "take another name");
}

/**
 * Returns the error if a key may not do something, and undefined if it may. Every route asks here. A flow or index that
 * the key may not use is refused with the same words whether it exists or not. A run that the key may not see does not
 * exist for it.
 */
export function refusal(key: Key, action: Action): TesseraError | undefined {
  if ("run" in action) {
    const { id, flow, principal } = action.run;
    const own = principal.id === key.principal.id || hasOneOf(key, "operate");
    if (!own || refusal(key, { to: "run", flow })) return new TesseraError("NOT_FOUND", `there is no run "${id}"`);
    return action.to !== "edit" || hasOneOf(key, "flows") ? undefined : lacks("flows", flow);
  }
  if ("flow" in action) {
    const { flow } = action;
    if (key.flows && !key.flows.includes(flow)) return forbidden(`the key is not for the flow "${flow}"`, flow);
    if (action.to === "change")
      return hasOneOf(key, "flows") ? refusedOwner(key, "flow", flow, action.owner) : lacks("flows", flow);
    if (action.to === "run") return hasOneOf(key, "run") ? undefined : lacks("run", flow);
    return hasOneOf(key, "run", "flows", "operate") ? undefined : lacks("run", flow);
  }
  const { index } = action;
  if (key.indexes && !key.indexes.includes(index)) return forbidden(`the key is not for the index "${index}"`, index);
  if (!hasOneOf(key, "indexes")) return lacks("indexes", index);
  return action.to === "change" ? refusedOwner(key, "index", index, action.owner) : undefined;
}

const lacks = (scope: Scope, path: string) =>
  forbidden(`the key lacks the scope "${scope}"`, path, "tessera keys create --scope");

export const may = (key: Key, action: Action): boolean => refusal(key, action) === undefined;

/** @throws TesseraError FORBIDDEN; of a run NOT_FOUND. */
export function assertMay(key: Key, action: Action): void {
  const refused = refusal(key, action);
  if (refused) throw refused;
}

/**
 * Refuses a flow that names an index which the key may not use.
 * @throws TesseraError FORBIDDEN
 */
export function assertMayUse(
  { indexes }: Key,
  flow: { readonly resources: readonly string[] },
  indexOf: (store: string) => string | undefined,
): void {
  if (!indexes) return;
  for (const path of flow.resources) {
    const [kind, name = ""] = path.split(/\/(.*)/s);
    const index = kind === "store" ? indexOf(name) : undefined;
    if (index !== undefined && !indexes.includes(index))
      throw forbidden(`the key is not for the index "${index}", which the flow names`, path);
  }
}

/** What a flow can write, as far as the service knows it. */
export interface Writing {
  readonly flow: Pick<FlowHandle, "writes" | "document">;
  readonly isUploaded: boolean;
  /** The index that a store belongs to, by the store's name. */
  indexOf(store: string): string | undefined;
  ownerOf(index: string): Promise<Owner>;
}

// what an operator that writes asks for besides, to know what it writes
const onlyRead = new Set(["encoder", "model", "folder", "sandbox"]);

/**
 * Refuses a flow that writes an index without the right to change that index. An uploaded flow may write only indexes,
 * not other resources that the service was given.
 * @throws TesseraError FORBIDDEN
 */
export async function assertMayWrite(key: Key, { flow, isUploaded, indexOf, ownerOf }: Writing): Promise<void> {
  for (const path of flow.writes) {
    const [kind = "", name = ""] = path.split(/\/(.*)/s);
    if (onlyRead.has(kind)) continue;
    const index = kind === "store" ? indexOf(name) : undefined;
    if (index !== undefined) assertMay(key, { to: "change", index, owner: await ownerOf(index) });
    else if (isUploaded)
      throw forbidden(`"${name}" is no index of this service, and an uploaded flow writes nothing else`, path);
  }
}
