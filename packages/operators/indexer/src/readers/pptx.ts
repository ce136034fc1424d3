import type { DocumentPlace } from "@tessera/core/internal";
import { type Archive, isZipWith, mainPart, openArchive, relationsOf } from "./archive.js";
import type { Block, ListItem, Reader, UnreadPart } from "./reader.js";
import type { Xml } from "./xml.js";

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();

/** The text of a paragraph of a drawing. */
const textOf = (paragraph: Xml): string =>
  oneLine(
    paragraph.elements
      .map((run) =>
        run.name === "br" ? " " : run.name === "r" || run.name === "fld" ? (run.child("t")?.text ?? "") : "",
      )
      .join(""),
  );

const paragraphsIn = (body: Xml | undefined): { text: string; depth: number }[] =>
  (body?.elements ?? [])
    .filter(({ name }) => name === "p")
    .map((one) => ({ text: textOf(one), depth: Number(one.child("pPr")?.attribute("lvl") ?? 0) }))
    .filter(({ text }) => text !== "");

/** What a shape is for: "title", "body", "sldNum", …; `undefined` where it has no place in the layout. */
const roleOf = (shape: Xml): string | undefined => {
  const placeholder = shape.at("nvSpPr", "nvPr", "ph");
  return placeholder && (placeholder.attribute("type") ?? "body");
};
const isTitle = (role: string | undefined): boolean => role === "title" || role === "ctrTitle";
// what stands on every slide
const isFurniture = (role: string | undefined): boolean => /^(?:dt|ftr|hdr|sldNum|sldImg)$/.test(role ?? "");

/** The shapes of a slide in order, those of groups among them. */
function* shapesIn(tree: Xml): Generator<Xml> {
  for (const one of tree.elements)
    if (one.name === "grpSp") yield* shapesIn(one);
    else if (one.name === "AlternateContent") yield* shapesIn(one.child("Choice") ?? one);
    else yield one;
}

function slideBlocks(slide: Xml, place: DocumentPlace): Block[] {
  const tree = slide.at("cSld", "spTree");
  const shapes = tree ? [...shapesIn(tree)] : [];
  const titled = shapes.find((shape) => shape.name === "sp" && isTitle(roleOf(shape)));
  const title =
    titled &&
    paragraphsIn(titled.child("txBody"))
      .map(({ text }) => text)
      .join(" ");
  const blocks: Block[] = title ? [{ kind: "heading", level: 1, text: title, place }] : [];
  for (const shape of shapes) {
    const role = roleOf(shape);
    if (shape === titled || isFurniture(role)) continue;
    const rows = shape.name === "graphicFrame" ? shape.all("tr") : [];
    if (rows.length > 0) {
      const cells = rows.map((row) =>
        row.elements
          .filter(({ name }) => name === "tc")
          .map((cell) =>
            paragraphsIn(cell.child("txBody"))
              .map(({ text }) => text)
              .join(" "),
          ),
      );
      blocks.push({ kind: "table", rows: cells, head: rows.length > 1, place });
    } else {
      const paragraphs = paragraphsIn(shape.child("txBody"));
      if (paragraphs.length === 0) continue;
      if (role === undefined || role === "subTitle" || paragraphs.length === 1)
        blocks.push(...paragraphs.map(({ text }): Block => ({ kind: "paragraph", text, place })));
      else blocks.push({ kind: "list", items: paragraphs as ListItem[], place });
    }
  }
  return blocks;
}

async function notesOf(archive: Archive, target: string | undefined): Promise<string[]> {
  const tree = target === undefined ? undefined : (await archive.xml(target))?.at("cSld", "spTree");
  return (tree ? [...shapesIn(tree)] : [])
    .filter((shape) => roleOf(shape) === "body")
    .flatMap((shape) => paragraphsIn(shape.child("txBody")).map(({ text }) => text));
}

/** Presentations of PowerPoint: titles, texts and tables slide by slide, with the notes of the speaker. */
export const pptxReader: Reader = {
  name: "pptx",
  version: 1,
  extensions: ["pptx", "pptm", "ppsx", "potx"],
  binary: true,
  sniff: (bytes) => isZipWith(bytes, "ppt/presentation"),
  async read({ bytes }, context) {
    const archive = await openArchive(bytes, context);
    const part = await mainPart(archive, "ppt/presentation.xml");
    const targets = new Map((await relationsOf(archive, part)).map(({ id, target }) => [id, target]));
    const slides = (await archive.xml(part))?.child("sldIdLst")?.elements ?? [];
    const unread: UnreadPart[] = [];
    if (slides.length > context.limits.pages)
      unread.push({ reason: "limit", detail: `only the first ${context.limits.pages} slides are read` });
    const blocks: Block[] = [];
    for (const [index, slide] of slides.slice(0, context.limits.pages).entries()) {
      const target = targets.get(slide.attribute("r:id") ?? "") ?? "";
      const root = await archive.xml(target);
      if (!root) continue;
      const place = { unit: "slide", from: index + 1, to: index + 1 } as const;
      blocks.push(...slideBlocks(root, place));
      const notes = await notesOf(
        archive,
        (await relationsOf(archive, target)).find(({ type }) => type === "notesSlide")?.target,
      );
      if (notes.length > 0) blocks.push({ kind: "paragraph", text: `Notes: ${notes.join(" ")}`, place });
    }
    return { kind: "blocks", blocks, unread };
  },
};
