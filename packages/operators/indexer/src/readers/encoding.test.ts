import { describe, expect, it } from "@jest/globals";
import { read, shown } from "./reading.fixture.js";

/** The bytes of a text in an encoding of one byte a character, by asking the decoder for each byte. */
function encoded(text: string, encoding: string): Uint8Array {
  const table = new Map<string, number>();
  for (let byte = 0; byte < 256; byte++) table.set(new TextDecoder(encoding).decode(new Uint8Array([byte])), byte);
  return Uint8Array.from(text, (sign) => table.get(sign) ?? 63);
}
const hex = (digits: string) => Uint8Array.from(digits.match(/../g)!, (pair) => Number.parseInt(pair, 16));

const russian =
  "# Правила возврата\n\nВозврат выполняется в течение двенадцати дней. Паром отправляется каждое утро.\n";
const german =
  "# Rückgabe\n\nDie Fähre fährt täglich um sieben. Die Rückzahlung erfolgt „binnen“ zwölf Tagen für 12 €.\n";

describe("encodings of texts", () => {
  it.each([
    ["windows-1251", russian],
    ["koi8-r", russian],
    ["windows-1252", german],
  ])("reads %s", async (encoding, text) => {
    expect((await shown("a.md", encoded(text, encoding)))[0]![1]).toBe(text.trim());
  });

  // written by Python's codecs
  it.each([
    [
      "gbk",
      "2320cdcbbfeed5feb2df0a0acdcbbfeed4dacaaeb6feccecc4dacdeab3c9a1a3b6c9c2d6c3bfccecd4e7c9cfc6dfb5e3b3f6b7a2a1a30a",
      "渡轮每天早上七点出发",
    ],
    [
      "shift_jis",
      "232095d48be0837c838a8356815b0a0a95d48be082cd8f5c93f193fa88c893e082c98d7382ed82ea82dc82b7814283748346838a815b82cd968892a98eb58e9e82c98f6f94ad82b582dc82b781420a",
      "十二日以内に行われます",
    ],
    [
      "euc-kr",
      "2320c8afbad220c1a4c3a50a0ac8afbad2c0ba20bdcac0cc20c0cf20c0ccb3bbbfa120c0ccb7e7beeec1fdb4cfb4d92e20c6e4b8aeb4c220b8c5c0cf20bec6c4a720c0cfb0f620bdc3bfa120c3e2b9dfc7d5b4cfb4d92e0a",
      "십이 일 이내에",
    ],
  ])("reads %s", async (_, digits, words) => {
    expect((await shown("a.md", hex(digits)))[0]![1]).toContain(words);
  });

  it("reads UTF-16 of either order, with and without a mark", async () => {
    const little = (text: string) => new Uint8Array(Buffer.from(text, "utf16le"));
    const big = (text: string) => new Uint8Array(Buffer.from(text, "utf16le").swap16());
    for (const bytes of [little(`\ufeff${german}`), big(`\ufeff${german}`), little(german), big(german)])
      expect((await shown("a.md", bytes))[0]![1]).toBe(german.trim());
  });

  it("says that it cannot tell, rather than show other letters", async () => {
    expect(await read("a.txt", hex("b1b2b3b4b5b6d0f7e3"))).toMatchObject({ reason: "encoding" });
    const thai = "9ac2a5a1c4a7".repeat(1);
    expect(await read("b.txt", hex(thai))).toMatchObject({ reason: "encoding" });
    const mostly = new Uint8Array([...new TextEncoder().encode("name = tuesday ".repeat(20)), 0xe9, 0x81]);
    expect(await read("c.txt", mostly)).toMatchObject({ unread: [{ reason: "partial" }] });
  });

  it("calls binary what is no text", async () => {
    expect(await read("a.txt", hex("00ff00ff10"))).toEqual({ reason: "binary", detail: "" });
    expect(await read("a.txt", hex("fffe00d8"))).toMatchObject({ reason: "binary" });
  });
});

describe("line ends", () => {
  const files = {
    "a.md":
      "---\ntitle: T\n---\n# A\n\n## Refunds\n\nTwelve days.\n\n```js\n# no heading\n```\n\nTitle\n=====\n\n- one\n- two\n",
    "a.ts":
      "/** Adds. */\nexport function add(a: number) {\n  return a + 1;\n}\n\nexport function sub(a: number) {\n  return a - 1;\n}\n",
    "a.py": "def a():\n    return 1\n\n\ndef b():\n    return 2\n",
    "a.csv": "a,b\nx,y\n",
    "a.html": "<h1>A</h1>\n<p>B</p>\n<pre>\nc\n  d\n</pre>\n",
    "a.toml": "[a]\nb = 1\n\n[c]\nd = 2\n",
  };
  it.each(Object.entries(files))("%s is the same passages with CR, LF, CRLF and all of them", async (path, text) => {
    const expected = await shown(path, text);
    let turn = 0;
    const mixed = text.replace(/\n/g, () => ["\n", "\r\n"][turn++ % 2]!);
    for (const other of [text.replaceAll("\n", "\r\n"), text.replaceAll("\n", "\r"), mixed])
      expect(await shown(path, other)).toEqual(expected);
  });
});
