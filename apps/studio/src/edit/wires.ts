import type { Check, FlowDocument, Ports } from "../api/types.js";
import { nodeAt, parentOf } from "./document.js";

/** A port that could feed another, and how it fits. */
export interface Around {
  readonly reference: string;
  readonly words: string;
  readonly fits: "whole" | "member" | undefined;
  readonly wire: { readonly from: string; readonly fromPort: string };
}

export type Fits = Readonly<Record<string, Readonly<Record<string, "whole" | "member">>>>;

/** The words of the type that a port of a node takes: of a list where its node runs for each element. */
function wantedAt(document: FlowDocument, path: string, port: string, check: Check | undefined): string | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const ports = name === "<output>" ? check?.ports?.[parentOf(path)]?.output : check?.ports?.[path]?.input;
  const words = ports?.[port]?.words;
  return words !== undefined && nodeAt(document, path)?.each?.over === port ? `list of ${words}` : words;
}

/** How a type fits another: by the compiler's own table, which comes with each check. */
export function fitOf(check: Check | undefined, source: string | undefined, target: string | undefined) {
  if (source === undefined || target === undefined || source === "any" || target === "any") return "whole" as const;
  return check?.fits?.[source]?.[target];
}

/** Every port that a port of a node could be fed by: those of its flow's inputs and of the nodes that do not wait for it. */
export function portsAround(document: FlowDocument, path: string, port: string, check: Check | undefined): Around[] {
  const flow = parentOf(path);
  const wanted = wantedAt(document, path, port, check);
  const inner = flow.includes("/") ? nodeAt(document, flow)?.run : document;
  if (typeof inner !== "object") return [];
  const own = path.slice(path.lastIndexOf("/") + 1);
  const of = (from: string, name: string, ports: Ports | undefined): Around[] =>
    Object.entries(ports ?? {}).map(([fromPort, { words }]) => ({
      reference: `${name}.${fromPort}`,
      words,
      fits: fitOf(check, words, wanted),
      wire: { from, fromPort },
    }));
  return [
    ...of(`${flow}/<input>`, "input", check?.ports?.[flow]?.input),
    ...Object.keys(inner.nodes)
      .filter((id) => id !== own)
      .flatMap((id) => of(`${flow}/${id}`, id, check?.ports?.[`${flow}/${id}`]?.output)),
  ];
}

/** How a wire would fit; "" where it does, else the reason why not. */
export function refusalOf(
  document: FlowDocument,
  wire: { from: string; fromPort: string; to: string; toPort: string },
  check: Check | undefined,
): { readonly fits: "whole" | "member" | undefined; readonly reason: string } {
  const { from, fromPort, to, toPort } = wire;
  if (from === to) return { fits: undefined, reason: "a node cannot read itself" };
  if (parentOf(from) !== parentOf(to)) return { fits: undefined, reason: "it is a port of another flow" };
  const isInput = from.endsWith("/<input>");
  const ports = isInput ? check?.ports?.[parentOf(from)]?.input : check?.ports?.[from]?.output;
  const source = ports?.[fromPort]?.words;
  const target = wantedAt(document, to, toPort, check);
  // an output of the flow takes any type
  const fits = to.endsWith("/<output>") ? ("whole" as const) : fitOf(check, source, target);
  return { fits, reason: fits ? "" : `${fromPort} gives ${source}, ${toPort} takes ${target}` };
}
