import type { Passage, Store } from "@tessera/core";
import { HashEncoder } from "@tessera/models";
import { Bm25Store, ExactStore } from "@tessera/stores";
import { data } from "./measure/data.js";
import type { Report } from "./measure/report.js";
import { milliseconds } from "./measure/rounds.js";

interface Question {
  readonly question: string;
  readonly gold: number;
}

const depths = [1, 5, 20];

/** How often the gold passage of a question is among the first: Natural Questions, one gold passage a question. */
export default async function nq(report: Report): Promise<void> {
  let corpus: { id: number; title: string; text: string }[];
  let questions: Question[];
  try {
    [corpus, questions] = [data("nq/corpus.json"), data("nq/dev.json")];
  } catch (error) {
    report.miss("bm25", (error as Error).message);
    return;
  }
  const passages = corpus.map(({ id, title, text }): Passage => ({ id: String(id), title, text, metadata: {} }));
  const encoder = new HashEncoder();
  encoder.fit(passages.map(({ title, text }) => `${title}\n${text}`));
  const bm25 = new Bm25Store();
  const exact = new ExactStore({ space: encoder.space(), width: encoder.width });

  const ask: Record<string, (question: string) => ReturnType<Store["search"]>> = {
    bm25: (text) => bm25.search({ text, top: Math.max(...depths) }),
    hash: async (question) => {
      const [vector] = await encoder.encode([question], { kind: "query" });
      return exact.search({ vector, top: Math.max(...depths) });
    },
  };
  report.add("bm25", "index", (await milliseconds(() => bm25.upsert(passages))) / 1000, "s");
  const index = async () =>
    exact.upsert(
      passages,
      await encoder.encode(
        passages.map(({ title, text }) => `${title}\n${text}`),
        { kind: "text" },
      ),
    );
  report.add("hash", "index", (await milliseconds(index)) / 1000, "s");

  report.say(`${questions.length} questions over ${passages.length} passages …`);
  for (const [system, search] of Object.entries(ask)) {
    const ranks: number[] = [];
    const taken = await milliseconds(async () => {
      for (const { question, gold } of questions)
        ranks.push((await search(question)).findIndex((hit) => hit.passage.id === String(gold)));
    });
    for (const depth of depths)
      report.add(
        system,
        `recall@${depth}`,
        ranks.filter((rank) => rank >= 0 && rank < depth).length / questions.length,
        `share of ${questions.length}`,
      );
    report.add(system, "a question", taken / questions.length, "ms");
  }
}
