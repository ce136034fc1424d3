import type { DocumentPlace } from "@tessera/core/internal";
import { type Archive, isZipWith, mainPart, openArchive, relationsOf } from "./archive.js";
import type { Block, ListItem, Reader } from "./reader.js";
import type { Xml } from "./xml.js";

interface Style {
  readonly name: string;
  readonly basedOn: string | undefined;
  readonly outline: number | undefined;
  readonly numbering: Xml | undefined;
}

interface Level {
  readonly format: string;
  readonly text: string;
  readonly start: number;
}

const value = (element: Xml | undefined): string | undefined => element?.attribute("val");
const numberOf = (element: Xml | undefined): number | undefined => {
  const found = value(element);
  return found === undefined ? undefined : Number(found);
};

class Styles {
  private readonly styles = new Map<string, Style>();

  constructor(root: Xml | undefined) {
    for (const one of root?.elements.filter(({ name }) => name === "style") ?? []) {
      const properties = one.child("pPr");
      this.styles.set(one.attribute("styleId") ?? "", {
        name: (value(one.child("name")) ?? "").toLowerCase(),
        basedOn: value(one.child("basedOn")),
        outline: numberOf(properties?.child("outlineLvl")),
        numbering: properties?.child("numPr"),
      });
    }
  }

  /** What a style says, or one that it is based on. */
  find<T>(id: string | undefined, ask: (style: Style) => T | undefined): T | undefined {
    for (let [at, left] = [id, 20]; at !== undefined && left > 0; at = this.styles.get(at)?.basedOn, left--) {
      const style = this.styles.get(at);
      const found = style && ask(style);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The level of a heading from 1, 0 for the title of the document. The names of the built-in styles are never translated. */
  heading(id: string | undefined): number | undefined {
    return this.find(id, ({ name, outline }) => {
      if (outline !== undefined) return outline < 9 ? outline + 1 : Number.NaN;
      if (name === "title") return 0;
      const level = /^heading ([1-9])$/.exec(name)?.[1];
      return level ? Number(level) : undefined;
    });
  }

  isCode(id: string | undefined): boolean {
    return (
      this.find(id, ({ name }) =>
        /^(?:source code|html preformatted|plain text|preformatted text|code)$/.test(name) ? true : undefined,
      ) ?? false
    );
  }
}

const roman = (number: number): string => {
  const signs: [number, string][] = [
    [1000, "m"],
    [900, "cm"],
    [500, "d"],
    [400, "cd"],
    [100, "c"],
    [90, "xc"],
    [50, "l"],
    [40, "xl"],
    [10, "x"],
    [9, "ix"],
    [5, "v"],
    [4, "iv"],
    [1, "i"],
  ];
  let rest = number;
  let text = "";
  for (const [size, sign] of signs) for (; rest >= size; rest -= size) text += sign;
  return text;
};
const letters = (number: number): string =>
  String.fromCharCode(97 + ((number - 1) % 26)).repeat(Math.ceil(number / 26));
const formats: Readonly<Record<string, (number: number) => string>> = {
  lowerLetter: letters,
  upperLetter: (number) => letters(number).toUpperCase(),
  lowerRoman: roman,
  upperRoman: (number) => roman(number).toUpperCase(),
};

/** The numbers that lists and headings show. */
class Numbering {
  private readonly levels = new Map<string, Map<number, Level>>();
  private readonly abstract = new Map<string, string>();
  private readonly counters = new Map<string, number[]>();

  constructor(root: Xml | undefined) {
    for (const one of root?.elements ?? []) {
      if (one.name === "abstractNum") {
        const levels = one.elements.filter(({ name }) => name === "lvl");
        const of = (level: Xml): Level => ({
          format: value(level.child("numFmt")) ?? "decimal",
          text: value(level.child("lvlText")) ?? "",
          start: numberOf(level.child("start")) ?? 1,
        });
        this.levels.set(
          one.attribute("abstractNumId") ?? "",
          new Map(levels.map((level) => [Number(level.attribute("ilvl")), of(level)])),
        );
      } else if (one.name === "num")
        this.abstract.set(one.attribute("numId") ?? "", value(one.child("abstractNumId")) ?? "");
    }
  }

  /** The marker of the next paragraph of a list: "-", "2.", "1.3"; `undefined` where it is in none. */
  next(numPr: Xml | undefined): { depth: number; marker: string } | undefined {
    const id = value(numPr?.child("numId"));
    if (id === undefined || id === "0") return undefined;
    const depth = numberOf(numPr?.child("ilvl")) ?? 0;
    const list = this.abstract.get(id) ?? id;
    const levels = this.levels.get(list);
    const level = levels?.get(depth);
    const counts = this.counters.get(id) ?? [];
    this.counters.set(id, counts);
    for (let at = 0; at <= depth; at++) counts[at] ??= (levels?.get(at)?.start ?? 1) - (at === depth ? 1 : 0);
    counts[depth]!++;
    counts.length = depth + 1;
    if (!level || level.format === "none") return { depth, marker: level ? "" : "-" };
    if (level.format === "bullet") return { depth, marker: "-" };
    const marker = level.text.replace(/%(\d)/g, (_, digit) => {
      const at = Number(digit) - 1;
      return (formats[levels?.get(at)?.format ?? ""] ?? String)(counts[at] ?? 1);
    });
    return { depth, marker: marker || `${counts[depth]}.` };
  }
}

// what was removed by a change that is not accepted yet, and what is no text
const removed = new Set([
  "del",
  "moveFrom",
  "delText",
  "instrText",
  "pPr",
  "rPr",
  "sectPr",
  "commentReference",
  "fldChar",
]);
const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();

/** Reads the body of a document, or of a part such as a footnote. */
class Body {
  readonly blocks: Block[] = [];
  private readonly notes: string[] = [];
  private counted = 0;
  private boxes: Xml[] = [];
  private path: { level: number; text: string }[] = [];
  title: string | undefined;
  private joined = ""; // of paragraphs whose end was deleted

  constructor(
    private readonly styles: Styles,
    private readonly numbering: Numbering,
    private readonly noteText: (kind: string, id: string) => string | undefined,
  ) {}

  private get place(): DocumentPlace {
    const inside = this.path.filter(({ level }) => level > 0).map(({ text }) => text);
    return { unit: "part", from: 1, to: 1, ...(inside.length > 0 && { inside }) };
  }

  visit(elements: readonly Xml[]): void {
    for (const element of elements) {
      const { name } = element;
      if (removed.has(name)) continue;
      if (name === "p") this.paragraph(element);
      else if (name === "tbl") this.table(element);
      else if (name === "AlternateContent")
        this.visit((element.child("Choice") ?? element.child("Fallback"))?.elements ?? []);
      else this.visit(element.name === "sdt" ? (element.child("sdtContent")?.elements ?? []) : element.elements);
    }
  }

  /** The text of a paragraph or run as it is once all changes are accepted. */
  private inline(element: Xml): string {
    let text = "";
    for (const child of element.elements) {
      const { name } = child;
      if (removed.has(name)) continue;
      if (name === "t") text += child.text;
      else if (name === "tab" || name === "ptab") text += " ";
      else if (name === "br" || name === "cr") text += "\n";
      else if (name === "noBreakHyphen") text += "-";
      else if (name === "footnoteReference" || name === "endnoteReference") text += this.note(child);
      else if (name === "AlternateContent") text += this.inline(child.child("Choice") ?? child);
      else if (name === "txbxContent") this.boxes.push(child);
      else text += this.inline(child);
    }
    return text;
  }

  private note(reference: Xml): string {
    const kind = reference.name.replace("Reference", "");
    const id = reference.attribute("id") ?? "";
    const text = this.noteText(kind, id);
    if (text === undefined || text === "") return "";
    const number = ++this.counted;
    this.notes.push(`[^${number}]: ${text}`);
    return `[^${number}]`;
  }

  private paragraph(element: Xml): void {
    const properties = element.child("pPr");
    const style = value(properties?.child("pStyle"));
    const text = this.joined + this.inline(element);
    // a paragraph whose mark was deleted goes on in the next one
    this.joined = properties?.at("rPr", "del") ? text : "";
    if (this.joined === "") this.write(text, style, properties);
    const boxes = this.boxes;
    this.boxes = [];
    for (const box of boxes) this.visit(box.elements);
  }

  private write(text: string, style: string | undefined, properties: Xml | undefined): void {
    const own = numberOf(properties?.child("outlineLvl"));
    const level = own !== undefined && own < 9 ? own + 1 : this.styles.heading(style);
    const numPr = properties?.child("numPr") ?? this.styles.find(style, ({ numbering }) => numbering);
    const item = text.trim() === "" ? undefined : this.numbering.next(numPr);
    if (text.trim() === "") return;
    if (level !== undefined && !Number.isNaN(level)) this.heading(level, item ? `${item.marker} ${text}` : text);
    else if (item) this.item({ text, ...item });
    else if (this.styles.isCode(style)) this.code(text);
    else this.add({ kind: "paragraph", text: text.split("\n").map(oneLine).join("\n") });
    for (const note of this.notes.splice(0)) this.add({ kind: "paragraph", text: note });
  }

  private heading(level: number, given: string): void {
    const text = oneLine(given);
    this.path = [...this.path.filter((above) => above.level < level), { level, text }];
    if (level === 0) this.title ??= text;
    this.add({ kind: "heading", level, text });
  }

  private item({ text, depth, marker }: Required<ListItem>): void {
    const before = this.blocks.at(-1);
    const item = { text, depth, marker };
    if (before?.kind === "list") this.blocks[this.blocks.length - 1] = { ...before, items: [...before.items, item] };
    else this.add({ kind: "list", items: [item] });
  }

  private code(text: string): void {
    const before = this.blocks.at(-1);
    if (before?.kind === "code") this.blocks[this.blocks.length - 1] = { ...before, text: `${before.text}\n${text}` };
    else this.add({ kind: "code", text });
  }

  private add(block: Block): void {
    this.blocks.push({ ...block, place: this.place });
  }

  private table(element: Xml): void {
    const rows: string[][] = [];
    let hasHead = false;
    for (const row of rowsIn(element)) {
      if (row.at("trPr", "del")) continue;
      hasHead ||= row.at("trPr", "tblHeader") !== undefined;
      const cells: string[] = [];
      for (const cell of cellsIn(row)) {
        const properties = cell.child("tcPr");
        const merged = properties?.child("vMerge");
        const goesOn = merged !== undefined && (value(merged) ?? "continue") === "continue";
        cells.push(goesOn ? (rows.at(-1)?.[cells.length] ?? "") : this.cellText(cell));
        for (let span = numberOf(properties?.child("gridSpan")) ?? 1; span > 1; span--) cells.push("");
      }
      rows.push(cells);
    }
    if (rows.length === 1 && rows[0]!.length === 1) return this.visit(element.all("tc")[0]!.elements);
    if (rows.some((row) => row.some((cell) => cell !== "")))
      this.add({ kind: "table", rows, head: hasHead || rows.length > 1 });
    for (const note of this.notes.splice(0)) this.add({ kind: "paragraph", text: note });
  }

  private cellText(cell: Xml): string {
    return oneLine(
      cell
        .all("p")
        .map((paragraph) => this.inline(paragraph))
        .join(" "),
    );
  }
}

const within = (element: Xml, name: string): Xml[] =>
  element.elements.flatMap((child) =>
    child.name === name ? [child] : /^(?:sdt|sdtContent|ins|customXml)$/.test(child.name) ? within(child, name) : [],
  );
const rowsIn = (table: Xml): Xml[] => within(table, "tr");
const cellsIn = (row: Xml): Xml[] => within(row, "tc");

/** The texts of footnotes or endnotes by id; separators have none. */
async function notesOf(
  archive: Archive,
  part: string | undefined,
  read: (elements: readonly Xml[]) => string,
): Promise<Map<string, string>> {
  const root = part === undefined ? undefined : await archive.xml(part);
  const notes = (root?.elements ?? []).filter(
    (note) => !/^(?:separator|continuation)/.test(note.attribute("type") ?? ""),
  );
  return new Map(notes.map((note) => [note.attribute("id") ?? "", read(note.elements)]));
}

/** Word documents: headings in any language, lists, tables, notes; changes that are tracked as if they were accepted. */
export const docxReader: Reader = {
  name: "docx",
  version: 1,
  extensions: ["docx", "docm", "dotx"],
  binary: true,
  sniff: (bytes) => isZipWith(bytes, "word/document"),
  async read({ bytes }, context) {
    const archive = await openArchive(bytes, context);
    const part = await mainPart(archive, "word/document.xml");
    const root = await archive.xml(part);
    const relations = await relationsOf(archive, part);
    const partOf = (type: string) => relations.find((one) => one.type === type)?.target;
    const xmlOf = async (type: string) => archive.xml(partOf(type) ?? "");
    const styles = new Styles(await xmlOf("styles"));
    const plain = (elements: readonly Xml[]) => {
      const body = new Body(styles, new Numbering(undefined), () => undefined);
      body.visit(elements);
      return oneLine(body.blocks.map((block) => ("text" in block ? block.text : "")).join(" "));
    };
    const notes = {
      footnote: await notesOf(archive, partOf("footnotes"), plain),
      endnote: await notesOf(archive, partOf("endnotes"), plain),
    };
    const body = new Body(styles, new Numbering(await xmlOf("numbering")), (kind, id) =>
      notes[kind as keyof typeof notes]?.get(id),
    );
    body.visit(root?.child("body")?.elements ?? []);
    return { kind: "blocks", title: body.title, blocks: body.blocks };
  },
};
