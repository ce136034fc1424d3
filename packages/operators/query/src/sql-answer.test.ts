import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { readStatement } from "./sql-answer.js";
import { refusal } from "./sql-guard.js";
import { guards } from "./writes.js";

const dialects = ["sqlite", "postgresql", "mysql"] as const;
const count = "SELECT count(*) FROM sailing WHERE day = 'x'";

/** Ways to say a statement; what a model adds is prose that is full of the statement's own words. */
const ways: Record<string, (sql: string) => string> = {
  alone: (sql) => sql,
  "with a semicolon": (sql) => `${sql};`,
  "prose after it": (sql) => `${sql};\n\nThis counts the rows, with the values you asked for.`,
  "prose after it, without a semicolon": (sql) => `${sql}\n\nValues are selected from the table with care.`,
  "prose before it": (sql) => `To answer this I start with the sailing table.\n\n${sql}`,
  "prose around it": (sql) => `With these tables, select the rows.\n\n${sql}\n\nWith this you see what you want.`,
  "LangChain's form": (sql) => `Question: how many?\nSQLQuery: ${sql}\nSQLResult: 5\nAnswer: with 5 values`,
  "LangChain's form, in one line": (sql) => `SQLQuery: ${sql} SQLResult: 5 Answer: five`,
  fence: (sql) => `Sure:\n\`\`\`sql\n${sql};\n\`\`\`\nIt selects them with a join.`,
  "fence of another name": (sql) => `\`\`\`sqlite3\n${sql}\n\`\`\``,
  "fence without a name": (sql) => `\`\`\`\n${sql}\n\`\`\``,
  "fence in a line": (sql) => `\`\`\`${sql}\`\`\``,
  "fence of tildes": (sql) => `~~~sql\n${sql}\n~~~`,
  "fence of four": (sql) => `\`\`\`\`PostgreSQL\n${sql}\n\`\`\`\``,
  "fence that is not closed": (sql) => `Here:\n\`\`\`sql\n${sql}`,
  "indented fence": (sql) => `1. Run this:\n\n   \`\`\`sql\n   ${sql}\n   \`\`\`\n`,
  "the schema before it": (sql) =>
    `The table:\n\`\`\`sql\nCREATE TABLE sailing (day text, port text);\n\`\`\`\nThe query:\n\`\`\`sql\n${sql};\n\`\`\``,
  "the schema after it": (sql) => `\`\`\`sql\n${sql};\n\`\`\`\n\`\`\`sql\nCREATE TABLE sailing (day text);\n\`\`\``,
  "the result after it": (sql) => `\`\`\`sql\n${sql}\n\`\`\`\n\`\`\`\nn | day\n5 | x\n\`\`\``,
  "a first try before it": (sql) => `\`\`\`sql\nSELECT 1\n\`\`\`\nNo, rather:\n\`\`\`sql\n${sql}\n\`\`\``,
  "a comment before it": (sql) => `\`\`\`sql\n-- counts with care\n${sql}\n\`\`\``,
  "a comment after it": (sql) => `\`\`\`sql\n${sql} -- that is all\n\`\`\``,
  "a block comment": (sql) => `\`\`\`sql\n/* select the rows */ ${sql}\n\`\`\``,
  "a pair of backticks": (sql) => `\`${sql}\``,
  "a pair of backticks in a sentence": (sql) => `Use \`${sql}\` for that.`,
  JSON: (sql) => JSON.stringify({ sql }),
  "JSON with more": (sql) => JSON.stringify({ thought: "select the rows", query: `${sql};` }),
  "JSON in a fence": (sql) => `\`\`\`json\n${JSON.stringify({ sql }, null, 2)}\n\`\`\``,
  "JSON in prose": (sql) => `Here it is: ${JSON.stringify({ statement: sql })} — enjoy.`,
  tags: (sql) => `<sql>\n${sql}\n</sql>`,
  "a quotation": (sql) => `> ${sql}`,
  "bold label": (sql) => `**SQL query:**\n${sql}`,
  "a label": (sql) => `SQL: ${sql}`,
  "after a colon": (sql) => `Sure! Here is the query: ${sql}`,
};

