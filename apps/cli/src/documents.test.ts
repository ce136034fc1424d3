import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { root, tessera } from "./program.fixture.js";

const fixtures = join(root, "packages/operators/indexer/fixtures");
let work: string;

/** One file of each kind: a question about it, what the answer says, and the place that the citation opens. */
const kinds: [file: string, question: string, answer: RegExp, place: RegExp][] = [
  ["rules-reportlab.pdf", "within how many days is a refund paid?", /twelve days/, /^rules-reportlab\.pdf, page 2$/],
  [
    "gebuehren-python-docx.docx",
    "Was kostet die Überfahrt?",
    /elf Euro/,
    /^gebuehren-python-docx\.docx, Fährgebühren$/,
  ],
  ["harbours-python-pptx.pptx", "when does Birch open?", /eight/, /^harbours-python-pptx\.pptx, slide 1$/],
  ["fees-openpyxl.xlsx", "what is the fee of the upper deck?", /12\.50 EUR/, /^fees-openpyxl\.xlsx, Summer, row 4$/],
  ["handbook-pandoc.epub", "how do dogs travel?", /free/, /^handbook-pandoc\.epub, Fees, chapter 3$/],
  ["stations.csv", "when does Alder open?", /07:30/, /^stations\.csv:2-2$/],
  ["handbook-pandoc.ipynb", "where is the gangway?", /port side/, /^handbook-pandoc\.ipynb, cell 1$/],
  ["ferry.eml", "when does the fähre leave?", /seven/, /^ferry\.eml$/],
  ["box.mbox", "what rains and snows?", /rains|snows/, /^box\.mbox, message 1$/],
  ["handbook-pandoc.asciidoc", "when do passengers board?", /twenty minutes/, /^handbook-pandoc\.asciidoc:4-8$/],
  ["handbook-pandoc.rst", "when does the gate close?", /five minutes/, /^handbook-pandoc\.rst:23-41$/],
  ["handbook-pandoc.org", "to which card does a refund go?", /card that paid/, /^handbook-pandoc\.org:11-19$/],
  ["limits.json", "what is uploadMegabytes?", /uploadMegabytes: 20/, /^limits\.json:1-3$/],
  ["limits.yaml", "what is downloadMegabytes?", /downloadMegabytes: 30/, /^limits\.yaml:1-2$/],
  ["events.jsonl", "what was changed at the lighthouse?", /lamp was changed/, /^events\.jsonl:2-2$/],
  ["page.html", "who paints the buoys?", /Otto paints/, /^page\.html:2-2$/],
  ["notes.mdx", "is the lifeboat orange?", /orange/, /^notes\.mdx:3-5$/],
  ["old.txt", "когда отправляется паром?", /каждое утро/, /^old\.txt:1-1$/],
];

const written: Record<string, string | Uint8Array> = {
  "limits.json": '{\n  "server": { "uploadMegabytes": 20 }\n}\n',
  "limits.yaml": "server:\n  downloadMegabytes: 30\n",
  "events.jsonl": '{"place":"harbour","what":"a rope was cut"}\n{"place":"lighthouse","what":"the lamp was changed"}\n',
  "page.html":
    "<!doctype html><title>Buoys</title><style>p { color: red }</style><script>var a = 1;</script>\n<main><p>Otto paints the buoys in spring.</p></main>\n",
  "notes.mdx": 'import { Note } from "./note";\n\n# Lifeboat\n\n<Note>The lifeboat is orange.</Note>\n',
};

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "tessera-documents-"));
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

it("a folder with one file of each kind answers a question about each, with a citation that opens the place", async () => {
  written["old.txt"] = cyrillic("Правила перевозки: паром отправляется каждое утро в семь часов, кроме воскресенья.\n");
  const failed: unknown[] = [];
  for (const [file, question, answer, place] of kinds) {
    const source = join(work, file.replace(/\W/g, "-"));
    mkdirSync(source);
    if (written[file] === undefined) copyFileSync(join(fixtures, file), join(source, file));
    else writeFileSync(join(source, file), written[file]!);
    const asked = await tessera(["ask", question, "--source", source, "--encoder", "hash"], work);
    const cited = asked.out.split("\n").flatMap((line) => /^\[\d+\] (.*?)(?: {2}.*)?$/.exec(line)?.[1] ?? []);
    if (!answer.test(asked.out) || !cited.some((one) => place.test(one))) failed.push({ file, ...asked, cited });
  }
  expect(failed).toEqual([]);
});

it("says what it could not read, with the reason, where it finds no answer", async () => {
  const source = join(work, "silent");
  mkdirSync(source);
  for (const file of ["locked-reportlab.pdf", "scanned-reportlab.pdf"])
    copyFileSync(join(fixtures, file), join(source, file));
  writeFileSync(join(source, "plan.svg"), "<svg/>");
  writeFileSync(join(source, "a.md"), "# Ropes\n\nThey are long.\n");
  const asked = await tessera(["ask", "when is dinner served?", "--source", source, "--encoder", "hash"], work);
  expect(asked.err).toMatch(/left out: locked-reportlab\.pdf \(encrypted: a password keeps it/);
  expect(asked.err).toMatch(/left out: scanned-reportlab\.pdf \(no-text: its pages hold no text but pictures/);
  const { skipped } = JSON.parse((await tessera(["index", source, "--encoder", "hash", "--json"], work)).out);
  expect(skipped.map(({ path, reason }: { path: string; reason: string }) => `${path} ${reason}`)).toEqual([
    "locked-reportlab.pdf encrypted",
    "plan.svg unsupported",
    "scanned-reportlab.pdf no-text",
  ]);
});

it("reads a kind of file by a reader of one's own, as docs/documents.md says", async () => {
  const page = readFileSync(join(root, "docs/documents.md"), "utf8");
  const reader = /^```js\n(.*?)^```$/ms.exec(page)![1]!;
  const source = join(work, "own");
  mkdirSync(source);
  writeFileSync(join(work, "notes-reader.mjs"), reader);
  writeFileSync(join(source, "a.notes"), "!Keys\nMira has the key of the kiosk.\n");
  const asked = [
    "ask",
    "who has the key of the kiosk?",
    "--source",
    source,
    "--encoder",
    "hash",
    "--reader",
    "notes-reader.mjs",
  ];
  const { out } = await tessera(asked, work);
  expect(out).toContain("Mira has the key of the kiosk.");
  expect(out).toMatch(/^\[1\] a\.notes:1-2/m);
  const config = join(work, "readers.config.json");
  writeFileSync(config, JSON.stringify({ readers: ["./notes-reader.mjs"] }));
  const configured = await tessera(["--config", config, ...asked.slice(0, -2)], work);
  expect(configured.out).toMatch(/^\[1\] a\.notes:1-2/m);
  const absent = await tessera([...asked.slice(0, -1), "absent.mjs"], work);
  expect([absent.code, absent.err]).toEqual([2, expect.stringContaining("absent.mjs")]);
});

/** The bytes of a text in windows-1251. */
function cyrillic(text: string): Uint8Array {
  const table = new Map<string, number>();
  for (let byte = 0; byte < 256; byte++)
    table.set(new TextDecoder("windows-1251").decode(new Uint8Array([byte])), byte);
  return Uint8Array.from(text, (sign) => table.get(sign) ?? 63);
}
