import { missing } from "@tessera/core/internal";
import { type Archive, isZipWith, mainPart, openArchive, relationsOf } from "./archive.js";
import { type Block, type Reader, UnreadFile, type UnreadPart } from "./reader.js";
import { type Cell, recordsOf, type SheetRow } from "./spreadsheet.js";
import type { Xml } from "./xml.js";

type Show = (format: string, value: number) => string;

/** The formats that a program knows by number alone. */
const builtin: Readonly<Record<number, string>> = {
  1: "0",
  2: "0.00",
  3: "#,##0",
  4: "#,##0.00",
  9: "0%",
  10: "0.00%",
  11: "0.00E+00",
  12: "# ?/?",
  13: "# ??/??",
  14: "m/d/yyyy",
  15: "d-mmm-yy",
  16: "d-mmm",
  17: "mmm-yy",
  18: "h:mm AM/PM",
  19: "h:mm:ss AM/PM",
  20: "h:mm",
  21: "h:mm:ss",
  22: "m/d/yyyy h:mm",
  37: "#,##0;(#,##0)",
  38: "#,##0;[Red](#,##0)",
  39: "#,##0.00;(#,##0.00)",
  40: "#,##0.00;[Red](#,##0.00)",
  45: "mm:ss",
  46: "[h]:mm:ss",
  47: "mm:ss.0",
  48: "##0.0E+0",
  49: "@",
};

/** Texts without the readings that stand above Japanese ones. */
const richText = (element: Xml | undefined): string =>
  (element?.elements ?? [])
    .map((child) => (child.name === "t" ? child.text : child.name === "r" ? (child.child("t")?.text ?? "") : ""))
    .join("");

/** Column and row of "BC12", both from 1. */
export function cellAt(reference: string): { column: number; row: number } | undefined {
  const [, letters, digits] = /^\$?([A-Z]{1,3})\$?(\d+)$/.exec(reference) ?? [];
  if (!letters) return undefined;
  let column = 0;
  for (const letter of letters) column = column * 26 + letter.charCodeAt(0) - 64;
  return { column, row: Number(digits) };
}

class Workbook {
  private constructor(
    private readonly strings: readonly string[],
    private readonly formats: readonly string[],
    private readonly show: Show,
  ) {}

  static async open(archive: Archive, part: string): Promise<Workbook> {
    const relations = await relationsOf(archive, part);
    const xmlOf = (type: string) => archive.xml(relations.find((one) => one.type === type)?.target ?? "");
    const strings = ((await xmlOf("sharedStrings"))?.elements ?? []).filter(({ name }) => name === "si").map(richText);
    const styles = await xmlOf("styles");
    const own = new Map(
      (styles?.child("numFmts")?.elements ?? []).map((one) => [
        Number(one.attribute("numFmtId")),
        one.attribute("formatCode") ?? "",
      ]),
    );
    const formats = (styles?.child("cellXfs")?.elements ?? []).map((one) => {
      const id = Number(one.attribute("numFmtId") ?? 0);
      return own.get(id) ?? builtin[id] ?? "General";
    });
    const { format } = await import("numfmt").catch(missing("numfmt"));
    const root = await archive.xml(part);
    const from1904 = ["1", "true"].includes(root?.child("workbookPr")?.attribute("date1904") ?? "");
    const show: Show = (pattern, value) => {
      try {
        const isDate = /[ymdhs]/i.test(pattern.replace(/"[^"]*"|\[[^\]]*\]|\\./g, "")) && pattern !== "General";
        return format(pattern, from1904 && isDate ? value + 1462 : value).trim();
      } catch {
        return String(value); // a format that is none
      }
    };
    return new Workbook(strings, formats, show);
  }

  cell(cell: Xml): Cell {
    const raw = cell.child("v")?.text ?? "";
    switch (cell.attribute("t")) {
      case "s":
        return { shown: this.strings[Number(raw)] ?? "", isText: true };
      case "inlineStr":
        return { shown: richText(cell.child("is")), isText: true };
      case "str":
        return { shown: raw, isText: true };
      case "b":
        return { shown: raw === "1" ? "TRUE" : "FALSE", isText: false };
      case "e":
      case "d":
        return { shown: raw, isText: false };
    }
    if (raw === "" || !Number.isFinite(Number(raw))) return { shown: raw, isText: raw !== "" };
    const pattern = this.formats[Number(cell.attribute("s") ?? 0)] ?? "General";
    return { shown: this.show(pattern, Number(raw)), isText: false };
  }

  rows(sheet: Xml): SheetRow[] {
    const rows: SheetRow[] = [];
    for (const row of sheet.child("sheetData")?.elements ?? []) {
      const number = Number(row.attribute("r") ?? (rows.at(-1)?.number ?? 0) + 1);
      const cells = new Map<number, Cell>();
      let next = 0;
      for (const cell of row.elements) {
        if (cell.name !== "c") continue;
        const column = (cellAt(cell.attribute("r") ?? "")?.column ?? next + 1) - 1;
        cells.set(column, this.cell(cell));
        next = column + 1;
      }
      rows.push({ number, cells });
    }
    fillMerged(rows, sheet);
    return rows;
  }
}

/** A cell that was merged over several rows says the same in each of them. */
function fillMerged(rows: readonly SheetRow[], sheet: Xml): void {
  const byNumber = new Map(rows.map((row) => [row.number, row]));
  for (const merged of sheet.child("mergeCells")?.elements ?? []) {
    const [from, to] = (merged.attribute("ref") ?? "").split(":").map(cellAt);
    const first = from && byNumber.get(from.row)?.cells.get(from.column - 1);
    if (!from || !to || !first) continue;
    for (let number = from.row + 1; number <= Math.min(to.row, rows.at(-1)!.number); number++)
      (byNumber.get(number)?.cells as Map<number, Cell> | undefined)?.set(from.column - 1, first);
  }
}

/** Workbooks of Excel: each row with the names of its columns, as it is shown. */
export const xlsxReader: Reader = {
  name: "xlsx",
  version: 1,
  extensions: ["xlsx", "xlsm", "xltx"],
  binary: true,
  sniff: (bytes) => isZipWith(bytes, "xl/workbook"),
  async read({ bytes }, context) {
    const archive = await openArchive(bytes, context);
    if (archive.has("xl/workbook.bin")) throw new UnreadFile("unsupported", "it is a binary workbook: save it as XLSX");
    const part = await mainPart(archive, "xl/workbook.xml");
    const workbook = await Workbook.open(archive, part);
    const relations = new Map((await relationsOf(archive, part)).map(({ id, target }) => [id, target]));
    const sheets = (await archive.xml(part))?.child("sheets")?.elements ?? [];
    const blocks: Block[] = [];
    const unread: UnreadPart[] = [];
    for (const [index, sheet] of sheets.entries()) {
      if (index >= context.limits.pages) {
        unread.push({ reason: "limit", detail: `only the first ${index} sheets are read` });
        break;
      }
      const name = sheet.attribute("name") ?? `${index + 1}`;
      const root = await archive.xml(relations.get(sheet.attribute("r:id") ?? sheet.attribute("id") ?? "") ?? "");
      if (!root) continue; // a sheet that is a chart alone
      const records = recordsOf(workbook.rows(root), ({ number }) => ({
        place: { unit: "row", from: number, to: number, inside: [name] },
      }));
      const [first] = records;
      if (first?.place) blocks.push({ kind: "heading", level: 1, text: name, place: first.place }, ...records);
    }
    return { kind: "blocks", blocks, unread };
  },
};
