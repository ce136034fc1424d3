import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { delimiterOf } from "./csv.js";
import { shown } from "./reading.fixture.js";

describe("the CSV reader", () => {
  it("reads each row with its head, and cites its lines", async () => {
    expect(await shown("stations.csv")).toEqual([
      ["stations.csv:2-2", "Station: Alder; Fee: 12.50; Opens: 07:30; Since: 2021-03-04"],
      ["stations.csv:3-3", "Station: Birch; Fee: 7.00; Opens: 08:00; Since: 2019-11-30"],
    ]);
  });

  it.each(["\n", "\r\n", "\r"])("reads quotes, lines within values and other signs, with line ends %j", async (end) => {
    const text = ["sep=;", "name;note", '"Alder; north";"two', 'lines"', "", 'Birch;"says ""no"""', "Cedar"].join(end);
    expect(await shown("a.csv", text)).toEqual([
      ["a.csv:3-4", "name: Alder; north; note: two lines"],
      ["a.csv:6-6", 'name: Birch; note: says "no"'],
      ["a.csv:7-7", "name: Cedar"],
    ]);
  });

  it("reads a table without a head", async () => {
    expect((await shown("a.tsv", "1\t2\n3\t4")).map(([, text]) => text)).toEqual(["1; 2", "3; 4"]);
  });

  it("loses no value of any table, whatever stands in it", async () => {
    const value = fc.stringMatching(/^[a-z,;"| \n]{1,12}$/).filter((text) => /[a-z]/.test(text));
    const table = fc
      .integer({ min: 2, max: 4 })
      .chain((width) =>
        fc.array(fc.array(value, { minLength: width, maxLength: width }), { minLength: 2, maxLength: 6 }),
      );
    await fc.assert(
      fc.asyncProperty(table, fc.constantFrom(",", ";", "\t"), async (rows, sign) => {
        fc.pre(rows.every((row) => row.every((text) => !text.includes(sign))));
        const text = rows.map((row) => row.map((one) => `"${one.replaceAll('"', '""')}"`).join(sign)).join("\n");
        fc.pre(delimiterOf(text) === sign);
        const all = (await shown("a.csv", text)).map(([, shownText]) => shownText).join("\n");
        for (const one of rows.flat()) expect(all).toContain(one.replace(/\s+/g, " ").trim());
      }),
      { numRuns: 60 },
    );
  });
});
