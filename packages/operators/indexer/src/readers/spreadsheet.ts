import type { Block, Field } from "./reader.js";

/** A cell: what it shows, and whether that is a text that a person typed. */
export interface Cell {
  readonly shown: string;
  readonly isText: boolean;
}

/** A row of a sheet by column, from 0. */
export interface SheetRow {
  /** As the program numbers it, from 1. */
  readonly number: number;
  readonly cells: ReadonlyMap<number, Cell>;
}

const within = 20; // rows in which a head is looked for

/** The row that names the columns: the first of several texts alone, above another row that has cells in these columns. */
export function headOf(rows: readonly SheetRow[]): number | undefined {
  for (const [index, { cells }] of rows.slice(0, within).entries()) {
    const filled = [...cells].filter(([, { shown }]) => shown.trim() !== "");
    if (filled.length < 2) continue;
    const next = rows[index + 1];
    const names = new Set(filled.map(([, { shown }]) => shown.trim()));
    const isHead =
      filled.every(([, { isText, shown }]) => isText && shown.length <= 80) &&
      names.size === filled.length &&
      next !== undefined &&
      [...next.cells].filter(([column, { shown }]) => shown.trim() !== "" && cells.has(column)).length >=
        Math.min(2, filled.length);
    // a first full row that is none says that there is none
    return isHead ? index : undefined;
  }
  return undefined;
}

/** The rows of a sheet as records, each with the names of its columns. */
export function recordsOf(rows: readonly SheetRow[], at: (row: SheetRow) => Pick<Block, "lines" | "place">): Block[] {
  const filled = rows.filter(({ cells }) => [...cells.values()].some(({ shown }) => shown.trim() !== ""));
  const head = headOf(filled);
  const names = head === undefined ? undefined : filled[head]!.cells;
  return filled.flatMap((row, index): Block[] => {
    if (index === head) return [];
    const fields = [...row.cells]
      .sort(([a], [b]) => a - b)
      .map(
        ([column, { shown }]): Field => [
          (head !== undefined && index > head && names?.get(column)?.shown.trim()) || "",
          shown,
        ],
      );
    return [{ kind: "record", fields, ...at(row) }];
  });
}
