import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { hasPostgres, needs, PostgresServer } from "@tessera/testkit";
import { sqlFunctions } from "./sql-functions.js";
import { refusal } from "./sql-guard.js";
import { SqliteDatabase } from "./sqlite.js";
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

const readings: Record<"postgresql" | "mysql" | "sqlite", string[]> = {
  postgresql: [
    "SELECT count(*) FROM pg_class WHERE now() > now() - interval '7 days'",
    "SELECT jsonb_build_object('a', 1), array_to_string(string_to_array('a,b', ','), ';'), regexp_match('ab', 'a(b)')",
    "SELECT value FROM jsonb_array_elements('[1, 2]'::jsonb)",
    "SELECT relkind, relname, count(*) FROM pg_class GROUP BY ROLLUP (relkind, relname)",
    "SELECT relkind, relname, count(*) FROM pg_class GROUP BY GROUPING SETS ((relkind), (relname), ()), CUBE (relkind)",
    "SELECT mode() WITHIN GROUP (ORDER BY relkind), width_bucket(5, 1, 10, 3) FROM pg_class",
    "WITH a AS (SELECT 1 AS x), b(y) AS (SELECT x + 1 FROM a), c (z, w) AS NOT MATERIALIZED (VALUES (1, 2)) SELECT * FROM b, c",
    "SELECT * FROM (VALUES (1)) v(a), (SELECT 2) AS w(b), generate_series(1, 2) AS g(n)",
    "SELECT merge, replace, upsert FROM (VALUES (1, 2, 3)) AS t(merge, replace, upsert) WHERE merge > 0 ORDER BY replace",
    "SELECT t.update, t.delete, count(t.insert) FROM (VALUES (1, 2, 3)) AS t(update, delete, insert) GROUP BY t.update, t.delete",
    "SELECT 'a%' LIKE 'a\\%' ESCAPE '\\', 'C:\\temp', E'a\\nb'",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FILTER (WHERE x > 1) FROM generate_series(1, 9) x",
    "SELECT date_trunc('month', now()), extract(year FROM now()), to_char(now(), 'YYYY'), age(now(), now()), make_interval(days => 3)",
    "SELECT to_tsvector('english', 'a fat cat') @@ plainto_tsquery('cat'), ts_rank(to_tsvector('a'), to_tsquery('a'))",
    "SELECT row_number() OVER w, lag(x, 1) OVER w FROM generate_series(1, 3) x WINDOW w AS (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    "SELECT random() < 2, gen_random_uuid() IS NOT NULL, jsonb_path_query('[1]', '$[*]'), starts_with('ab', 'a')",
    "SELECT x::numeric(10, 2), CAST(x AS varchar(3)) FROM generate_series(1, 3) x",
    "SELECT oid FROM pg_class TABLESAMPLE SYSTEM (10) ORDER BY oid FETCH FIRST (3) ROWS ONLY",
    "SELECT now() AT TIME ZONE ('UTC'), b FROM XMLTABLE('/a' PASSING ('<a><b>1</b></a>'::xml) COLUMNS b int PATH 'b')",
  ],
  mysql: [
    "SELECT LAST_DAY(d), DAYNAME(d), FIND_IN_SET('a', s), JSON_UNQUOTE(j), SUBSTRING_INDEX(s, ',', 1), UNIX_TIMESTAMP() FROM t",
    "SELECT name FROM t WHERE d > NOW() - INTERVAL 7 DAY AND DATE_SUB(CURDATE(), INTERVAL 1 MONTH) < d",
    "SELECT `name`, GROUP_CONCAT(x ORDER BY x SEPARATOR ', ') FROM `t` GROUP BY `name` WITH ROLLUP",
    "SELECT merge, upsert, truncate FROM t WHERE MATCH (a) AGAINST ('x')",
    "SELECT INSERT('abc', 1, 1, 'x'), REPLACE(a, 'b', 'c'), TIMESTAMPDIFF(DAY, a, b), JSON_TABLE FROM t",
    "SELECT ST_PointFromText('POINT(1 2)'), ST_SwapXY(ST_GeomFromText('POINT(1 2)')), ST_PolyFromText(p), STATEMENT_DIGEST('SELECT 1') FROM t",
    "SELECT * FROM t USE INDEX (i) JOIN u FORCE INDEX FOR ORDER BY (i, j) USING (a)",
    "SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a INT PATH '$')) AS j",
  ],
  sqlite: [
    "SELECT json_group_array(x), hex(x), typeof(x), total(x) FROM (SELECT 1 AS x)",
    "SELECT '50%' LIKE '50\\%' ESCAPE '\\', 'a' GLOB 'a*'",
    "SELECT merge, replace, upsert FROM (SELECT 1 AS merge, 2 AS replace, 3 AS upsert)",
    "SELECT value FROM json_each('[1, 2]')",
    "WITH a AS (SELECT 1 AS x), b(y) AS (SELECT x FROM a) SELECT y FROM b",
    "SELECT strftime('%Y', 'now'), date('now', '-7 days'), unixepoch(), printf('%d', 3), iif(1, 2, 3), instr('ab', 'b')",
  ],
};

