import { describe, expect, it } from "@jest/globals";
import { ranges } from "./pdf.js";
import { fixture, passagesOf, read, shown } from "./reading.fixture.js";

describe("the PDF reader", () => {
  it("reads two columns one after the other, with ligatures, whole words, a table, and no running headers", async () => {
    const passages = await passagesOf("a.pdf", fixture("two-columns.pdf"));
    const text = passages.map((passage) => passage.text).join("\n");
    expect(passages.map(({ title }) => title?.split(" > ").at(-1))).toEqual([
      "A. Writer",
      "November 30, 2026",
      "1 Introduction",
      "2 Measurements",
      "3 Discussion",
      "3.1 Limits",
      "4 Conclusion",
    ]);
    expect(text).toContain(
      "The office of a ferry sells tickets, answers questions, and coordinates the loading of vehicles.",
    );
    expect(text).toContain("organisational responsibilities of harbourmasters.");
    expect(text).toContain(
      "A well-known effect is that a second counter halves the waiting time. This well-known effect",
    );
    expect(text).toContain("| Harbour | Counters | Minutes |\n| --- | --- | --- |\n| Alder | 2 | 12 |");
    expect(text).toContain(
      "the affluent flow of officials in the afternoon, the refinement of waffle sales, and the baffling shuffle",
    );
    expect(text).not.toMatch(/Proceedings|Draft of/);
    expect(passages[6]!.source?.place).toEqual({ unit: "page", from: 1, to: 2 });
  });

  it("reads what LibreOffice writes: headings by their size, lists, a table, a footnote", async () => {
    const found = await shown("handbook-libreoffice.pdf");
    expect(found.map(([where]) => where)).toEqual(Array(4).fill("handbook-libreoffice.pdf, page 1"));
    const [, boarding, refunds, fees] = found.map(([, text]) => text);
    expect(boarding).toMatch(/^## Boarding\n\nPassengers board twenty minutes before the ferry leaves\./);
    expect(refunds).toContain("1. Fill in the form.\n2. Hand it in at the kiosk.");
    expect(fees).toContain("| Upper | 12 | with a window |");
    expect(fees).toContain("The gate closes five minutes before departure.");
  });

  it.each(["rules-reportlab.pdf", "seven-bits-reportlab.pdf"])("reads %s page by page", async (name) => {
    expect(await shown(name)).toEqual([
      [`${name}, page 1`, "# Boarding\n\nThe gangway is on the port side. Children hold a hand."],
      [`${name}, page 2`, "# Refunds\n\nA refund is paid within twelve days."],
      [`${name}, page 3`, "# Lost property\n\nIt waits at the kiosk of Alder."],
    ]);
  });

  it("knows a PDF by its bytes, and says why one gives no text", async () => {
    expect(await read("rules.txt", fixture("rules-reportlab.pdf"))).toMatchObject({ reader: "pdf" });
    expect(await read("a.pdf", fixture("locked-reportlab.pdf"))).toMatchObject({ reason: "encrypted" });
    expect(await read("a.pdf", fixture("scanned-reportlab.pdf"))).toMatchObject({
      reason: "no-text",
      detail: expect.stringContaining("scanner"),
    });
    expect(await read("a.pdf", "no PDF at all")).toMatchObject({ reason: "damaged" });
    expect(await read("a.pdf", fixture("rules-reportlab.pdf").subarray(0, 700))).toMatchObject({ reason: "damaged" });
  });

  it("reads as many pages as the limit allows, and says so", async () => {
    const result = await read("a.pdf", fixture("rules-reportlab.pdf"), { pages: 2 });
    expect(result).toMatchObject({ unread: [{ reason: "limit", detail: "only the first 2 of 3 pages are read" }] });
    expect("text" in result && result.text).not.toContain("Lost property");
  });

  it("names runs of pages", () => {
    expect(ranges([1, 2, 3, 7, 9, 10])).toBe("1-3, 7, 9-10");
    expect(ranges([4])).toBe("4");
  });
});
