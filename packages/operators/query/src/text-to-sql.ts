// public: textToSql
import {
  ask,
  boundOf,
  type Database,
  declarePrompt,
  fence,
  fenceRule,
  flag,
  type Hit,
  hits,
  type Json,
  type LanguageModel,
  openPrompt,
  operator,
  text,
} from "@tessera/core";
import { asking, clip, messageOf, sha256 } from "@tessera/core/internal";
import { z } from "zod";
import { admittedBy } from "./admitted.js";
import { readStatement } from "./sql-answer.js";
import { refusal } from "./sql-guard.js";

/** Rows as text: a line of columns, and a line for each row. */
function show(rows: readonly { [column: string]: Json }[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const line = (cells: readonly unknown[]) => cells.map((cell) => String(cell ?? "").replace(/\s+/g, " ")).join(" | ");
  return [line(columns), ...rows.map((row) => line(columns.map((column) => row[column])))].join("\n");
}

const asked = declarePrompt({
  name: "query.text-to-sql",
  version: "1",
  text: "You answer questions from a {dialect} database. Write one SELECT statement over the given tables, without comments, and nothing else. It can only read.",
});

/**
 * Query construction, f_qc(q) = q*, q* in SQL (equation 9): a model writes one reading statement for a database whose
 * tables it is shown; the guard refuses whatever does not surely only read; the database runs it. What is refused or
 * fails is shown to the model again, at most `repairs` times. The rows come as values and as one hit whose passage is a
 * table. It may call the functions of the dialect that only read, and those that the database admits. Without a statement that runs, `valid` is false, `error` says why, and there are no rows: the flow goes on.
 */
export const textToSql = operator({
  name: "query.text-to-sql",
  version: 2,
  about: {
    module: "pre-retrieval",
    submodule: "query construction",
    paper: "Modular RAG, operator 13, equation 9",
    summary: "Writes a reading SQL statement for a question, and runs it.",
  },
  config: z.strictObject({
    ...asking,
    /** The name of a "database" resource. */
    database: z.string().min(1),
    repairs: z.int().min(0).max(2).default(2),
    /** The most rows that are read. */
    rows: z.int().positive().default(50),
  }),
  ports: {
    input: { query: text },
    output: { sql: text, valid: flag, rows: z.array(z.record(z.string(), z.any())), hits, error: text.optional() },
  },
  prompts: [asked],
  bound: (config) => boundOf(config, 1 + config.repairs, 4),
  setup: async (config, host) => {
    const instructions = await openPrompt(host, asked);
    const model = await host.resource<LanguageModel>("model", config.model);
    const database = await host.resource<Database>("database", config.database);
    const admitted = admittedBy(database, `database/${config.database}`);
    return async ({ query }, context) => {
      const tables = await database.describe(context.signal);
      const quote = (tag: string, quoted: string) => fence([{ text: clip(quoted, config.characters) }], { tag });
      let prompt = `${quote("tables", tables)}\n${quote("question", query)}`;
      let [sql, error]: [string, string | undefined] = ["", undefined];
      for (let attempt = 0; attempt <= config.repairs; attempt++) {
        const answer = await ask(
          model,
          {
            messages: [
              {
                role: "system",
                content: `${instructions({ dialect: database.dialect })} ${fenceRule}`,
              },
              { role: "user", content: prompt },
            ],
            maxTokens: config.maxTokens,
            temperature: 0,
          },
          context,
        );
        const read = readStatement(answer.text, database.dialect);
        sql = read.sql;
        const reason = sql === "" ? read.error : (refusal(sql, database.dialect, admitted) ?? read.error);
        try {
          if (reason === undefined) {
            const rows = await database.read(sql, config.rows, context.signal);
            const passage = { id: `sql:${sha256(sql).slice(0, 16)}`, text: show(rows), title: sql, metadata: { sql } };
            const found: Hit[] = rows.length === 0 ? [] : [{ passage, score: 1, provenance: [] }];
            return { sql, valid: true, rows, hits: found };
          }
          error = `refused: ${reason}`;
        } catch (thrown) {
          context.signal.throwIfAborted();
          error = messageOf(thrown);
        }
        prompt = `${quote("tables", tables)}\n${quote("question", query)}\n${quote("statement", sql || answer.text)}\n${quote("error", error)}\nThe statement failed. Write it again, right.`;
      }
      return { sql, valid: false, rows: [], hits: [], ...(error !== undefined && { error }) };
    };
  },
});
