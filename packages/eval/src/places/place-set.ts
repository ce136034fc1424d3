import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const range = z.tuple([z.int().positive(), z.int().positive()]);

/** A question with its place: lines of a file, or pages. */
const placeQuestion = z.strictObject({
  id: z.string(),
  half: z.enum(["choosing", "reporting"]),
  package: z.string(),
  /** Below the root of the package. */
  path: z.string(),
  lines: range.optional(),
  pages: range.optional(),
  language: z.string(),
  question: z.string(),
});
export type PlaceQuestion = z.infer<typeof placeQuestion>;

const placePackage = z.strictObject({
  from: z.enum(["npm", "pypi", "debian"]),
  /** In its registry, where that is not the name it has here. */
  name: z.string().optional(),
  version: z.string(),
  /** The folder in it that is indexed. */
  root: z.string(),
  languages: z.array(z.string()),
  kinds: z.array(z.string()),
});
export type PlacePackage = z.infer<typeof placePackage>;

interface PlaceSet {
  readonly packages: ReadonlyMap<string, PlacePackage>;
  readonly questions: readonly PlaceQuestion[];
}

const folder = fileURLToPath(new URL("../../data/places/", import.meta.url));

/** The set of this package. */
export async function readPlaces(from = folder): Promise<PlaceSet> {
  const packages = z
    .record(z.string(), placePackage)
    .parse(JSON.parse(await readFile(join(from, "packages.json"), "utf8")));
  const lines = (await readFile(join(from, "questions.jsonl"), "utf8")).split("\n").filter((line) => line !== "");
  return {
    packages: new Map(Object.entries(packages)),
    questions: lines.map((line) => placeQuestion.parse(JSON.parse(line))),
  };
}

/** What of a citation says where it leads. */
export interface Cited {
  readonly path?: string | undefined;
  readonly lines?: readonly [number, number] | undefined;
  readonly place?: { readonly unit: string; readonly from: number; readonly to: number } | undefined;
}

const mostLines = 60;
const overlap = (a: readonly [number, number], b: readonly [number, number]): boolean => a[0] <= b[1] && b[0] <= a[1];

type Wanted = Pick<PlaceQuestion, "path" | "lines" | "pages">;

/** Whether a citation and the place of a question have a line or page in common. */
export function touchesPlace({ path, lines, place }: Cited, wanted: Wanted): boolean {
  if (path !== wanted.path) return false;
  if (wanted.pages) return place?.unit === "page" && overlap([place.from, place.to], wanted.pages);
  return lines !== undefined && overlap(lines, wanted.lines!);
}

/** Whether a citation is the place of a question: it overlaps it, and has at most 60 lines or three pages. */
export function isPlace(cited: Cited, wanted: Wanted): boolean {
  const { lines, place } = cited;
  const isShort = wanted.pages
    ? place !== undefined && place.to - place.from < 3
    : lines && lines[1] - lines[0] < mostLines;
  return isShort === true && touchesPlace(cited, wanted);
}
