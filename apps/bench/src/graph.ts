import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Context, Hit, Passage } from "@tessera/core";
import { mean } from "@tessera/core/internal";
import { graphWalk, KnowledgeGraph } from "@tessera/indexer";
import { Bm25Store } from "@tessera/stores";
import type { Report } from "./measure/report.js";
import { milliseconds, percentile } from "./measure/rounds.js";

interface Text {
  readonly title: string;
  readonly text: string;
}
interface Question {
  readonly question: string;
  readonly paragraphs: readonly { title: string; paragraph_text: string; is_supporting: boolean }[];
}

const folder = join(process.env.TESSERA_DATA ?? "../shared/data", "musique");
const keyOf = (title: string, text: string): string => `${title}\n${text}`;

async function read<T>(file: string): Promise<T> {
  // one of the files has NaN where JSON has no number
  return JSON.parse((await readFile(join(folder, file), "utf8")).replace(/: NaN/g, ": null")) as T;
}

/** MuSiQue, 100 questions over 1,890 passages with given triples: all gold passages among the first five. */
export default async function graph(report: Report): Promise<void> {
  let corpus: Text[];
  let questions: Question[];
  let facts: Map<string, string[][]>;
  try {
    corpus = await read("corpus.json");
    questions = await read("questions.json");
    const { docs } = await read<{ docs: (Text & { extracted_triples: string[][] })[] }>("openie.json");
    facts = new Map(docs.map(({ title, text, extracted_triples }) => [keyOf(title, text), extracted_triples]));
  } catch (error) {
    report.miss("MuSiQue", `${(error as Error).message}; set TESSERA_DATA`);
    return;
  }
  const passages = corpus.map(({ title, text }, index): Passage => {
    const triples = (facts.get(keyOf(title, text)) ?? []).filter((fact) => fact.length === 3);
    const named = triples.map(([subject, relation, object]) => ({
      subject: `${subject}`,
      relation: `${relation}`,
      object: `${object}`,
    }));
    return { id: `${index}`, title, text, metadata: { triples: named } };
  });
  const ids = new Map(passages.map(({ id, title = "", text }) => [keyOf(title, text), id]));
  const gold = questions.map(({ paragraphs }) =>
    paragraphs.filter((one) => one.is_supporting).map((one) => ids.get(keyOf(one.title, one.paragraph_text))!),
  );
  const store = new Bm25Store();
  await store.upsert(passages);
  const found = await Promise.all(questions.map(({ question }) => store.search({ text: question, top: 20 })));

  const score = (system: string, lists: readonly (readonly Hit[])[]) => {
    const shares = lists.map((hits, i) => {
      const first = new Set(hits.slice(0, 5).map(({ passage }) => passage.id));
      return gold[i]!.filter((id) => first.has(id)).length / gold[i]!.length;
    });
    report.add(system, "recall@5", mean(shares), "share");
    report.add(system, "all gold in five", mean(shares.map((share) => (share === 1 ? 1 : 0))), "share");
  };
  score("bm25", found);

  const built = new KnowledgeGraph(passages);
  const context: Context = {
    path: "bench",
    signal: new AbortController().signal,
    random: Math.random,
    emit: () => {},
    spend: () => {},
  };
  for (const [system, seeds] of [
    ["walk from the question alone", 0],
    ["walk from the question and bm25", 20],
  ] as const) {
    const config = graphWalk.config.parse({ graph: "musique", seeds });
    const work = await graphWalk.setup(config, { resource: async <T>() => built as T });
    const lists: Hit[][] = [];
    const times: number[] = [];
    for (const [i, { question }] of questions.entries())
      times.push(
        await milliseconds(async () => lists.push((await work({ query: question, hits: found[i]! }, context)).hits)),
      );
    score(system, lists);
    report.add(system, "a walk", percentile(times, 0.5), "ms");
  }
}
