// internal: measurePlaces, PlacesSettings
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Passage } from "@tessera/core";
import { flows } from "@tessera/flows";
import { createTessera, updateCodebase } from "@tessera/tessera";
import { bootstrap, showInterval } from "../measures/statistics.js";
import type { Output } from "../reports/output.js";
import { fetchPackage } from "./packages.js";
import { type Cited, isPlace, type PlaceQuestion, readPlaces } from "./place-set.js";

export interface PlacesSettings {
  readonly half: PlaceQuestion["half"];
  /** Only these packages. */
  readonly packages?: readonly string[];
  /** What makes the vectors; as in `updateCodebase`. */
  readonly encoder?: string;
  /** The folder of a checkout that is built, to measure beside this one. */
  readonly against?: string;
  readonly signal?: AbortSignal;
}

/** Answers a question about a folder with the places it cites, the first first. */
type Asker = (question: string) => Promise<readonly Cited[]>;

interface Build {
  readonly updateCodebase: typeof updateCodebase;
  readonly createTessera: typeof createTessera;
  readonly hybrid: unknown;
}

/** What a build answers with the flow `hybrid`, as `tessera ask` does. */
async function askerOf(
  build: Build,
  root: string,
  folder: string,
  encoder: string,
): Promise<Asker & { close(): Promise<void> }> {
  const { resources, close } = await build.updateCodebase({ root, folder, encoder });
  const tessera = build.createTessera({ flows: { hybrid: build.hybrid }, resources } as Parameters<
    typeof createTessera
  >[0]);
  const ask = async (query: string): Promise<readonly Cited[]> => {
    const { output } = await tessera.run("hybrid", { query });
    return (output.answer as { citations: Cited[] }).citations;
  };
  return Object.assign(ask, {
    close: async () => {
      await tessera.close();
      await close();
    },
  });
}

const importFrom = async (folder: string, path: string): Promise<Record<string, unknown>> =>
  import(pathToFileURL(join(folder, path, "dist", "index.js")).href);

async function buildIn(folder: string): Promise<Build> {
  const [{ updateCodebase, createTessera }, catalogue] = await Promise.all([
    importFrom(folder, "packages/tessera"),
    importFrom(folder, "packages/flows"),
  ]);
  return { updateCodebase, createTessera, hybrid: hybridOf(catalogue.flows as Catalogue) } as Build;
}

type Catalogue = ReadonlyMap<string, { readonly flow: unknown }>;
const hybridOf = (catalogue: Catalogue): unknown => catalogue.get("hybrid")!.flow;

/** BM25 as textbooks have it, over the same passages: lower-case letters and digits, k1 1.2, b 0.75. */
export function plainBm25(passages: readonly Passage[]): (question: string) => Passage[] {
  const wordsOf = (text: string) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const documents = passages.map(({ title = "", text }) => {
    const list = wordsOf(`${title} ${text}`);
    const counts = new Map<string, number>();
    for (const word of list) counts.set(word, (counts.get(word) ?? 0) + 1);
    return { counts, length: list.length };
  });
  const average = documents.reduce((sum, { length }) => sum + length, 0) / documents.length;
  const holders = new Map<string, number>();
  for (const { counts } of documents) for (const word of counts.keys()) holders.set(word, (holders.get(word) ?? 0) + 1);
  return (question) => {
    const scores = documents.map(({ counts, length }) => {
      let score = 0;
      for (const word of new Set(wordsOf(question))) {
        const frequency = counts.get(word) ?? 0;
        const df = holders.get(word) ?? 0;
        const idf = Math.log(1 + (documents.length - df + 0.5) / (df + 0.5));
        score += (idf * frequency * 2.2) / (frequency + 1.2 * (0.25 + (0.75 * length) / average));
      }
      return score;
    });
    return [...passages.keys()]
      .filter((index) => scores[index]! > 0)
      .sort((a, b) => scores[b]! - scores[a]!)
      .slice(0, 3)
      .map((index) => passages[index]!);
  };
}

const right = (cited: readonly Cited[], question: PlaceQuestion): number =>
  Number(cited.slice(0, 3).some((one) => isPlace(one, question)));

/** Measures how often one of the first three citations is the place, beside plain BM25 and another build. */
export async function measurePlaces(output: Output, settings: PlacesSettings): Promise<number> {
  const { half, packages: only, encoder = "hash", against, signal } = settings;
  const set = await readPlaces();
  const builds = new Map<string, Build>([["this build", { updateCodebase, createTessera, hybrid: hybridOf(flows) }]]);
  if (against !== undefined) builds.set("other build", await buildIn(against));
  const found = new Map<string, number[]>([...builds.keys(), "plain BM25"].map((name) => [name, []]));
  const chosen = set.questions.filter((one) => one.half === half && (only === undefined || only.includes(one.package)));
  const asked: PlaceQuestion[] = [];
  for (const [name, pack] of set.packages) {
    const questions = chosen.filter((one) => one.package === name);
    if (questions.length === 0) continue;
    const root = join(await fetchPackage(name, pack), pack.root);
    const folder = await mkdtemp(join(tmpdir(), "tessera-places-"));
    try {
      for (const [index, [build, made]] of [...builds].entries()) {
        signal?.throwIfAborted();
        const ask = await askerOf(made, root, join(folder, String(index)), encoder);
        try {
          for (const question of questions) {
            const cited = await ask(question.question);
            found.get(build)!.push(right(cited, question));
            output.line({ id: question.id, build, right: right(cited, question), cited: cited.slice(0, 3) });
          }
        } finally {
          await ask.close();
        }
      }
      const { Codebase } = await import("@tessera/indexer");
      const search = plainBm25(await (await Codebase.open(join(folder, "0"))).passages());
      for (const question of questions)
        found.get("plain BM25")!.push(
          right(
            search(question.question).map(({ source = { path: "" } }) => source),
            question,
          ),
        );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    asked.push(...questions);
    output.progress("packages", asked.length, chosen.length);
  }
  output.clear();
  report(output, asked, found, half);
  return 0;
}

function report(
  output: Output,
  asked: readonly PlaceQuestion[],
  found: ReadonlyMap<string, readonly number[]>,
  half: string,
): void {
  const names = [...found.keys()];
  const row = (label: string, take: (question: PlaceQuestion) => boolean): (string | number)[] => {
    const at = [...asked.keys()].filter((index) => take(asked[index]!));
    return [
      label,
      at.length,
      ...names.map((name) =>
        at.length === 0 ? "" : showInterval(bootstrap(at.map((index) => found.get(name)![index]!))),
      ),
    ];
  };
  output.say(`Right place among the first three citations, ${half} half:`);
  output.table(
    ["", "questions", ...names],
    [
      row("all", () => true),
      row("in English", ({ language }) => language === "en"),
      row("in another language", ({ language }) => language !== "en"),
      ...[...new Set(asked.map((question) => question.package))].map((name) =>
        row(name, (question) => question.package === name),
      ),
    ],
  );
  for (const [name, values] of found)
    output.line({ metric: "place@3", half, build: name, questions: values.length, ...bootstrap(values) });
}
