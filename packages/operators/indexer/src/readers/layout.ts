import type { Passage } from "@tessera/core";
import { type DocumentPlace, documentPlace, estimateTokens } from "@tessera/core/internal";
import { z } from "zod";
import { markdownOutline } from "../markdown-outline.js";
import type { Rows } from "../pieces.js";
import type { Outline } from "../sections.js";
import type { Block, BlockPlace, ReadDocument } from "./reader.js";

/**
 * How the lines of a document stand in its file. A document that was read into blocks has its text as lines of Markdown,
 * and this in `metadata.layout`; passages do not have it any more.
 */
const layoutSchema = z.object({
  /** Where they are not there, the text has them as its language does. */
  headings: z.array(z.object({ row: z.number(), level: z.number(), text: z.string() })).optional(),
  /** Runs of rows that are best not cut: code. */
  inside: z.array(z.tuple([z.number(), z.number()])),
  /** Rows before which a passage ends: around records, and where another part of the file begins. */
  breaks: z.array(z.number()),
  /**
   * What holds from a row on: the lines of the file, which with `each` count up with the rows, and the place.
   */
  places: z.array(
    z.object({
      row: z.number(),
      lines: z.tuple([z.number(), z.number()]).optional(),
      each: z.boolean().optional(),
      place: documentPlace.optional(),
    }),
  ),
});
export type Layout = z.infer<typeof layoutSchema>;
export const layoutKey = "layout";

const longTable = 200; // tokens of a table that is still shown as one
const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();
const cell = (text: string): string => oneLine(text).replaceAll("|", "\\|");

/** Fields of a record on one line: "station: Alder; fee: 12". */
const fieldsOf = (fields: readonly (readonly [string, string])[]): string[] =>
  fields.flatMap(([name, value]) => {
    const shown = oneLine(value);
    return shown === "" ? [] : [name === "" ? shown : `${oneLine(name)}: ${shown}`];
  });

class Writer {
  /** @param shift What a heading's level is more in the text: 1 where a title stands above them at level 0. */
  constructor(readonly shift: number) {}
  readonly lines: string[] = [];
  readonly headings: NonNullable<Layout["headings"]> = [];
  readonly inside: [number, number][] = [];
  readonly breaks: number[] = [];
  readonly places: Layout["places"] = [];
  private part: string | undefined;

  /** Writes a block at the place where it stands. */
  block({ lines, place }: BlockPlace, write: () => void): void {
    const counts = place?.unit === "slide" || place?.unit === "message" || place?.unit === "chapter";
    const part = JSON.stringify([place?.inside, counts ? place.from : 0]);
    if (this.lines.length > 0 && this.lines.at(-1) !== "") this.lines.push("");
    if (this.part !== undefined && part !== this.part) this.breaks.push(this.lines.length);
    this.part = part;
    const row = this.lines.length;
    write();
    const rows = this.lines.length - row;
    const each = lines !== undefined && rows > 1 && rows === lines[1] - lines[0] + 1;
    this.places.push({
      row,
      ...(lines && { lines: [lines[0], lines[1]] }),
      ...(each && { each }),
      ...(place && { place }),
    });
  }

  put(...lines: string[]): void {
    for (const line of lines) this.lines.push(line);
  }
}

/** A paragraph as lines of about this many characters, cut between sentences or words. */
const wrapAt = 1_200;
export function wrapped(line: string): string[] {
  if (line.length <= 2 * wrapAt) return [line];
  const lines: string[] = [];
  let rest = line;
  while (rest.length > 2 * wrapAt) {
    const reach = rest.slice(0, 2 * wrapAt);
    const sentence = Math.max(...[". ", "! ", "? ", "。", "; "].map((mark) => reach.lastIndexOf(mark) + mark.length));
    const word = reach.lastIndexOf(" ") + 1;
    const cut = sentence >= wrapAt / 2 ? sentence : word >= wrapAt / 2 ? word : 2 * wrapAt;
    lines.push(rest.slice(0, cut).trimEnd());
    rest = rest.slice(cut);
  }
  return [...lines, rest];
}

function writeBlock(writer: Writer, block: Block): void {
  if (block.kind === "heading") {
    const text = oneLine(block.text);
    if (text === "") return;
    writer.headings.push({ row: writer.lines.length, level: block.level, text });
    return writer.put(`${"#".repeat(Math.min(6, Math.max(1, block.level + writer.shift)))} ${text}`);
  }
  if (block.kind === "markdown") {
    const from = writer.lines.length;
    const lines = block.text.replace(/^\n+|\s+$/g, "").split("\n");
    const { headings, inside } = markdownOutline(lines);
    for (const { row, level, text } of headings) writer.headings.push({ row: from + row, level, text });
    for (const [row, is] of inside.entries()) if (is) writer.inside.push([from + row, from + row]);
    return writer.put(...lines);
  }
  if (block.kind === "paragraph") return writer.put(...block.text.trim().split("\n").flatMap(wrapped));
  if (block.kind === "list")
    return writer.put(
      ...block.items.flatMap(({ text, depth = 0, marker = "-" }) =>
        wrapped(`${"   ".repeat(depth)}${marker} ${oneLine(text)}`),
      ),
    );
  if (block.kind === "code") {
    const from = writer.lines.length;
    const fence = block.text.includes("```") ? "~~~~" : "```";
    writer.put(`${fence}${block.language ?? ""}`, ...block.text.replace(/\n+$/, "").split("\n"), fence);
    writer.inside.push([from + 1, writer.lines.length - 1]);
    return;
  }
  if (block.kind === "record") {
    const fields = fieldsOf(block.fields);
    writer.breaks.push(writer.lines.length);
    writer.put(...(block.perLine ? fields.flatMap(wrapped) : wrapped(fields.join("; "))));
    writer.breaks.push(writer.lines.length);
    return;
  }
  writeTable(writer, block);
}

