import { missing } from "@tessera/core/internal";
import { startsLike } from "./archive.js";
import { type PageLines, PdfBlocks } from "./pdf-blocks.js";
import { linesInOrder, type Run } from "./pdf-lines.js";
import { type Reader, UnreadFile, type UnreadPart } from "./reader.js";

type Document = Awaited<ReturnType<typeof import("unpdf")["getDocumentProxy"]>>;

/** Numbers in words for people: "1-3, 7". */
export function ranges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}

const isBold = (name: string): boolean =>
  /bold|black|heavy|semibold|demi|(?:^|[-+,])(?:cmbx|cmb|sfbx|lmbx|ecbx|b$)/i.test(name);

/** The runs of a page; what stands upright or is turned is left out where other text lies flat. */
async function pageOf(
  document: Document,
  number: number,
): Promise<{ lines: PageLines; letters: number; strange: number }> {
  const page = await document.getPage(number);
  const { items } = await page.getTextContent({ disableNormalization: true });
  const [, bottom = 0, , top = 0] = page.view;
  const names = await fontNames(page);
  const runs: (Run & { flat: boolean })[] = [];
  for (const item of items) {
    if (!("str" in item) || item.str === "") continue;
    const [a, b, c, d, x, y] = item.transform as [number, number, number, number, number, number];
    const size = Math.hypot(c, d) || Math.hypot(a, b);
    const bold = isBold(names.get(item.fontName) ?? "");
    runs.push({ text: item.str, x, y: y - bottom, width: item.width, size, bold, flat: Math.abs(b) <= Math.abs(a) });
  }
  const flat = runs.filter((run) => run.flat);
  const text = runs.map((run) => run.text).join("");
  page.cleanup();
  return {
    lines: { number, height: top - bottom, groups: linesInOrder(flat.length * 4 > runs.length ? flat : runs) },
    letters: text.match(/[\p{L}\p{N}]/gu)?.length ?? 0,
    // characters of fonts that do not say what they show
    strange: text.match(/[\ufffd\ue000-\uf8ff]|[^\P{Cc}\s]/gu)?.length ?? 0,
  };
}

/** What the fonts of a page are called; their names are known once its drawing was read. */
async function fontNames(page: Awaited<ReturnType<Document["getPage"]>>): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  try {
    const { fnArray, argsArray } = await page.getOperatorList();
    for (const [index, operation] of fnArray.entries()) {
      if (operation !== setFont) continue;
      const id = (argsArray[index] as [string])[0];
      if (!names.has(id) && page.commonObjs.has(id))
        names.set(id, String((page.commonObjs.get(id) as { name?: string }).name ?? ""));
    }
  } catch {
    // a page whose drawing is damaged may still have text
  }
  return names;
}
const setFont = 37; // OPS.setFont of pdf.js

async function open(
  bytes: Uint8Array,
  getDocumentProxy: typeof import("unpdf")["getDocumentProxy"],
): Promise<Document> {
  try {
    return await getDocumentProxy(new Uint8Array(bytes), {
      verbosity: 0,
      useSystemFonts: false,
      disableFontFace: true,
    });
  } catch (cause) {
    const { name, message } = cause as Error;
    if (name === "PasswordException")
      throw new UnreadFile("encrypted", "a password keeps it: save it without one to have it read");
    throw new UnreadFile("damaged", `it cannot be opened: ${message}`);
  }
}

/** PDF: paragraphs in reading order, headings by their size, tables, pages; running headers and footers are left out. */
export const pdfReader: Reader = {
  name: "pdf",
  version: 1,
  extensions: ["pdf"],
  binary: true,
  sniff: (bytes) => startsLike(bytes, /^\s*%PDF-\d/),
  async read({ bytes }, context) {
    const { getDocumentProxy } = await import("unpdf").catch(missing("unpdf"));
    const document = await open(bytes, getDocumentProxy);
    const count = Math.min(document.numPages, context.limits.pages);
    const unread: UnreadPart[] = [];
    if (count < document.numPages)
      unread.push({ reason: "limit", detail: `only the first ${count} of ${document.numPages} pages are read` });
    const pages: PageLines[] = [];
    const silent: number[] = [];
    const strange: number[] = [];
    for (let number = 1; number <= count; number++) {
      const page = await pageOf(document, number);
      if (page.letters === 0 && page.strange === 0) silent.push(number);
      else if (page.strange > page.letters / 2) strange.push(number);
      else pages.push(page.lines);
    }
    const info = (await document.getMetadata().catch(() => undefined))?.info as { Title?: string } | undefined;
    await document.loadingTask.destroy();
    const pictures = "no text but pictures, as a scanner makes them: recognise the text first (OCR)";
    if (silent.length === count) throw new UnreadFile("no-text", `its pages hold ${pictures}`);
    if (silent.length > 0) unread.push({ reason: "partial", detail: `pages ${ranges(silent)} hold ${pictures}` });
    const coded = "fonts that do not say which characters they show: recognise the text first (OCR)";
    if (pages.length === 0) throw new UnreadFile("no-text", `it has ${coded}`);
    if (strange.length > 0) unread.push({ reason: "partial", detail: `pages ${ranges(strange)} have ${coded}` });
    const blocks = new PdfBlocks(pages).build();
    return { kind: "blocks", title: titleOf(info?.Title), blocks, unread };
  },
};

/** The title that a document says it has, unless its program made it up. */
const titleOf = (title: string | undefined): string | undefined => {
  const text = title?.trim() ?? "";
  return text === "" || /^(?:untitled|microsoft word - |.*\.(?:docx?|tex|dvi|indd|odt|pptx?))/i.test(text)
    ? undefined
    : text;
};