describe("functions and names that every business uses", () => {
  it.each(Object.entries(readings).flatMap(([dialect, all]) => all.map((one) => [dialect, one] as const)))(
    "%s: %s",
    (dialect, statement) => {
      expect(refusal(statement, dialect as keyof typeof readings)).toBeUndefined();
    },
  );

  it("SQLite's snippet of full-text search passes", () => {
    expect(
      refusal("SELECT snippet(docs, 0, '<', '>', '…', 9), bm25(docs) FROM docs WHERE docs MATCH 'a'", "sqlite"),
    ).toBeUndefined();
  });

  it("those of SQLite are statements that it runs", async () => {
    const database = await SqliteDatabase.create("CREATE TABLE t (a)");
    for (const statement of readings.sqlite) expect(await database.read(statement, 9)).not.toHaveLength(0);
    await database.close();
  });

  it("a setting admits more, by name and by schema, and nothing else", () => {
    expect(
      refusal("SELECT app.rank_of(1), Similarity(a, 'b') FROM t", "postgresql", ["app.rank_of", "similarity"]),
    ).toBeUndefined();
    expect(refusal("SELECT rank_of(1)", "postgresql", ["app.rank_of"])).toBe("it calls rank_of");
    expect(refusal("SELECT other.rank_of(1)", "postgresql", ["app.rank_of", "rank_of"])).toBe("it calls other.rank_of");
    expect(refusal("DELETE FROM t", "postgresql", ["delete"])).toEqual(expect.any(String));
  });

  const acting = [
    "SELECT DISTINCT ON (a) pg_sleep(a) FROM t",
    "SELECT * FROM evil(1), evil2(y) AS (a int, b text)",
    "SELECT * FROM pg_ls_dir('/') AS f(name)",
    "SELECT txid_current(), pg_current_xact_id()",
    "SELECT table_to_xml('t', true, true, '')",
    "SELECT ts_stat('SELECT 1')",
    "SELECT current_setting('data_directory')",
    "SELECT pg_advisory_lock(1)",
    "SELECT last_insert_id(5)",
    "SELECT optimize(t) FROM t",
    "SELECT randomize(1)",
    "SELECT first(1), next (2)",
    "SELECT 'a' AS fetch, system('ls')",
    "SELECT zone(1), index (2), passing(3)",
    "WITH a AS (MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE) SELECT 1",
    "SELECT 1 FROM t WHERE a IN (DELETE FROM t)",
    "SELECT 'a\\'; DROP TABLE t; --'",
    "SELECT 'a\\', pg_sleep(9), '\\'",
  ];
  it.each(acting)("what acts stays refused: %s", (statement) => {
    for (const dialect of ["postgresql", "mysql", "sqlite"] as const)
      expect(refusal(statement, dialect)).toEqual(expect.any(String));
  });
});

describe("functions of MySQL's source that do more than give a value", () => {
  // of the table in sql/item_create.cc
  const names =
    "benchmark sleep get_lock is_free_lock is_used_lock release_lock release_all_locks load_file last_insert_id master_pos_wait wait_for_executed_gtid_set wait_until_sql_thread_after_gtids roles_graphml found_rows connection_id can_access_table get_dd_column_privileges internal_dd_char_length ps_thread_id source_pos_wait";
  it.each(names.split(" "))("%s is refused", (name) => {
    expect(refusal(`SELECT ${name}(1, 2)`, "mysql")).toBe(`it calls ${name}`);
  });
});

const withPostgres = needs(hasPostgres, "PostgreSQL is not installed");
describe("the functions of PostgreSQL's own catalogue", () => {
  let server: PostgresServer | undefined;
  const ask = (sql: string): string[] => {
    const { stdout, stderr, status } = spawnSync("psql", [server!.url, "-AtqX", "-v", "ON_ERROR_STOP=1", "-c", sql], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    return stdout.split("\n").filter(Boolean);
  };
  beforeAll(async () => {
    if (hasPostgres) server = await PostgresServer.start();
  });
  afterAll(() => server?.remove());

  withPostgres("none that is let through is volatile, but for those that only give another value each time", () => {
    const volatile = new Set(ask("SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v'"));
    const passed = [...sqlFunctions.postgresql].filter((name) => volatile.has(name));
    expect(passed.sort()).toEqual(["clock_timestamp", "gen_random_uuid", "random", "timeofday"]);
  });

  withPostgres("what is documented for everybody is there: of the functions with a description most pass", () => {
    const documented = ask(
      "SELECT DISTINCT proname FROM pg_proc p WHERE prokind IN ('f','a','w') AND provolatile <> 'v' AND proname !~ '^(pg_|has_|inet_|txid_|to_reg|row_sec|ts_|.*_to_xml|current_setting)' AND proname ~ '^(json|jsonb|array|regexp|string|date|to|make|range|xml|percent|regr|width|lower|upper|trim|split|format|now|age|extract)'",
    ).filter(
      (name) =>
        !/(_(in|out|recv|send|accum|final|finalfn|transfn|combine|larger|smaller|typmodin|typmodout|subscript_handler|typanalyze|cmp|eq|ne|lt|le|gt|ge|hash|hash_extended|support|subdiff|canonical|sortsupport|contains|contained|overlap|overlaps)$|^(array|range|date|xml|jsonb?|regexp|string)_?(eq|ne|lt|le|gt|ge|mi|pl|mii|pli|union|minus|intersect|before|after|adjacent|over|contain)|range_|date_(eq|ne|cmp|mi|pl)|regexpeq|json.*(_agg|delete|concat|object_field|array_element|contain|exists|cmp)|xml.*(validate|2)|array_(unnest|in))/.test(
          name,
        ),
    );
    const missing = documented.filter((name) => !sqlFunctions.postgresql.has(name));
    expect(documented.length).toBeGreaterThan(100);
    expect(missing.length / documented.length).toBeLessThan(0.1);
  });

  withPostgres("what passes the guard runs there, also in a transaction that can only read", () => {
    for (const statement of readings.postgresql)
      expect(() => ask(`BEGIN READ ONLY; ${statement}; COMMIT`)).not.toThrow();
  });
});
