import { ask } from "../api/client.js";
import type { CatalogueFlow, FlowDetail, FlowDocument, FlowSummary } from "../api/types.js";

/** A flow as the list shows it: of the catalogue, of the service, or both. */
export interface LibraryFlow {
  readonly name: string;
  readonly summary: string;
  readonly isOwn: boolean;
  readonly served: FlowSummary | undefined;
  readonly catalogue: CatalogueFlow | undefined;
}

export async function loadLibrary(): Promise<LibraryFlow[]> {
  const [{ flows: served }, { flows: named }] = await Promise.all([
    ask<{ flows: FlowSummary[] }>("/flows"),
    ask<{ flows: CatalogueFlow[] }>("/catalogue"),
  ]);
  const byName = new Map(named.map((flow) => [flow.name, flow]));
  const own = served.filter(({ name, uploaded }) => uploaded || !byName.has(name));
  const ownNames = new Set(own.map(({ name }) => name));
  return [
    ...own.map((flow) => ({ name: flow.name, summary: "", isOwn: true, served: flow, catalogue: undefined })),
    ...named
      .filter(({ name }) => !ownNames.has(name))
      .map((flow) => ({
        name: flow.name,
        summary: flow.summary,
        isOwn: false,
        served: served.find(({ name }) => name === flow.name),
        catalogue: flow,
      })),
  ];
}

/** Whether a flow has all words of a search, in its name or in what is said of it. */
export function hasWords({ name, catalogue }: LibraryFlow, search: string): boolean {
  const text = `${name} ${catalogue?.about ?? ""}`.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

export async function documentOf({ name, served, catalogue }: LibraryFlow): Promise<FlowDocument> {
  if (!served) return catalogue!.document;
  return (await ask<FlowDetail>(`/flows/${name}`)).document;
}
