import { describe, expect, it } from "@jest/globals";
import { strToU8, zipSync } from "fflate";
import { read, shown } from "./reading.fixture.js";

const book = (chapters: Record<string, string>, more: Record<string, string> = {}) => {
  const names = Object.keys(chapters);
  const parts: Record<string, string> = {
    mimetype: "application/epub+zip",
    "META-INF/container.xml":
      `<container><rootfiles><rootfile full-path="OPS/a%20b.opf"/></rootfiles></container>`.replace("%20", " "),
    "OPS/a b.opf": `<package><metadata><dc:title>Tides</dc:title></metadata><manifest>${names.map((name, index) => `<item id="i${index}" href="${encodeURI(name)}"/>`).join("")}</manifest><spine>${names
      .map((_, index) => `<itemref idref="i${index}"/>`)
      .reverse()
      .join("")}</spine></package>`,
    ...Object.fromEntries(names.map((name) => [`OPS/${name}`, chapters[name]!])),
    ...more,
  };
  return zipSync(Object.fromEntries(Object.entries(parts).map(([name, text]) => [name, strToU8(text)])));
};

describe("the EPUB reader", () => {
  it("reads what pandoc writes, chapter by chapter, with notes and code", async () => {
    const name = "handbook-pandoc.epub";
    const found = await shown(name);
    expect(found.map(([where]) => where)).toEqual([
      `${name}, Ferry handbook, chapter 1`,
      `${name}, Boarding, chapter 2`,
      `${name}, Boarding, chapter 2`,
      `${name}, Fees, chapter 3`,
    ]);
    expect(found[1]![1]).toBe(
      "# Boarding\n\nPassengers board twenty minutes before the ferry leaves. The gangway is on the port side.[^1]",
    );
    expect(found[2]![1]).toContain("1. The gate closes five minutes before departure.");
    expect(found[3]![1]).toContain("```python\ndef fee(deck):");
  });

  it("reads what EbookLib writes, a table and a list among it, and not its page of contents twice", async () => {
    const name = "pilots-ebooklib.epub";
    const found = await shown(name);
    const texts = found.map(([, text]) => text).join("\n");
    expect(found.map(([where]) => where).filter((where) => /Lights|Sounds/.test(where))).toEqual([
      `${name}, Lights, chapter 2`,
      `${name}, Sounds, chapter 3`,
    ]);
    expect(texts).toContain(
      "# Lights\n\nThe mole shows a red light, two flashes every ten seconds.\n\n- Green to starboard",
    );
    expect(texts).toContain("| Signal | Blasts |");
    expect(texts).toContain("| Turning | four |");
  });

  it("reads chapters in the order of the spine, from names that are encoded, past elements that end themselves", async () => {
    const chapters = {
      "one.xhtml": `<?xml version="1.0"?><html><head><title/></head><body><h1>One<a id="x"/></h1><p>First.</p></body></html>`,
      "zwei ü.xhtml": `<html><body><p>No heading.</p></body></html>`,
    };
    expect(await shown("a.epub", book(chapters))).toEqual([
      ["a.epub, chapter 1", "No heading."],
      ["a.epub, One, chapter 2", "# One\n\nFirst."],
    ]);
  });

  it("says that a book with locked chapters is locked, and reads one whose fonts alone are", async () => {
    const chapters = { "one.xhtml": "<html><body><p>First.</p></body></html>" };
    const locked = (uri: string) => ({
      "META-INF/encryption.xml": `<encryption><enc:CipherReference URI="${uri}"/></encryption>`,
    });
    expect(await read("a.epub", book(chapters, locked("OPS/one.xhtml")))).toMatchObject({ reason: "encrypted" });
    expect(await read("a.epub", book(chapters, locked("OPS/font.otf")))).toMatchObject({
      title: "Tides",
      text: "First.",
    });
    expect(await read("a.epub", zipSync({ mimetype: strToU8("application/epub+zip") }))).toMatchObject({
      reason: "damaged",
    });
  });
});
