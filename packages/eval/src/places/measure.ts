// internal: measurePlaces, PlacesSettings
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Answer, FlowDocument, Hit, Passage } from "@tessera/core";
import { flows } from "@tessera/flows";
import { defaultEncoder } from "@tessera/models/internal";
import { createTessera, updateCodebase } from "@tessera/tessera";
import { bootstrap, showInterval } from "../measures/statistics.js";
import type { Output } from "../reports/output.js";
import { type Asked, candidatesOf, type Loss, lossKinds, lossNames, lossOf, showsPlace } from "./losses.js";
import { fetchPackage } from "./packages.js";
import { type Cited, isPlace, type PlaceQuestion, readPlaces } from "./place-set.js";

export interface PlacesSettings {
  readonly half: PlaceQuestion["half"];
  /** Only these packages. */
  readonly packages?: readonly string[];
  /** What makes the vectors, as in `updateCodebase`; by default that of `tessera ask`. */
  readonly encoder?: string;
  /** The folder of a checkout that is built, to measure beside this one. */
  readonly against?: string;
  readonly signal?: AbortSignal;
}

/** What a build answers to a question about a folder. */
type Asker = (question: string) => Promise<Asked>;

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
): Promise<{ ask: Asker; passages: readonly Passage[]; close(): Promise<void> }> {
  const { codebase, resources, close } = await build.updateCodebase({ root, folder, encoder });
  const tessera = build.createTessera({ flows: { hybrid: build.hybrid }, resources } as Parameters<
    typeof createTessera
  >[0]);
  const passages = await codebase.passages();
  const ask = async (query: string): Promise<Asked> => {
    const { output } = await tessera.run("hybrid", { query });
    const { citations, refused, text } = output.answer as Answer;
    const hits = (output.hits as Hit[]).map(({ passage }) => passage.source ?? {});
    return { cited: citations.slice(0, 3), refused, text, hits, candidates: () => candidatesOf(resources, query) };
  };
  return {
    ask,
    passages,
    close: async () => {
      await tessera.close();
      await close();
    },
  };
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

type Catalogue = ReadonlyMap<string, { readonly flow: { readonly document: FlowDocument } }>;

/**
 * The flow that `tessera ask` runs where there is no model. Its closer look has no limit of time here, so that a figure
 * does not depend on what else the machine does; within the limit an idle machine looks at all candidates too.
 */
function hybridOf(catalogue: Catalogue): FlowDocument {
  const { document } = catalogue.get("hybrid")!.flow;
  const { closer } = document.nodes;
  if (closer === undefined) return document;
  const patient = { ...closer, with: { ...(closer.with as object), budget: 600_000 } };
  return { ...document, nodes: { ...document.nodes, closer: patient } };
}

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

/** What was found for each question, by the name of who found it. */
interface Found {
  readonly right: Map<string, number[]>;
  /** Of this build. */
  readonly losses: Loss[];
  readonly shows: number[];
  /** Of this build: whether a question about another package was refused. */
  readonly strangers: number[];
}

/** Measures how often one of the first three citations is the place, beside plain BM25 and another build. */
export async function measurePlaces(output: Output, settings: PlacesSettings): Promise<number> {
  const { half, packages: only, against, signal } = settings;
  const set = await readPlaces();
  const builds = new Map<string, Build>([[thisBuild, { updateCodebase, createTessera, hybrid: hybridOf(flows) }]]);
  if (against !== undefined) builds.set("other build", await buildIn(against));
  const found: Found = { right: new Map(), losses: [], shows: [], strangers: [] };
  for (const name of [...builds.keys(), "plain BM25"]) found.right.set(name, []);
  const all = set.questions.filter((one) => one.half === half);
  const chosen = all.filter((one) => only === undefined || only.includes(one.package));
  const asked: PlaceQuestion[] = [];
  for (const [name, pack] of set.packages) {
    signal?.throwIfAborted();
    const questions = chosen.filter((one) => one.package === name);
    if (questions.length === 0) continue;
    const strangers = strangersOf(all, name);
    const root = join(await fetchPackage(name, pack), pack.root);
    await measurePackage(output, { root, questions, strangers, builds, encoder: settings.encoder }, found);
    asked.push(...questions);
    output.progress("packages", asked.length, chosen.length);
  }
  output.clear();
  report(output, asked, found, half);
  return 0;
}

const thisBuild = "this build";

/** As many questions about other projects as there are about this one, spread over the set; copies of a handbook in other languages are no other project. */
function strangersOf(all: readonly PlaceQuestion[], name: string): PlaceQuestion[] {
  const project = (one: string) => one.replace(/^(debian-faq).*/, "$1");
  const others = all.filter((one) => project(one.package) !== project(name));
  const count = all.filter((one) => one.package === name).length;
  return Array.from({ length: Math.min(count, others.length) }, (_, at) => {
    const start = all.findIndex((one) => one.package === name);
    return others[(start + 37 * (at + 1)) % others.length]!;
  });
}

interface Measured {
  readonly root: string;
  readonly questions: readonly PlaceQuestion[];
  readonly strangers: readonly PlaceQuestion[];
  readonly builds: ReadonlyMap<string, Build>;
  readonly encoder?: string | undefined;
}

async function measurePackage(output: Output, measured: Measured, found: Found): Promise<void> {
  const { root, questions, strangers, builds, encoder = defaultEncoder } = measured;
  const folder = await mkdtemp(join(tmpdir(), "tessera-places-"));
  try {
    for (const [index, [build, made]] of [...builds].entries()) {
      const { ask, passages, close } = await askerOf(made, root, join(folder, String(index)), encoder);
      try {
        for (const question of questions) {
          const answered = await ask(question.question);
          const isRight = right(answered.cited, question);
          found.right.get(build)!.push(isRight);
          if (build !== thisBuild) continue;
          const loss = await lossOf(answered, question, passages);
          found.losses.push(loss);
          found.shows.push(Number(await showsPlace(answered.text, question, root, passages)));
          output.line({ id: question.id, build, right: isRight, loss, cited: answered.cited });
        }
        if (build !== thisBuild) continue;
        for (const { question } of strangers) found.strangers.push(Number((await ask(question)).refused));
        const search = plainBm25(passages);
        const plain = found.right.get("plain BM25")!;
        for (const question of questions)
          plain.push(
            right(
              search(question.question).map(({ source = { path: "" } }) => source),
              question,
            ),
          );
      } finally {
        await close();
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function report(
  output: Output,
  asked: readonly PlaceQuestion[],
  { right: found, losses, shows, strangers }: Found,
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
  const interval = (values: readonly number[]) => showInterval(bootstrap([...values]));
  output.say("\nOf this build:");
  output.table(
    ["", "questions", "share"],
    [
      ["the answer shows what the place says", shows.length, interval(shows)],
      ["questions that are refused", losses.length, interval(losses.map((loss) => Number(loss === "refused")))],
      ["questions about other projects that are refused", strangers.length, interval(strangers)],
    ],
  );
  output.say("\nWhere each question ended:");
  output.table(
    ["", "questions"],
    lossKinds.map((kind) => [lossNames[kind], losses.filter((loss) => loss === kind).length]),
  );
  output.line({ metric: "shows", half, ...bootstrap([...shows]) });
  output.line({ metric: "strangers refused", half, ...bootstrap([...strangers]) });
  for (const [name, values] of found)
    output.line({ metric: "place@3", half, build: name, questions: values.length, ...bootstrap(values) });
}
