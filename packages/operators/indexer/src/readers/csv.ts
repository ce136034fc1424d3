import { missing } from "@tessera/core/internal";
import type { Reader } from "./reader.js";
import { recordsOf, type SheetRow } from "./spreadsheet.js";

/** The sign that parts columns: the one that stands equally often, and at least once, in most of the first lines. */
export function delimiterOf(text: string): string {
  const lines = text
    .slice(0, 20_000)
    .replace(/"(?:[^"]|"")*"/g, "x")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(0, 30);
  let best = { sign: ",", score: 0 };
  for (const sign of [",", ";", "\t", "|"]) {
    const counts = lines.map((line) => line.split(sign).length - 1);
    const usual = Math.max(0, ...counts.filter((count) => count > 0));
    const same =
      usual === 0
        ? 0
        : Math.max(
            ...[...new Set(counts)].filter((n) => n > 0).map((n) => counts.filter((count) => count === n).length),
          );
    if (same > best.score) best = { sign, score: same };
  }
  return best.sign;
}

/** Tables as text: each row with the names of its columns. */
export const csvReader: Reader = {
  name: "csv",
  version: 1,
  extensions: ["csv", "tsv", "tab"],
  binary: true,
  async read({ path, bytes }, context) {
    const text = await context.text(bytes);
    const { parse } = await import("csv-parse/sync").catch(missing("csv-parse"));
    // a first line of some programs: "sep=;"
    const declared = /^sep=(.)\n/i.exec(text)?.[1];
    const delimiter = declared ?? (/\.(?:tsv|tab)$/i.test(path) ? "\t" : delimiterOf(text));
    const found = parse(text, {
      delimiter,
      info: true,
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
      record_delimiter: "\n",
      from_line: declared ? 2 : 1,
    }) as unknown as { record: string[]; info: { lines: number } }[];
    let before = declared ? 1 : 0;
    const lines = new Map<number, [number, number]>();
    const rows = found.map(({ record, info }, index): SheetRow => {
      const feeds = record.reduce((sum, value) => sum + value.split("\n").length - 1, 0);
      const last = Math.max(before + 1, info.lines);
      lines.set(index, [Math.max(before + 1, last - feeds), last]);
      before = last;
      const cells = record.map((shown, column) => [column, { shown, isText: isText(shown) }] as const);
      return { number: index, cells: new Map(cells) };
    });
    return { kind: "blocks", blocks: recordsOf(rows, ({ number }) => ({ lines: lines.get(number)! })) };
  },
};

/** Whether a value is a word rather than a number, a date or nothing. */
const isText = (shown: string): boolean => shown.trim() !== "" && !/^[\s\d.,:/%€$£+-]+$/.test(shown);
