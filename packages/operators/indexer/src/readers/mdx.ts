import type { Reader } from "./reader.js";

/** MDX: the Markdown of it, line by line; imports, exports, comments and the tags of components become empty. */
export const mdxReader: Reader = {
  name: "mdx",
  version: 1,
  extensions: ["mdx"],
  async read({ bytes }, context) {
    return { kind: "text", text: withoutComponents(await context.text(bytes)), language: "markdown" };
  },
};

export function withoutComponents(text: string): string {
  let fence: string | undefined;
  let statement = false; // within an import or export of several lines
  let depth = 0; // of braces in it
  let tag = false; // within a tag of several lines
  const lines = text.split("\n").map((line) => {
    const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence !== undefined) {
      if (mark?.startsWith(fence)) fence = undefined;
      return line;
    }
    if (mark) {
      fence = mark;
      return line;
    }
    if (!statement && /^(?:import|export)\s/.test(line)) [statement, depth] = [true, 0];
    if (statement) {
      depth += (line.match(/[{([]/g)?.length ?? 0) - (line.match(/[})\]]/g)?.length ?? 0);
      if (depth <= 0 && (/[;'"`)}]\s*$/.test(line) || line.trim() === "")) statement = false;
      return "";
    }
    if (tag) {
      const end = line.search(/>/);
      if (end < 0) return "";
      tag = false;
      return line.slice(end + 1).trim();
    }
    const code: string[] = [];
    const shown = line
      .replace(/`[^`]*`/g, (span) => `\ue000${code.push(span) - 1}\ue001`)
      .replace(/\{\/\*.*?\*\/\}/g, "")
      .replace(
        /<\/?(?:[A-Z][\w.]*|[a-z][\w-]*)?(?:\s+[\w:-]+(?:=(?:"[^"]*"|'[^']*'|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}))?)*\s*\/?>/g,
        "",
      );
    const open = /<[A-Z][\w.]*(?:\s[^<>]*)?$/.exec(shown);
    if (open) tag = true;
    return (open ? shown.slice(0, open.index) : shown).replace(
      /\ue000(\d+)\ue001/g,
      (_, index) => code[Number(index)]!,
    );
  });
  return lines.join("\n");
}
