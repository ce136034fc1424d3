// public: Json, passage, Passage, passages, hit, Hit, hits, rank, citation, Citation, answer, Answer, cite
// internal: mergeHits, embeddedText, whereOf, documentPlace, DocumentPlace
import { z } from "zod";

/** A JSON value. */
export type Json = z.infer<ReturnType<typeof z.json>>;

/**
 * A place in a document that is cited by something else than lines. `from` and `to` count from 1 and include both ends:
 * the pages of a PDF, the slides of a presentation, the cells of a notebook, the rows of a sheet as its program numbers
 * them, the chapters of a book in reading order, the messages of a mailbox, the records of a file. `inside` names the
 * parts of the file that lead there, from the outside in: the attachment, the sheet, the chapter.
 */
export const documentPlace = z.object({
  unit: z.enum(["page", "slide", "cell", "row", "chapter", "message", "record", "part"]),
  from: z.number(),
  to: z.number(),
  inside: z.array(z.string()).optional(),
});
/** A place in a document: a page, a slide, a cell, a row or a part. */
export type DocumentPlace = z.infer<typeof documentPlace>;

/** A piece of a document: the unit that is indexed, retrieved and cited. */
export const passage = z.object({
  id: z.string(),
  text: z.string(),
  title: z.string().optional(),
  /** Where the passage stands in its document. Lines count from 1, and both ends are included. */
  source: z
    .object({
      path: z.string(),
      lines: z.tuple([z.number(), z.number()]).optional(),
      place: documentPlace.optional(),
      symbol: z.string().optional(),
    })
    .optional(),
  /** The id of the passage that this one is a part of. */
  parent: z.string().optional(),
  metadata: z.record(z.string(), z.json()),
});
/** A piece of a document: the unit that is indexed, retrieved and cited. `metadata.access` names who may see it. */
export type Passage = z.infer<typeof passage>;
/** The schema of a list of passages, and the port type `passages`. */
export const passages = z.array(passage);

/** A passage with its score, and the scores that operators gave it before. */
export const hit = z.object({
  passage,
  /** The score; larger is better. Its scale depends on the operator. */
  score: z.number(),
  /** One entry for each operator that ranked it; ranks count from 1. */
  provenance: z.array(z.object({ operator: z.string(), rank: z.number(), score: z.number() })),
});
/** A passage with its score, and the scores that operators gave it before. */
export type Hit = z.infer<typeof hit>;
/** The schema of a ranked list of hits, the best first, and the port type `hits`. */
export const hits = z.array(hit);

/**
 * Sorts hits by descending score, and adds the operator and the ranks to their provenance. Equal scores are sorted by
 * the id of the passage, so that results do not depend on timing.
 */
export function rank(operator: string, scored: readonly { hit: Hit; score: number }[], top = scored.length): Hit[] {
  return [...scored]
    .sort((a, b) => b.score - a.score || (a.hit.passage.id < b.hit.passage.id ? -1 : 1))
    .slice(0, top)
    .map(({ hit, score }, index) => ({
      passage: hit.passage,
      score,
      provenance: [...hit.provenance, { operator, rank: index + 1, score }],
    }));
}

/** The hits of several lists, each passage once, in the order of first sight: with its best score and everybody's provenance. */
export function mergeHits(lists: readonly (readonly Hit[])[]): Hit[] {
  const seen = new Map<string, Hit>();
  for (const hit of lists.flat()) {
    const known = seen.get(hit.passage.id);
    if (!known) {
      seen.set(hit.passage.id, hit);
      continue;
    }
    const marks = new Set(known.provenance.map((mark) => JSON.stringify(mark)));
    const added = hit.provenance.filter((mark) => !marks.has(JSON.stringify(mark)));
    const score = Math.max(known.score, hit.score);
    seen.set(hit.passage.id, { ...known, score, provenance: [...known.provenance, ...added] });
  }
  return [...seen.values()];
}

/** The schema of `Citation`. */
export const citation = z.object({
  /** The number that stands in the answer's text, as in [2]. */
  marker: z.number(),
  /** The id of the cited passage. */
  passage: z.string(),
  path: z.string().optional(),
  lines: z.tuple([z.number(), z.number()]).optional(),
  place: documentPlace.optional(),
  symbol: z.string().optional(),
  /** Other places with the same text. */
  copies: z
    .array(
      z.object({
        passage: z.string(),
        path: z.string().optional(),
        lines: z.tuple([z.number(), z.number()]).optional(),
        place: documentPlace.optional(),
      }),
    )
    .optional(),
});
/** Where an answer's claim stands: the passage by id, and its place. */
export type Citation = z.infer<typeof citation>;

/** A text with citations, each of which points to a passage of the context it was made from. */
export const answer = z.object({
  text: z.string(),
  citations: z.array(citation),
  /** Whether the passages did not contain the answer. */
  refused: z.boolean(),
});
/** A text with its citations. */
export type Answer = z.infer<typeof answer>;

const placeIn = ({ id, source }: Passage) => ({
  passage: id,
  ...(source && { path: source.path }),
  ...(source?.lines && { lines: source.lines }),
  ...(source?.place && { place: source.place }),
});

/** The citation of a passage under a marker, with the places of its copies. */
export const cite = (marker: number, passage: Passage, copies: readonly Passage[] = []): Citation => ({
  marker,
  ...placeIn(passage),
  ...(passage.source?.symbol !== undefined && { symbol: passage.source.symbol }),
  ...(copies.length > 0 && { copies: copies.map(placeIn) }),
});

/** What an encoder reads of a passage: its title above its text. */
export const embeddedText = ({ title, text }: Passage): string => (title === undefined ? text : `${title}\n${text}`);

const range = (from: number, to: number): string => (from === to ? `${from}` : `${from}-${to}`);

/**
 * Where a citation or the source of a passage leads, as a person looks for it: "guide.md:12-20", "manual.pdf, page 3",
 * "fees.xlsx, Summer, row 12". Without a path, an empty text.
 */
export function whereOf({ path = "", lines, place }: Pick<Citation, "path" | "lines" | "place">): string {
  if (place === undefined) return lines && path ? `${path}:${lines[0]}-${lines[1]}` : path;
  const { unit, from, to, inside = [] } = place;
  const counted = unit === "part" ? [] : [`${unit}${from === to ? "" : "s"} ${range(from, to)}`];
  return [path, ...inside, ...counted].filter((part) => part !== "").join(", ");
}
