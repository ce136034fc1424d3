import { type DataSet, rankingMeasures } from "@tessera/eval";
import { adaptQuery, dense, supervise } from "@tessera/retriever";
import type { Terminal } from "../../terminal.js";
import { printOutcomes } from "./print.js";
import { atLeast, type StudyOptions, studyContext, withCorpus } from "./resources.js";

/**
 * Learns an adapter from the first 500 questions and their gold passages, and measures retrieval by vectors on the next
 * 500, which it never saw, before and after.
 */
export async function tuning(terminal: Terminal, name: string, data: DataSet, options: StudyOptions): Promise<number> {
  const count = options.limit ?? 500;
  atLeast(count + 1, data.questions.length, "questions");
  const texts = new Map(data.passages.map(({ id, title, text }) => [id, title ? `${title}\n${text}` : text]));
  const learnt = data.questions.slice(0, count);
  const heldOut = data.questions.slice(count, 2 * count);
  const pairs = learnt.map(({ question, gold }) => ({ query: question, positive: texts.get(gold![0]!)! }));
  await withCorpus(terminal, data, options, async (host) => {
    const context = studyContext(options.signal);
    const learn = await supervise.setup(supervise.config.parse({ encoder: "encoder" }), host);
    const { adapter, losses } = await learn({ pairs }, context);
    terminal.say(`loss of the epochs: ${losses.map((loss) => loss.toFixed(3)).join(", ")}\n`);
    const map = await adaptQuery.setup({ encoder: "encoder" }, host);
    const search = await dense.setup(dense.config.parse({ store: "dense", encoder: "encoder", top: 20 }), host);
    const systems = ["before", "after"] as const;
    const outcomes = Object.fromEntries(
      systems.map((system) => [system, { "recall@5": [] as number[], MRR: [] as number[] }]),
    );
    for (const [index, question] of heldOut.entries()) {
      terminal.progress("ask", index, heldOut.length);
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
    terminal.clear();
    printOutcomes(terminal, name, outcomes, "after");
  });
  return 0;
}
