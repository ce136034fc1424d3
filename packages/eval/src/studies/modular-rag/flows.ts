import { flows as catalogue } from "@tessera/flows";
import { compile } from "@tessera/graph";
import { operators } from "@tessera/tessera";
import { containsAnswer } from "../../measures/answers.js";
import type { RowCheck } from "./check.js";
import { decisions, geographyHost } from "./geography.js";

/** Row 56: PlanRAG on five questions that need several statements, over a database made here. */
const planning: RowCheck = {
  row: 56,
  about: "PlanRAG on SQLite",
  async measure({ limit, signal, progress, model }) {
    const language = model();
    const country = await geographyHost(language);
    try {
      const flow = await compile(catalogue.get("planrag")!.flow.document, { operators, host: country.host });
      const asked = decisions.slice(0, limit);
      const [right, plans]: [number[], number[]] = [[], []];
      for (const [index, { question, answer }] of asked.entries()) {
        progress(index, asked.length);
        const { output } = await flow.run({ query: question } as never, { signal });
        const { text, turns } = output as { text: string; turns: number };
        right.push(containsAnswer(text, [answer]));
        plans.push(turns);
      }
      return [
        { what: `questions that ${language.revision} answers rightly`, values: right },
        { what: "plans of a question", values: plans, most: 3 },
      ];
    } finally {
      await country.close();
    }
  },
};

export const flows: readonly RowCheck[] = [planning];
