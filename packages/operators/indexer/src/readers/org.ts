import { LineBlocks } from "./line-blocks.js";
import type { Reader } from "./reader.js";

const inline = (text: string): string =>
  text
    .replace(/\[\[[^\]]*\]\[([^\]]*)\]\]/g, "$1")
    .replace(/\[\[([^\]]*)\]\]/g, "$1")
    .replace(/(^|[\s('"{])([=~])([^\s=~](?:[^=~]*[^\s=~])?)\2(?=$|[\s.,;:!?'")}-])/g, "$1`$3`");

/** Org documents: headings, source blocks, lists, tables; drawers and settings are left out. */
export const orgReader: Reader = {
  name: "org",
  version: 1,
  extensions: ["org"],
  async read({ bytes }, context) {
    const lines = (await context.text(bytes)).split("\n");
    const out = new LineBlocks(inline);
    let title: string | undefined;
    for (let row = 0; row < lines.length; row++) {
      const line = lines[row]!;
      const text = line.trim();
      const until = (end: RegExp): number => {
        let last = row + 1;
        while (last < lines.length && !end.test(lines[last]!)) last++;
        return Math.min(last, lines.length - 1);
      };
      const heading =
        /^(\*+)\s+(?:(?:TODO|DONE|NEXT|WAITING|CANCELLED)\s+)?(?:\[#[A-Z]\]\s+)?(.*?)(?:\s+:[\w@:]+:)?$/.exec(line);
      const begun = /^#\+begin_(\w+)(?:\s+([\w+#-]+))?/i.exec(text);
      const item = /^(\s*)(?:([-+])|(\d+[.)]))\s+(?:\[@?\S?\]\s+)?(\S.*)$/.exec(line);
      if (text === "") out.endParagraph();
      else if (heading) out.heading(heading[1]!.length, heading[2]!, row);
      else if (
        /^:(?:PROPERTIES|LOGBOOK|\w+):$/i.test(text) &&
        lines.slice(row, row + 60).some((one) => /^\s*:END:\s*$/i.test(one))
      )
        row = until(/^\s*:END:\s*$/i);
      else if (begun) {
        const last = until(new RegExp(`^\\s*#\\+end_${begun[1]}`, "i"));
        const body = lines.slice(row + 1, last);
        if (/^(?:src|example|export)$/i.test(begun[1]!))
          out.code(body, begun[1]!.toLowerCase() === "src" ? begun[2] : undefined, row, last);
        else if (!/^comment$/i.test(begun[1]!)) {
          out.end();
          for (const [index, one] of body.entries())
            if (one.trim() !== "") out.line(one, row + 1 + index);
            else out.endParagraph();
          out.end();
        }
        row = last;
      } else if (/^#\+title:/i.test(text)) {
        title ??= text.replace(/^#\+title:\s*/i, "");
        out.heading(0, title, row);
      } else if (/^#(?:\s|\+|$)/.test(text) || /^-{5,}$/.test(text) || /^(?:SCHEDULED|DEADLINE|CLOSED):/.test(text))
        out.end();
      else if (text.startsWith("|")) {
        let last = row;
        while (last + 1 < lines.length && lines[last + 1]!.trim().startsWith("|")) last++;
        const table = lines.slice(row, last + 1).map((one) => one.trim());
        const rows = table
          .filter((one) => !/^\|[-+]+\|?$/.test(one))
          .map((one) => one.replace(/^\||\|$/g, "").split("|"));
        out.table(rows, /^\|[-+]+\|?$/.test(table[1] ?? ""), row, last);
        row = last;
      } else if (/^: /.test(text)) out.code([text.slice(2)], undefined, row, row);
      else if (item) out.item({ text: item[4]!, depth: Math.floor(item[1]!.length / 2), marker: item[3] ?? "-" }, row);
      else {
        // what is not indented goes on after the list
        if (out.inList && !/^\s/.test(line)) out.end();
        out.line(line, row);
      }
    }
    out.end();
    return { kind: "blocks", title, blocks: out.blocks };
  },
};