const statements = [
  "SELECT 1",
  count,
  "select name, length from river where name like 'The %' order by length desc limit 3",
  "SELECT name\nFROM river\nWHERE length > 3\n  AND name <> 'a;b'\nORDER BY length",
  "WITH long AS (SELECT * FROM river WHERE length > 9), b AS (SELECT 2 AS x)\nSELECT * FROM long, b",
  "(SELECT a FROM x) UNION (SELECT b FROM y) ORDER BY 1",
  "SELECT u.name, count(*) AS n FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.name HAVING count(*) > 3",
  "VALUES (1, 'a'), (2, 'b')",
  "SELECT CASE WHEN a > 1 THEN 'with' ELSE 'select' END AS kind FROM t",
  "SELECT (SELECT max(b) FROM s) AS most FROM t WHERE c IN (SELECT c FROM u)",
];

describe("reading a statement out of what a model said", () => {
  it.each(Object.entries(ways))("%s", (_, way) => {
    for (const dialect of dialects)
      for (const sql of statements) {
        const read = readStatement(way(sql), dialect);
        const flat = (text: string) => text.replace(/\s+/g, " ").trim();
        expect([sql, flat(read.sql), read.error]).toEqual([sql, flat(sql), undefined]);
        expect(refusal(read.sql, dialect)).toBeUndefined();
      }
  });

  it.each([
    "I do not know.",
    "",
    "SELECT",
    "Select the longest river from the table.",
    "With these tables I select nothing, since values are missing.",
    "```\n```",
    '{"answer": "none"}',
    "SELECT name FROM",
    "SELECT (1",
    `SELECT '${"x".repeat(30_000)}'`,
  ])("says why where there is none: %j", (answer) => {
    for (const dialect of dialects)
      expect(readStatement(answer, dialect)).toEqual({ sql: "", error: expect.stringMatching(/\w+/) });
  });

  it("refuses as a whole whatever writes, however it is said", () => {
    for (const { language, writes } of guards) {
      const dialect = dialects.find((name) => language === `SQL, ${name}`);
      if (!dialect) continue;
      const passed: string[] = [];
      for (const write of writes)
        for (const [name, way] of Object.entries(ways)) {
          const { sql, error } = readStatement(way(write), dialect);
          // what is run, if anything, is no part of what was written there, unless that part is a comment
          const runs = error === undefined && refusal(sql, dialect) === undefined ? sql : undefined;
          if (runs !== undefined && runs !== "SELECT 1" && !/--|\/\*/.test(write))
            passed.push(`${name}: ${write} → ${runs}`);
        }
      expect(passed).toEqual([]);
    }
  });

  it.each([
    ["DELETE FROM t; SELECT 1 AS a"],
    ["SELECT 1 AS a; DROP TABLE t"],
    ["```sql\nDROP TABLE t;\nSELECT 1 AS a\n```"],
    ["INSERT INTO t SELECT * FROM s"],
    ["WITH x AS (SELECT 1) DELETE FROM t"],
    ["SELECT * FROM t\nFOR UPDATE"],
    ["SELECT *\nINTO s\nFROM t"],
    ["SELECT a FROM t\n\nUPDATE t SET a = 1"],
  ])("%j is not read in part", (answer) => {
    for (const dialect of dialects) {
      const { sql, error } = readStatement(answer, dialect);
      expect(error ?? refusal(sql, dialect)).toEqual(expect.any(String));
    }
  });

  it("ends soon, whatever it is given", () => {
    const word = fc.constantFrom(
      "SELECT",
      "with",
      "values",
      "(",
      ")",
      "a",
      "FROM",
      "t",
      "'",
      "`",
      "```",
      "\n",
      "\n\n",
      ";",
      ".",
      "{",
      "}",
      '"',
      "DELETE FROM",
      "--",
      "/*",
    );
    const started = process.cpuUsage();
    fc.assert(
      fc.property(fc.array(word, { maxLength: 60 }), (parts) => {
        const text = parts.join(" ");
        for (const dialect of dialects) readStatement(text, dialect);
      }),
      { numRuns: 500 },
    );
    for (const many of ["SELECT a FROM t\n", "select ", "`", "```\n", "(", "with a as (", "'"])
      readStatement(many.repeat(Math.floor(19_000 / many.length)), "postgresql");
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(30);
  });
});