/** A table as Markdown where it is short, else each row with the names of its columns. */
function writeTable(writer: Writer, { rows, head = true }: Block & { readonly kind: "table" }): void {
  const width = Math.max(0, ...rows.map((row) => row.length));
  if (width === 0) return;
  const tokens = rows.reduce((sum, row) => sum + estimateTokens(row.join(" ")), 0);
  if (head && rows.length > 2 && tokens > longTable) {
    const [names = [], ...rest] = rows;
    for (const row of rest)
      writer.put(...wrapped(`- ${fieldsOf(row.map((value, index) => [names[index] ?? "", value])).join("; ")}`));
    return;
  }
  const line = (row: readonly string[]) =>
    `| ${Array.from({ length: width }, (_, index) => cell(row[index] ?? "")).join(" | ")} |`;
  const [first, ...rest] = head ? rows : [[], ...rows];
  if (head) writer.put(line(first!), `|${" --- |".repeat(width)}`);
  writer.put(...rest.map(line));
}

/** What a document of blocks is as lines of Markdown, with where each stands in the file. */
export function layOut({ blocks }: ReadDocument & { readonly kind: "blocks" }): { text: string; layout: Layout } {
  const writer = new Writer(blocks.some((block) => block.kind === "heading" && block.level === 0) ? 1 : 0);
  for (const block of blocks) {
    if ("text" in block && block.text.trim() === "") continue;
    writer.block(block, () => writeBlock(writer, block));
  }
  const { lines, headings, inside, breaks, places } = writer;
  return { text: lines.join("\n"), layout: { headings, inside, breaks: [...new Set(breaks)], places } };
}

/** Lines that are too long for a passage, each cut into several; `undefined` where there are none. */
export function wrapLines(lines: readonly string[]): { text: string; layout: Layout } | undefined {
  if (!lines.some((line) => line.length > 2 * wrapAt)) return undefined;
  const rows: string[] = [];
  const places: Layout["places"] = [];
  for (const [index, line] of lines.entries()) {
    const parts = wrapped(line);
    if (parts.length > 1 || places.at(-1)?.each !== true)
      places.push({
        row: rows.length,
        lines: [index + 1, parts.length > 1 ? index + 1 : lines.length],
        ...(parts.length === 1 && { each: true }),
      });
    rows.push(...parts);
  }
  return { text: rows.join("\n"), layout: { inside: [], breaks: [], places } };
}

/** The layout of a document, where it has one. */
export function layoutOf({ metadata }: Passage): Layout | undefined {
  if (!Object.hasOwn(metadata, layoutKey)) return undefined;
  const parsed = layoutSchema.safeParse(metadata[layoutKey]);
  return parsed.success ? parsed.data : undefined;
}

/** The metadata of a document as its passages have it. */
export function passedOn({ [layoutKey]: _, ...metadata }: Passage["metadata"]): Passage["metadata"] {
  return metadata;
}

/** Headings, and what is not cut, as `sectionsOf` wants them; `undefined` where the text says that itself. */
export function outlineOf({ headings, inside, breaks }: Layout, count: number): Outline | undefined {
  if (headings === undefined) return undefined;
  const rows = new Array<boolean>(count).fill(false);
  for (const [from, to] of inside) rows.fill(true, from, to + 1);
  return { headings, inside: rows, breaks };
}

/** The lines and the place of a run of rows in the file. */
export function sourceOf(layout: Layout, [from, to]: Rows): { lines?: [number, number]; place?: DocumentPlace } {
  const { places } = layout;
  let first = 0;
  for (let low = 0, high = places.length - 1; low <= high; ) {
    const middle = (low + high) >> 1;
    if (places[middle]!.row <= from) [first, low] = [middle, middle + 1];
    else high = middle - 1;
  }
  let lines: [number, number] | undefined;
  let place: DocumentPlace | undefined;
  for (let index = first; index < places.length && (index === first || places[index]!.row <= to); index++) {
    const { row, lines: own, each, place: there } = places[index]!;
    if (own) {
      const last = Math.min(to, (places[index + 1]?.row ?? to + 1) - 1);
      const part = each ? [own[0] + Math.max(0, from - row), Math.min(own[1], own[0] + last - row)] : own;
      lines = lines ? [Math.min(lines[0], part[0]!), Math.max(lines[1], part[1]!)] : [part[0]!, part[1]!];
    }
    if (!there) continue;
    if (!place) place = there;
    else if (place.unit === there.unit && String(place.inside) === String(there.inside))
      place = { ...place, from: Math.min(place.from, there.from), to: Math.max(place.to, there.to) };
  }
  return { ...(lines && { lines }), ...(place && { place }) };
}

/** Where rows of a passage or document stand in the file; rows count from 0. */
export function sourceWithin(whole: Passage, [from, to]: Rows): NonNullable<Passage["source"]> {
  const { source } = whole;
  const path = source?.path ?? whole.id;
  const layout = layoutOf(whole);
  if (layout) return { path, ...sourceOf(layout, [from, to]) };
  if (source?.place) return { path, place: source.place, ...(source.lines && { lines: source.lines }) };
  const first = source?.lines?.[0] ?? 1;
  return { path, lines: [first + from, first + to] };
}
