import { describe, expect, it } from "@jest/globals";
import { strToU8, zipSync } from "fflate";
import { fixture, read, shown } from "./reading.fixture.js";

const handbook = (name: string, receipt: string) => [
  [name, "# Ferry handbook\n\nTessera"],
  [
    `${name}, Boarding`,
    "## Boarding\n\nPassengers board twenty minutes before the ferry leaves. The gangway is on the port side.[^1]\n\n[^1]: The gate closes five minutes before departure.",
  ],
  [
    `${name}, Boarding, Refunds`,
    `### Refunds\n\nA refund is paid within twelve days. It goes to the card that paid.\n\n1. Fill in the form.\n2. Hand it in at the kiosk.\n   ${receipt} Keep the receipt.`,
  ],
  [
    `${name}, Fees`,
    '## Fees\n\n| Deck | Fee | Note |\n| --- | --- | --- |\n| Upper | 12 | with a window |\n| Lower | 7 | near the bar |\n\nDogs travel for free, unless they need a cabin.\n\n```\ndef fee(deck):\n    return 12 if deck == "upper" else 7\n```',
  ],
];

/** A Word document of the XML of its body and styles. */
const word = (body: string, styles = "", more: Record<string, string> = {}): Uint8Array => {
  const w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"';
  const relations = `<Relationships><Relationship Id="s" Type="x/styles" Target="styles.xml"/>${Object.keys(more)
    .map((name) => `<Relationship Id="${name}" Type="x/${name}" Target="${name}.xml"/>`)
    .join("")}</Relationships>`;
  const parts = {
    "word/document.xml": `<?xml version="1.0"?><w:document ${w}><w:body>${body}</w:body></w:document>`,
    "word/styles.xml": `<w:styles ${w}>${styles}</w:styles>`,
    "word/_rels/document.xml.rels": relations,
    ...Object.fromEntries(Object.entries(more).map(([name, xml]) => [`word/${name}.xml`, xml])),
  };
  return zipSync(Object.fromEntries(Object.entries(parts).map(([name, xml]) => [name, strToU8(xml)])));
};
const run = (text: string) => `<w:r><w:t>${text}</w:t></w:r>`;

describe("the DOCX reader", () => {
  it("reads what pandoc and LibreOffice write of the same text alike", async () => {
    expect(await shown("handbook-pandoc.docx")).toEqual(handbook("handbook-pandoc.docx", "-"));
    expect(await shown("handbook-libreoffice.docx")).toEqual(handbook("handbook-libreoffice.docx", "1."));
  });

  it("reads headings of any name, changes as if they were accepted, and cells that were merged", async () => {
    const name = "gebuehren-python-docx.docx";
    expect(await shown(name)).toEqual([
      [`${name}, Fährgebühren`, "# Fährgebühren\n\nDie Überfahrt kostet elf Euro."],
      [
        `${name}, Abfahrten`,
        "# Abfahrten\n\n| Hafen | Tag | Uhrzeit |\n| --- | --- | --- |\n| Erle | Montag | 7:15 |\n| Erle | Dienstag | 8:45 |\n\n- Hunde\n- Räder",
      ],
    ]);
  });

  it("leaves out what was moved away, joins paragraphs whose mark was deleted, and reads text boxes once", async () => {
    const body = `<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr>${run("It is ")}</w:p><w:p>${run("one.")}</w:p>
      <w:p><w:moveFrom>${run("gone")}</w:moveFrom><w:moveTo>${run("here")}</w:moveTo></w:p>
      <w:p><w:r><mc:AlternateContent><mc:Choice><w:drawing><wps:txbx><w:txbxContent><w:p>${run("boxed")}</w:p></w:txbxContent></wps:txbx></w:drawing></mc:Choice>
      <mc:Fallback><w:pict><w:txbxContent><w:p>${run("boxed")}</w:p></w:txbxContent></w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>
      <w:p><w:r><w:instrText>PAGE \\* MERGEFORMAT</w:instrText></w:r>${run("a")}<w:r><w:tab/></w:r>${run("b")}</w:p>`;
    expect((await shown("a.docx", word(body)))[0]![1]).toBe("It is one.\n\nhere\n\nboxed\n\na b");
  });

  it("gives headings the numbers that they show", async () => {
    const level = (at: number, text: string) =>
      `<w:lvl w:ilvl="${at}"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="${text}"/></w:lvl>`;
    const numbering = `<w:numbering><w:abstractNum w:abstractNumId="5">${level(0, "%1")}${level(1, "%1.%2")}</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="5"/></w:num></w:numbering>`;
    const styles = [0, 1]
      .map(
        (at) =>
          `<w:style w:styleId="H${at}"><w:name w:val="heading ${at + 1}"/><w:pPr><w:numPr><w:ilvl w:val="${at}"/><w:numId w:val="1"/></w:numPr></w:pPr></w:style>`,
      )
      .join("");
    const heading = (at: number, text: string) =>
      `<w:p><w:pPr><w:pStyle w:val="H${at}"/></w:pPr>${run(text)}</w:p><w:p>${run("x.")}</w:p>`;
    const body = heading(0, "A") + heading(1, "B") + heading(1, "C") + heading(0, "D") + heading(1, "E");
    const titles = (await shown("a.docx", word(body, styles, { numbering }))).map(([, text]) => text.split("\n")[0]);
    expect(titles).toEqual(["# 1 A", "## 1.1 B", "## 1.2 C", "# 2 D", "## 2.1 E"]);
  });

  it("says why a file gives no text", async () => {
    const compound = new Uint8Array([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ...new Uint8Array(512)]);
    expect(await read("a.docx", compound)).toMatchObject({ reason: "unsupported" });
    const locked = Buffer.concat([compound, Buffer.from("EncryptedPackage", "utf16le")]);
    expect(await read("a.docx", locked)).toMatchObject({ reason: "encrypted" });
    expect(await read("a.docx", fixture("handbook-pandoc.docx").subarray(0, 3000))).toMatchObject({
      reason: "damaged",
    });
    expect(await read("a.docx", word(""))).toMatchObject({ reason: "no-text" });
  });

  it("stops at what unpacks to too much and at what is nested too deep, and expands no entity", async () => {
    const large = word(`<w:p>${run("a".repeat(3_000_000))}</w:p>`);
    expect(large.length).toBeLessThan(20_000);
    expect(await read("a.docx", large, { unpacked: 1_000_000 })).toMatchObject({ reason: "limit" });
    const deep = word("<w:a>".repeat(300) + "</w:a>".repeat(300));
    expect(await read("a.docx", deep)).toMatchObject({ reason: "limit" });
    const entity = word(`<w:p>${run("&x;&e;b")}</w:p>`);
    const text = `<!DOCTYPE w [<!ENTITY e "expanded"><!ENTITY x SYSTEM "file:///etc/hostname">]>`;
    const parts = zipSync({
      "word/document.xml": strToU8(`${text}<w:document><w:body><w:p>${run("&x;&e;b")}</w:p></w:body></w:document>`),
    });
    for (const bytes of [entity, parts]) expect((await shown("a.docx", bytes))[0]![1]).toBe("&x;&e;b");
  });
});
