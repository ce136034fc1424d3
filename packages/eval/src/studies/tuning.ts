import { adaptQuery, dense, supervise } from "@tessera/retriever";
import type { ResourceHost } from "@tessera/tessera/internal";
import type { DataSet } from "../data-sets/data-set.js";
import { rankingMeasures } from "../measures/measures.js";
import { type Outcomes, printOutcomes } from "../reports/outcomes.js";
import type { Output } from "../reports/output.js";
import { atLeast, type StudyOptions, studyContext, withCorpus } from "./study.js";

/**
 * Learns an adapter from the first `count` questions and their gold passages, and measures retrieval by vectors on as many
 * others, which it never saw, before and after. `losses` are those of the epochs.
 * @throws TesseraError BAD_SOURCE where there are no questions to judge by.
 */
export async function learnAndMeasure(
  host: ResourceHost,
  data: DataSet,
  count: number,
  { signal, progress }: { signal?: AbortSignal | undefined; progress: (done: number, total: number) => void },
): Promise<{ outcomes: Outcomes; losses: readonly number[] }> {
  const asked = data.questions.filter(({ gold = [] }) => gold.length > 0);
  atLeast(count + 1, asked.length, "questions with a gold passage");
  const texts = new Map(data.passages.map(({ id, title, text }) => [id, title ? `${title}\n${text}` : text]));
  const pairs = asked
    .slice(0, count)
    .map(({ question, gold }) => ({ query: question, positive: texts.get(gold![0]!)! }));
  const heldOut = asked.slice(count, 2 * count);
  const context = studyContext(signal);
  const learn = await supervise.setup(supervise.config.parse({ encoder: "encoder" }), host);
  const { adapter, losses } = await learn({ pairs }, context);
  const map = await adaptQuery.setup({ encoder: "encoder" }, host);
  const search = await dense.setup(dense.config.parse({ store: "dense", encoder: "encoder", top: 20 }), host);
  const systems = ["before", "after"] as const;
  const outcomes = Object.fromEntries(
    systems.map((system) => [system, { "recall@5": [] as number[], MRR: [] as number[] }]),
  );
  for (const [index, question] of heldOut.entries()) {
    progress(index, heldOut.length);
    const query = question.question;
    for (const system of systems) {
      const vector = system === "after" ? (await map({ query, adapter }, context)).vector : undefined;
      const { hits } = await search({ query, vector }, context);
      const measures = rankingMeasures(
        hits.map(({ passage }) => passage.id),
        question,
      );
      for (const [name, values] of Object.entries(outcomes[system]!)) values.push(measures[name]!);
    }
  }
  return { outcomes, losses };
}

/** Prints what an adapter learnt from 500 questions does for 500 others. */
export async function tuning(output: Output, name: string, data: DataSet, options: StudyOptions): Promise<number> {
  await withCorpus(output, data, options, async (host) => {
    const { outcomes, losses } = await learnAndMeasure(host, data, options.limit ?? 500, {
      signal: options.signal,
      progress: (done, total) => output.progress("ask", done, total),
    });
    output.clear();
    output.say(`loss of the epochs: ${losses.map((loss) => loss.toFixed(3)).join(", ")}\n`);
    printOutcomes(output, name, outcomes, "after");
  });
  return 0;
}
