import { describe, expect, it } from "@jest/globals";
import { refusal } from "./sql-guard.js";
import { guards } from "./writes.js";

const sql = guards.filter(({ language }) => language.startsWith("SQL"));

describe("the read-only guard of SQL", () => {
  it.each(sql.flatMap((guard) => guard.reads.map((statement) => [guard.language, statement, guard] as const)))(
    "%s reads: %s",
    (_, statement, guard) => {
      expect(guard.refusal(statement)).toBeUndefined();
    },
  );

  it("row 19: text-to-SQL's guard rejects every kind of write tried, at least 50, in every dialect", () => {
    expect(sql).toHaveLength(3);
    for (const { writes, refusal, spellings } of sql) {
      expect(new Set(writes).size).toBeGreaterThanOrEqual(100);
      expect(writes.flatMap(spellings).filter((statement) => refusal(statement) === undefined)).toEqual([]);
    }
  });

  it.each([";", "SELECT $1", "TABLE t"])("refuses what is no statement that it knows: %s", (statement) => {
    for (const { refusal } of sql) expect(refusal(statement)).toEqual(expect.any(String));
  });

  it("says why", () => {
    expect(refusal("DROP TABLE t", "sqlite")).toBe("it does not begin with SELECT, WITH or VALUES");
    expect(refusal("SELECT 1; SELECT 2", "sqlite")).toBe("it holds more than one statement");
    expect(refusal("SELECT evil(1)", "sqlite")).toBe("it calls evil");
    expect(refusal("SELECT\u00a01", "sqlite")).toMatch(/character/);
    expect(refusal(`SELECT '${"x".repeat(20_000)}'`, "sqlite")).toMatch(/longer/);
    expect(refusal("", "sqlite")).toMatch(/begin/);
  });
});
