import { describe, expect, it } from "@jest/globals";
import { strToU8, zipSync } from "fflate";
import { shown } from "./reading.fixture.js";
import { cellAt } from "./xlsx.js";

describe("the XLSX reader", () => {
  it("reads each row with its head, numbers and dates as they are shown, sheet by sheet", async () => {
    const name = "fees-openpyxl.xlsx";
    expect(await shown(name)).toEqual([
      [`${name}, Summer, row 1`, "# Summer\n\nFees of the summer"],
      [`${name}, Summer, row 4`, "Deck: Upper; Fee: 12.50 EUR; From: 01.06.2026; Discount: 25%"],
      [`${name}, Summer, row 5`, "Deck: Lower; Fee: 7.00 EUR; From: 15.06.2026; Discount: 10%"],
      [`${name}, Winter, row 2`, "# Winter\n\nHarbour: Alder; Closed: 2026-12-24 16:30"],
    ]);
  });

  it("reads what LibreOffice and XlsxWriter write, with cells merged over rows", async () => {
    expect((await shown("stations-libreoffice.xlsx")).map(([, text]) => text)).toEqual([
      "# stations\n\nStation: Alder; Fee: 12.5; Opens: 07:30; Since: 2021-03-04",
      "Station: Birch; Fee: 7; Opens: 08:00; Since: 2019-11-30",
    ]);
    expect((await shown("crews-xlsxwriter.xlsx")).map(([where, text]) => [where.split(", ")[2], text])).toEqual([
      ["row 2", "# Crews\n\nShip: Gannet; Captain: Mira; Since: 1 Jan 2021"],
      ["row 3", "Ship: Gannet; Captain: Otto; Since: 1 Jan 2022"],
      ["row 4", "Ship: Tern; Captain: Ines; Since: 1 Jan 2023"],
    ]);
  });

  it("reads prefixes of any name, cells without references, and dates that count from 1904", async () => {
    const sheet = `<x:worksheet><x:sheetData><x:row><x:c t="inlineStr"><x:is><x:t>Day</x:t></x:is></x:c><x:c t="str"><x:v>Sum</x:v></x:c></x:row>
      <x:row><x:c s="1"><x:v>0</x:v></x:c><x:c><x:v>0.30000000000000004</x:v></x:c></x:row></x:sheetData></x:worksheet>`;
    const parts = {
      "xl/workbook.xml": `<x:workbook><x:workbookPr date1904="1"/><x:sheets><x:sheet name="S" sheetId="1" r:id="r1"/></x:sheets></x:workbook>`,
      "xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="r1" Type="a/worksheet" Target="/xl/s.xml"/><Relationship Id="r2" Type="a/styles" Target="st.xml"/></Relationships>`,
      "xl/st.xml": `<x:styleSheet><x:cellXfs><x:xf numFmtId="0"/><x:xf numFmtId="14"/></x:cellXfs></x:styleSheet>`,
      "xl/s.xml": sheet,
    };
    const bytes = zipSync(Object.fromEntries(Object.entries(parts).map(([name, xml]) => [name, strToU8(xml)])));
    expect(await shown("a.xlsx", bytes)).toEqual([["a.xlsx, S, row 2", "# S\n\nDay: 1/1/1904; Sum: 0.3"]]);
  });

  it("reads references of cells", () => {
    expect(cellAt("A1")).toEqual({ column: 1, row: 1 });
    expect(cellAt("$BC$12")).toEqual({ column: 55, row: 12 });
    expect(cellAt("12")).toBeUndefined();
  });
});
