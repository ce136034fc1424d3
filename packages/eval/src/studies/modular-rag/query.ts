import type { LanguageModel } from "@tessera/core";
import { textToCypher, textToSql } from "@tessera/query";
import { referencesIn } from "@tessera/query/internal";
import { plan } from "@tessera/router";
import { ResourceHost } from "@tessera/tessera/internal";
import { converters } from "../../data-sets/converters/catalogue.js";
import { readText2Cypher } from "../../data-sets/converters/text2cypher.js";
import { studyContext } from "../study.js";
import type { RowCheck } from "./check.js";
import { geographyHost, questions as sqlQuestions } from "./geography.js";

interface Step {
  readonly question: string;
  readonly answer: string;
}

/** Whether a decomposition is asked in the right waves, each question with the given answers in place of "#1". */
async function replayed(steps: readonly Step[], signal: AbortSignal): Promise<{ right: boolean; waves: number }> {
  const schedule = await plan.setup({}, new ResourceHost({}));
  const context = studyContext(signal);
  const questions = steps.map(({ question }) => question);
  const filled = questions.map((question) =>
    question.replace(/#(\d+)/g, (mark, digits) => steps[Number(digits) - 1]?.answer ?? mark),
  );
  const wave = questions.map(() => 0);
  for (const [index, question] of questions.entries())
    wave[index] = Math.max(0, ...referencesIn(question).map((to) => (wave[to - 1] ?? -1) + 1));
  const wanted = Array.from({ length: Math.max(...wave) + 1 }, (_, at) => filled.filter((_, i) => wave[i] === at));
  const asked: string[][] = [];
  let turn = await schedule({ questions }, context);
  while (!turn.done) {
    asked.push(turn.next);
    const at = asked.length - 1;
    const answers = [...questions.keys()].filter((i) => wave[i] === at).map((i) => steps[i]!.answer);
    if (answers.length !== turn.next.length) break;
    turn = await schedule({ questions, state: turn.state, answers }, context);
  }
  return { right: JSON.stringify(asked) === JSON.stringify(wanted), waves: asked.length };
}

/** Row 14: the gold decompositions of MuSiQue, and those of StrategyQA, which have no answers to their steps. */
const decompositions: RowCheck = {
  row: 14,
  about: "gold decompositions replayed",
  async measure({ folder, limit, signal }) {
    const read = async (name: string) =>
      (await converters.get(name)!.read(folder)).questions
        .slice(0, limit)
        .map(({ metadata }) =>
          (metadata!.decomposition as (string | { question: string; answer: string })[]).map((step, index) =>
            typeof step === "string" ? { question: step, answer: `answer ${index + 1}` } : step,
          ),
        );
    const figures = [];
    for (const name of ["musique", "strategyqa"]) {
      const outcomes = [];
      for (const steps of await read(name)) outcomes.push(await replayed(steps, signal));
      figures.push(
        {
          what: `${name}: independent steps at once, "#1" in turn with its answer in place`,
          values: outcomes.map(({ right }) => Number(right)),
          exactly: 1,
        },
        { what: `${name}: waves of a question`, values: outcomes.map(({ waves }) => waves) },
      );
    }
    return figures;
  },
};

const sameRows = (left: readonly object[], right: readonly object[]): boolean => {
  const multiset = (rows: readonly object[]) =>
    JSON.stringify(rows.map((row) => JSON.stringify(Object.values(row))).sort());
  return multiset(left) === multiset(right);
};

/** Row 19: whether the rows that a model's statement gives are those of the statement written by hand. */
const executions: RowCheck = {
  row: 19,
  about: "text-to-SQL on a database made here",
  async measure({ limit, signal, progress, model }) {
    const language = model();
    const country = await geographyHost(language);
    try {
      // the longest statement by hand has 120 characters
      const settings = textToSql.config.parse({ model: "model", database: "database", maxTokens: 96 });
      const ask = await textToSql.setup(settings, country.host);
      const asked = sqlQuestions.slice(0, limit);
      const [right, ran]: [number[], number[]] = [[], []];
      for (const [index, { question, sql }] of asked.entries()) {
        progress(index, asked.length);
        const { valid, rows } = await ask({ query: question }, studyContext(signal));
        ran.push(Number(valid));
        right.push(Number(valid && sameRows(rows, await country.database.read(sql, 50, signal))));
      }
      return [
        { what: "statements that ran, after two repairs at most", values: ran },
        { what: `execution accuracy of ${language.revision}`, values: right },
      ];
    } finally {
      await country.close();
    }
  },
};

/** A language model that says one thing: what another model said of a question when the data was made. */
const recorded = (text: string): LanguageModel => ({
  revision: "recorded",
  capabilities: new Set(),
  async *generate() {
    yield { text, finish: "stop", usage: { prompt: 0, completion: 0 } };
  },
});

/** Row 20: what Claude 3 Opus wrote when the data was made, 200 of it by turns; and what the model writes, if there is one. */
const cyphers: RowCheck = {
  row: 20,
  about: "text-to-Cypher",
  async measure({ folder, limit = 200, signal, progress, model }) {
    const all = await readText2Cypher(folder);
    const judge = async ({ question, schema }: (typeof all)[number], language: LanguageModel, repairs: number) => {
      const host = new ResourceHost({ model: { model: () => language } });
      const write = await textToCypher.setup(textToCypher.config.parse({ model: "model", schema, repairs }), host);
      return Number((await write({ query: question }, studyContext(signal))).valid);
    };
    const good = all.filter(({ parses, fitsSchema }) => parses && fitsSchema);
    const bad = all.filter(({ parses, fitsSchema }) => parses && !fitsSchema);
    const sample = good
      .filter((_, index) => index % Math.max(1, Math.floor(good.length / limit)) === 0)
      .slice(0, limit);
    const accepted: number[] = [];
    for (const item of sample) accepted.push(await judge(item, recorded(item.cypher), 0));
    const refused: number[] = [];
    for (const item of bad) refused.push(1 - (await judge(item, recorded(item.cypher), 0)));
    const figures = [
      { what: "recorded queries that a database ran: parsed, and found to use only the schema", values: accepted },
      { what: "recorded queries that name what the schema lacks: refused", values: refused },
    ];
    let language: LanguageModel;
    try {
      language = model();
    } catch {
      return figures;
    }
    const valid: number[] = [];
    for (const [index, item] of sample.entries()) {
      progress(index, sample.length);
      valid.push(await judge(item, language, 2));
    }
    return [...figures, { what: `queries of ${language.revision} that parse and use only the schema`, values: valid }];
  },
};

export const query: readonly RowCheck[] = [decompositions, executions, cyphers];
