import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Hit } from "@tessera/core";
import { contextOf, hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { SqliteDatabase } from "./sqlite.js";
import { textToSql } from "./text-to-sql.js";

const tables = `
CREATE TABLE river (name TEXT PRIMARY KEY, length INTEGER);
INSERT INTO river VALUES ('Elbe', 1094), ('Rhine', 1233), ('Spree', 400);
CREATE TABLE city (name TEXT, river TEXT REFERENCES river (name));
INSERT INTO city VALUES ('Dresden', 'Elbe'), ('Cologne', 'Rhine');`;

let database: SqliteDatabase;
beforeAll(async () => {
  database = await SqliteDatabase.create(tables);
});
afterAll(() => database.close());

const host = (script: string[]) => hostOf({ "model/main": scriptedModel(script), "database/geo": database });
const config = { model: "main", database: "geo" };
const longest = "SELECT name, length FROM river ORDER BY length DESC LIMIT 1";

testOperator(textToSql, {
  host: () => host([`Sure:\n\`\`\`sql\n${longest};\n\`\`\``]),
  cases: [
    {
      name: "row 19: text-to-SQL runs on a real database",
      config,
      input: { query: "Which river is the longest?" },
      output: (output) => {
        expect(output).toMatchObject({ sql: longest, valid: true, rows: [{ name: "Rhine", length: 1233 }] });
        expect((output.hits as Hit[])[0]!.passage.text).toBe("name | length\nRhine | 1233");
      },
    },
  ],
});

describe("query.text-to-sql", () => {
  const run = (script: string[], settings: object = {}) =>
    runOperator(textToSql, { ...config, ...settings }, { query: "q" }, { host: host(script) });

  it("row 19: text-to-SQL's repair loop runs at most twice", async () => {
    const bad = "SELECT nothing FROM river";
    expect(await run([bad, "DROP TABLE river", longest])).toMatchObject({ valid: true, sql: longest });
    const context = contextOf();
    const failed = await runOperator(
      textToSql,
      config,
      { query: "q" },
      { host: host([bad, bad, bad, longest]), context },
    );
    expect(failed).toMatchObject({ valid: false, rows: [], hits: [], error: expect.stringMatching(/nothing/) });
    expect(context.spent.calls).toBe(3);
  });

  it("shows the model the tables, and what was wrong", async () => {
    const model = scriptedModel(["DELETE FROM river", longest]);
    await runOperator(
      textToSql,
      config,
      { query: "q" },
      { host: hostOf({ "model/main": model, "database/geo": database }) },
    );
    const [first, second] = model.requests.map(({ messages }) => messages[1]!.content);
    expect(first).toContain("CREATE TABLE river (name TEXT PRIMARY KEY");
    expect(first).not.toContain("<error-");
    expect(second).toContain("DELETE FROM river");
    expect(second).toContain("refused: it does not begin with SELECT");
  });

  it.each(["", "I do not know.", "```\n```", "SELECT"])(
    "nonsense, %j, is no statement, and the flow goes on",
    async (answer) => {
      expect(await run([answer], { repairs: 0 })).toMatchObject({ valid: false, rows: [] });
    },
  );

  it("reads no more rows than it may", async () => {
    expect((await run(["SELECT name FROM river"], { rows: 2 })).rows).toHaveLength(2);
  });

  it("the database admits more functions, by name and schema", async () => {
    const total = "SELECT app.rank_of(name) FROM river";
    expect(await run([total], { repairs: 0 })).toMatchObject({ valid: false, error: "refused: it calls app.rank_of" });
    // SQLite has no such function: it was asked
    const admitting = (functions: string[]) => ({
      dialect: database.dialect,
      revision: database.revision,
      functions,
      describe: () => database.describe(),
      read: (statement: string, rows: number) => database.read(statement, rows),
    });
    const runOn = (functions: string[]) =>
      runOperator(
        textToSql,
        { ...config, repairs: 0 },
        { query: "q" },
        { host: hostOf({ "model/main": scriptedModel([total]), "database/geo": admitting(functions) }) },
      );
    expect(await runOn(["app.rank_of"])).toMatchObject({ valid: false, error: expect.not.stringMatching(/refused/) });
    await expect(runOn(["a; b"])).rejects.toMatchObject({ code: "BAD_ARGUMENT", path: "database/geo" });
  });

  it("a document admits no function", () => {
    expect(textToSql.config.safeParse({ ...config, functions: ["pg_read_file"] }).success).toBe(false);
  });
});

describe("SqliteDatabase", () => {
  it("cannot be written to, even past the guard", async () => {
    await expect(database.read("DELETE FROM river", 9)).rejects.toMatchObject({ code: "STORE_FAILED" });
    expect(await database.read("SELECT count(*) AS n FROM river", 9)).toEqual([{ n: 3 }]);
  });

  it("ends a statement that takes too long, or is aborted, and answers the next", async () => {
    const endless = "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t";
    const impatient = await SqliteDatabase.create(tables, { timeoutMs: 1000 });
    await expect(impatient.read(endless, 1)).rejects.toMatchObject({
      code: "STORE_FAILED",
      message: expect.stringContaining("1000 ms"),
    });
    expect(await impatient.read("SELECT 1 AS one", 9)).toEqual([{ one: 1 }]);
    const controller = new AbortController();
    const aborted = database.read(endless, 1, controller.signal);
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    expect(await database.read("SELECT 1 AS one", 9)).toEqual([{ one: 1 }]);
    // those that wait behind one that is ended are none the worse
    const [late, next] = await Promise.allSettled([impatient.read(endless, 1), impatient.read("SELECT 2 AS two", 9)]);
    expect(late.status).toBe("rejected");
    expect(next).toEqual({ status: "fulfilled", value: [{ two: 2 }] });
    await impatient.close();
    await expect(impatient.read("SELECT 1", 1)).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("a file that is not there, or no database, is an error", async () => {
    expect(() => SqliteDatabase.open("/no/such/file.db")).toThrow(expect.objectContaining({ code: "STORE_FAILED" }));
    const broken = new SqliteDatabase(new TextEncoder().encode("no database ".repeat(200)));
    await expect(broken.describe()).rejects.toMatchObject({ code: "STORE_FAILED" });
    await broken.close();
    await expect(SqliteDatabase.create("CREATE TABLE (")).rejects.toMatchObject({ code: "STORE_FAILED" });
  });
});
