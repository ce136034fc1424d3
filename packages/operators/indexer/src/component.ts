import type { Rows } from "./pieces.js";

/** A part of a component file with the language it is in. */
export interface Part {
  readonly kind: "script" | "style" | "template";
  readonly language: string;
  /** The lines with its tags. */
  readonly rows: Rows;
}

const opening = /^\s*<(script|style|template)\b([^>]*)>/i;
const scripts: Record<string, string> = { ts: "typescript", typescript: "typescript", tsx: "tsx", jsx: "javascript" };

function languageIn(kind: string, attributes: string): string {
  const [, said = ""] = /\blang\s*=\s*["']?(\w+)/i.exec(attributes) ?? [];
  if (kind === "script") return scripts[said.toLowerCase()] ?? "javascript";
  return kind === "style" ? said.toLowerCase() || "css" : "html";
}

/** The parts of a Vue or Svelte component, in order; what stands outside of tags is template. */
export function partsOf(lines: readonly string[]): Part[] {
  const parts: Part[] = [];
  let rest = 0;
  const template = (to: number) => {
    if (rest <= to) parts.push({ kind: "template", language: "html", rows: [rest, to] });
  };
  for (let row = 0; row < lines.length; row++) {
    const open = opening.exec(lines[row]!);
    if (!open) continue;
    const [, tag = "", attributes = ""] = open;
    const kind = tag.toLowerCase() as Part["kind"];
    const close = new RegExp(`^</${kind}\\s*>|</${kind}\\s*>\\s*$`, "i"); // a template's own end is the last one
    let end = row;
    if (kind === "template") {
      for (let next = lines.length - 1; next > row; next--)
        if (/^<\/template\s*>/i.test(lines[next]!)) {
          end = next;
          break;
        }
    } else while (end < lines.length - 1 && !close.test(lines[end]!)) end++;
    template(row - 1);
    parts.push({ kind, language: languageIn(kind, attributes), rows: [row, end] });
    row = end;
    rest = end + 1;
  }
  template(lines.length - 1);
  return parts;
}
