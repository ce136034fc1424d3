import { open, realpath } from "node:fs/promises";
import { extname, join, sep } from "node:path";
import { type Encoder, type Hit, type Passage, type Principal, type Store, TesseraError } from "@tessera/core";
import type { Unread } from "@tessera/core/internal";
import type { FastifyInstance } from "fastify";
import { z } from "zod";

/** The folder that the flows search, as its index knows it. */
export interface SourceFolder {
  /** As an absolute path. */
  readonly root: string;
  /** The paths of the files that have passages. */
  readonly files: readonly string[];
  /** Files that gave no text, or not all of it, and why. */
  readonly skipped: readonly Unread[];
  passages(): Promise<readonly Passage[]>;
  readonly sparse?: Store | undefined;
  readonly dense?: Store | undefined;
  readonly encoder?: Encoder | undefined;
}

const largest = 2 << 20; // bytes of a file that is shown

/** A text file of the folder; nothing for one that holds no text, or is too large. */
async function textOf(root: string, path: string): Promise<string | undefined> {
  const real = await realpath(join(root, path)).catch(() => undefined);
  if (!real?.startsWith((await realpath(root)) + sep)) return undefined;
  const file = await open(real, "r");
  try {
    const { size } = await file.stat();
    if (size > largest) return undefined;
    const bytes = await file.readFile();
    return bytes.includes(0) ? undefined : bytes.toString("utf8");
  } finally {
    await file.close();
  }
}

const shown = ({ id, text, title, source }: Passage) => ({ id, text, title, source });

/** The passages of a folder by file, read once for each index. */
function byFile(source: SourceFolder): () => Promise<ReadonlyMap<string, Passage[]>> {
  let known: Promise<Map<string, Passage[]>> | undefined;
  const read = async () => {
    const files = new Map<string, Passage[]>(source.files.map((path) => [path, []]));
    for (const passage of await source.passages()) files.get(passage.source?.path ?? "")?.push(passage);
    return files;
  };
  return () => {
    known ??= read();
    return known;
  };
}

const config = (summary: string) => ({ scope: "run" as const, summary });
const filePath = z.object({ path: z.string().min(1).max(4096) });
const search = z.strictObject({
  query: z.string().min(1).max(10_000),
  top: z.int().min(1).max(100).default(10),
  /** A passage that is looked for: where it stands, however far down. */
  passage: z.string().max(10_000).optional(),
});

/** What is in the folder's index, its files, and a search of it in each way. */
export function sourceRoutes(server: FastifyInstance, source: SourceFolder): void {
  const filed = byFile(source);
  server.get("/source", { config: config("what is in the index of the folder, and what was left out") }, async () => ({
    root: source.root.split(/[\\/]/).at(-1),
    files: [...(await filed())].map(([path, passages]) => ({
      path,
      kind: extname(path).slice(1).toLowerCase() || "none",
      passages: passages.length,
      characters: passages.reduce((sum, { text }) => sum + text.length, 0),
    })),
    skipped: source.skipped,
    ways: [...(source.sparse ? ["sparse"] : []), ...(source.dense && source.encoder ? ["dense", "hybrid"] : [])],
  }));
  server.get<{ Querystring: z.infer<typeof filePath> }>(
    "/source/file",
    { schema: { querystring: filePath }, config: config("a file of the index: its text, and its passages") },
    async ({ query: { path } }) => {
      const passages = (await filed()).get(path);
      // only what the index lists: no path is tried on the disk before
      if (!passages) throw new TesseraError("NOT_FOUND", "the index has no such file", { path });
      return { path, text: await textOf(source.root, path), passages: passages.map(shown) };
    },
  );
  server.post<{ Body: z.infer<typeof search> }>(
    "/source/search",
    { schema: { body: search }, config: config("search the index by words, by vectors and by both") },
    ({ key, body }) => searched(source, key.principal, body),
  );
}

/** The share of words where scores of both are fused, and no encoder advises another. */
const defaultWords = 0.5;
const deep = 1000; // hits of each way that are looked through for one passage

/** Scores from the least to the best as 0 to 1; equal ones as 1. */
function levelled(hits: readonly Hit[]): Map<string, number> {
  const scores = hits.map(({ score }) => score);
  const [least, best] = [Math.min(...scores), Math.max(...scores)];
  return new Map(hits.map(({ passage, score }) => [passage.id, best > least ? (score - least) / (best - least) : 1]));
}

interface Row {
  readonly passage: ReturnType<typeof shown>;
  readonly score: number;
  readonly parts?: object;
}

function fused(sparse: readonly Hit[], dense: readonly Hit[], share: number): Row[] {
  const [words, vectors] = [levelled(sparse), levelled(dense)];
  const passages = new Map([...sparse, ...dense].map(({ passage }) => [passage.id, passage]));
  return [...passages]
    .map(([id, passage]) => {
      const parts = { words: words.get(id) ?? 0, vectors: vectors.get(id) ?? 0, share };
      return { passage: shown(passage), score: share * parts.words + (1 - share) * parts.vectors, parts };
    })
    .sort((a, b) => b.score - a.score || (a.passage.id < b.passage.id ? -1 : 1));
}

interface Explaining extends Store {
  explain?(text: string, ids: readonly string[], principal?: Principal): object[][];
}

async function searched(source: SourceFolder, principal: Principal, asked: z.infer<typeof search>): Promise<object> {
  const { query, top, passage } = asked;
  const most = passage === undefined ? Math.max(top, 50) : deep;
  const began = performance.now();
  const sparse = (await source.sparse?.search({ text: query, top: most, principal })) ?? [];
  const afterWords = performance.now();
  const [vector] = (await source.encoder?.encode([query], { kind: "query" })) ?? [];
  const dense = (vector && (await source.dense?.search({ vector, top: most, principal }))) ?? [];
  const afterVectors = performance.now();
  const explain = (source.sparse as Explaining | undefined)?.explain?.bind(source.sparse);
  const rows = (hits: readonly Hit[]): Row[] => hits.map(({ passage, score }) => ({ passage: shown(passage), score }));
  const hybrid = fused(sparse.slice(0, 50), dense.slice(0, 50), source.encoder?.words ?? defaultWords);
  const lists = { sparse: rows(sparse), dense: rows(dense), ...(dense.length > 0 && { hybrid }) };
  const terms = explain?.(
    query,
    lists.sparse.slice(0, top).map(({ passage: { id } }) => id),
    principal,
  );
  return {
    sparse: lists.sparse.slice(0, top).map((row, at) => ({ ...row, ...(terms?.[at] && { parts: terms[at] }) })),
    dense: lists.dense.slice(0, top),
    ...(lists.hybrid && { hybrid: lists.hybrid.slice(0, top) }),
    ms: { sparse: afterWords - began, dense: afterVectors - afterWords },
    ...(passage !== undefined && { sought: soughtIn(lists, passage, explain?.(query, [passage], principal)[0]) }),
  };
}

/** Where a passage stands in each list; nothing where it is not among the thousand that were looked through. */
const soughtIn = (lists: Readonly<Record<string, readonly Row[]>>, id: string, terms: object[] | undefined) => ({
  passage: id,
  ...(terms && { terms }),
  places: Object.fromEntries(
    Object.entries(lists).map(([way, rows]) => {
      const at = rows.findIndex(({ passage }) => passage.id === id);
      return [way, at < 0 ? { of: rows.length } : { rank: at + 1, score: rows[at]!.score, of: rows.length }];
    }),
  ),
});
