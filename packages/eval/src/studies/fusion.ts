import type { Host, Resource, Store } from "@tessera/core";
import { mean } from "@tessera/core/internal";
import { dense, hybrid, sparse } from "@tessera/retriever";
import type { DataSet } from "../data-sets/data-set.js";
import { rankingMeasures } from "../measures/measures.js";
import { chosenOn, type Outcomes, printOutcomes } from "../reports/outcomes.js";
import type { Output } from "../reports/output.js";
import { atLeast, type StudyOptions, studyContext, withCorpus } from "./study.js";

const weights = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const settings = [
  ...[2, 10, 60].flatMap((k) => weights.map((weight) => ({ fusion: "rrf" as const, k, weight }))),
  ...(["weighted", "min-max"] as const).flatMap((fusion) => weights.map((weight) => ({ fusion, k: 60, weight }))),
];

/** A host whose stores answer the same search once; `forget` before the next question. */
function remembering(host: Host): { host: Host; forget: () => void } {
  const answers = new Map<string, ReturnType<Store["search"]>>();
  const remember = (store: Store, name: string): Store => ({
    ...{ revision: store.revision, space: store.space },
    ...{ upsert: () => Promise.resolve(), delete: () => Promise.resolve() },
    search(query, signal) {
      const key = `${name} ${query.top}`;
      const known = answers.get(key) ?? store.search(query, signal);
      answers.set(key, known);
      return known;
    },
  });
  return {
    forget: () => answers.clear(),
    host: {
      async resource<T extends Resource>(kind: string, name: string): Promise<T> {
        const resource = await host.resource<T>(kind, name);
        return kind === "store" ? (remember(resource as unknown as Store, name) as unknown as T) : resource;
      },
    },
  };
}

/**
 * Chooses how words and vectors are fused on every second question, by the mean of recall@5 and MRR, and judges the
 * choice on the others, against the default, fusion by reciprocal rank (k = 60) and both parts alone.
 */
export async function fusion(output: Output, name: string, data: DataSet, options: StudyOptions): Promise<number> {
  const questions = data.questions.filter(({ gold = [] }) => gold.length > 0).slice(0, options.limit);
  atLeast(2, questions.length, "questions with a gold passage");
  await withCorpus(output, data, options, async (own) => {
    const { host, forget } = remembering(own);
    const context = studyContext(options.signal);
    const parts = { sparse: "sparse", dense: "dense", encoder: "encoder", top: 20 };
    const searches = [
      ["words", await sparse.setup(sparse.config.parse({ store: "sparse", top: 50 }), host)] as const,
      [
        "vectors",
        await dense.setup(dense.config.parse({ store: "dense", encoder: "encoder", top: 50 }), host),
      ] as const,
      ["by rank", await hybrid.setup(hybrid.config.parse({ ...parts, fusion: "rrf" }), host)] as const,
      ["default", await hybrid.setup(hybrid.config.parse(parts), host)] as const,
      ...(await Promise.all(
        settings.map(
          async (setting) =>
            [JSON.stringify(setting), await hybrid.setup(hybrid.config.parse({ ...parts, ...setting }), host)] as const,
        ),
      )),
    ];
    const reached = new Map(searches.map(([name]) => [name, { "recall@5": [] as number[], MRR: [] as number[] }]));
    for (const [index, question] of questions.entries()) {
      output.progress("ask", index, questions.length);
      forget();
      for (const [name, search] of searches) {
        const { hits } = await search({ query: question.question }, context);
        const measures = rankingMeasures(
          hits.map(({ passage }) => passage.id),
          question,
        );
        for (const [measure, values] of Object.entries(reached.get(name)!)) values.push(measures[measure]!);
      }
    }
    output.clear();
    const outcomes = Object.fromEntries(reached);
    const names = settings.map((setting) => JSON.stringify(setting));
    const worth = ({ "recall@5": recall, MRR }: Outcomes[string]) => recall!.map((value, i) => value + MRR![i]!);
    const {
      chosen: [chosen = ""],
      development,
      judged,
    } = chosenOn(outcomes, worth, [names]);
    const { "recall@5": recall = [], MRR = [] } = development[chosen]!;
    output.say(`chosen on ${recall.length} other questions, of ${settings.length} settings: ${chosen}`);
    output.say(
      `there its recall@5 is ${mean(recall).toFixed(3)}, its MRR ${mean(MRR).toFixed(3)}; on the judged ones:\n`,
    );
    printOutcomes(
      output,
      name,
      {
        ...Object.fromEntries(["words", "vectors", "by rank", "default"].map((one) => [one, judged[one]!])),
        chosen: judged[chosen]!,
      },
      "chosen",
    );
  });
  return 0;
}
