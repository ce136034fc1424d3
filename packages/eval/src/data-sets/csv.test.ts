import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { readCsv } from "./csv.js";

describe("readCsv", () => {
  it("reads commas, quotes and line feeds inside quotes", () => {
    expect(readCsv('a,b\r\n1,"x, ""y""\nz"\n,2\n')).toEqual([
      { a: "1", b: 'x, "y"\nz' },
      { a: "", b: "2" },
    ]);
    expect(readCsv("")).toEqual([]);
  });

  it("gives back any cells that were quoted", () => {
    const quote = (cell: string) => `"${cell.replaceAll('"', '""')}"`;
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.string())), (rows) => {
        const text = [["a", "b"], ...rows].map((row) => row.map(quote).join(",")).join("\n");
        expect(readCsv(text)).toEqual(rows.map(([a, b]) => ({ a, b })));
      }),
    );
  });
});
