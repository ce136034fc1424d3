// public: mermaid
import type { FlowDocument, NodeDocument, Source } from "@tessera/core";
import { readsOf, splitReference } from "@tessera/core/internal";

const escaped = (text: string): string => text.replace(/"/g, "#quot;").replace(/</g, "#lt;").replace(/>/g, "#gt;");

const quote = (...lines: string[]): string => `"${lines.map(escaped).join("<br>")}"`;

const describe = (id: string, node: NodeDocument): string[] => {
  const lines = [id, typeof node.run === "string" ? node.run : `flow ${node.run.name}`];
  if (node.each) lines.push(`each ${node.each.over}, at most ${node.each.max}`);
  if (node.repeat) {
    const ends = [node.repeat.until].flat().filter(Boolean).join(" or ");
    lines.push(
      `repeat${ends ? ` until ${ends}` : ""}${node.repeat.while ? ` while ${node.repeat.while}` : ""}, at most ${node.repeat.max}`,
    );
  }
  return lines;
};

/** The references of a source with what is said on their arrows. */
function labelled(port: string, source: Source): [reference: string, label: string][] {
  if (typeof source === "string") return [[source, port]];
  if (Array.isArray(source)) return source.map((reference) => [reference, `${port}[]`]);
  if ("named" in source) return Object.entries(source.named).map(([name, reference]) => [reference, `${port}.${name}`]);
  if ("value" in source) return [];
  return source.first.flatMap((member, at): [string, string][] =>
    typeof member === "string" ? [[member, `${port} (${at + 1})`]] : [],
  );
}

/** A drawing of a flow in Mermaid: boxes are nodes, arrows are wires, dotted arrows are conditions. */
export function mermaid(document: FlowDocument): string {
  const lines = ["flowchart TD"];
  const draw = (flow: FlowDocument, prefix: string, indent: string): void => {
    const name = (id: string) => `${prefix}${id.replace(/-/g, "_")}`;
    lines.push(`${indent}${name("input")}([${quote(`input: ${Object.keys(flow.input).join(", ") || "nothing"}`)}])`);
    const asked = askedIn(flow);
    for (const [id, node] of Object.entries(flow.nodes)) {
      if (typeof node.run === "string") {
        const [open, close] = asked.has(id) && readsOf(node).length > 0 ? ["{{", "}}"] : ["[", "]"];
        lines.push(`${indent}${name(id)}${open}${quote(...describe(id, node))}${close}`);
      } else {
        lines.push(`${indent}subgraph ${name(id)} [${quote(...describe(id, node))}]`);
        draw(node.run, `${name(id)}_`, `${indent}  `);
        lines.push(`${indent}end`);
      }
    }
    lines.push(`${indent}${name("output")}([${quote(`output: ${Object.keys(flow.output).join(", ")}`)}])`);
    const arrow = (reference: string, to: string, label: string, line: string) => {
      const [from, port] = splitReference(reference);
      const text = label === port ? port : `${port} → ${label}`;
      lines.push(`${indent}${name(from)} ${line}|${quote(text)}| ${name(to)}`);
    };
    for (const [id, node] of Object.entries(flow.nodes)) {
      for (const [port, source] of Object.entries(node.in))
        for (const [reference, label] of labelled(port, source)) arrow(reference, id, label, "-->");
      for (const [reference, wanted] of Object.entries(node.when ?? {}))
        arrow(reference, id, [wanted].flat().join(" | "), "-.->");
    }
    for (const [port, source] of Object.entries(flow.output))
      for (const [reference, label] of labelled(port, source)) arrow(reference, "output", label, "-->");
  };
  draw(document, "", "  ");
  return `${lines.join("\n")}\n`;
}

/** The nodes that conditions read. */
const askedIn = (flow: FlowDocument): ReadonlySet<string> =>
  new Set(
    Object.values(flow.nodes).flatMap(({ when }) =>
      Object.keys(when ?? {}).map((reference) => splitReference(reference)[0]),
    ),
  );
