import { flows as catalogue } from "@tessera/flows";
import { compile } from "@tessera/graph";
import { SqliteDatabase } from "@tessera/query";
import { operators } from "@tessera/tessera";
import { ResourceHost } from "@tessera/tessera/internal";
import { containsAnswer } from "../../measures/answers.js";
import type { RowCheck } from "./check.js";
import { decisions, geography } from "./geography.js";

/** Row 56: PlanRAG on five questions that need several statements, over a database made here. */
const planning: RowCheck = {
  row: 56,
  about: "PlanRAG on SQLite",
  async measure({ limit, signal, progress, model }) {
    const language = model();
    const database = await SqliteDatabase.create(geography, { timeoutMs: 60_000 });
    try {
      const host = new ResourceHost({ model: { model: () => language }, database: { database: () => database } });
      const flow = await compile(catalogue.get("planrag")!.flow.document, { operators, host });
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
      await database.close();
    }
  },
};

export const flows: readonly RowCheck[] = [planning];
