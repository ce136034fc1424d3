// internal: guards
import type { Database } from "@tessera/core";
import { readCypher } from "./cypher.js";
import { refusal } from "./sql-guard.js";

const lines = (text: string): readonly string[] =>
  text
    .trim()
    .split("\n")
    .map((line) => line.trim());

/** Ways to write, to lock, to leave the database or to hide that, in the dialects of SQL that the guard knows. */
const sqlWrites = lines(`
  INSERT INTO t VALUES (1)
  INSERT OR REPLACE INTO t VALUES (1)
  REPLACE INTO t VALUES (1)
  UPDATE t SET a = 1
  UPDATE OR IGNORE t SET a = 1
  DELETE FROM t
  DELETE FROM t RETURNING a
  TRUNCATE t
  TRUNCATE TABLE t CASCADE
  MERGE INTO t USING s ON (t.a = s.a) WHEN MATCHED THEN DELETE
  DROP TABLE t
  DROP DATABASE d
  DROP INDEX i
  DROP VIEW v
  DROP TRIGGER g
  DROP SCHEMA s CASCADE
  CREATE TABLE t (a int)
  CREATE TABLE t AS SELECT 1
  CREATE TEMP TABLE t (a)
  CREATE INDEX i ON t (a)
  CREATE VIEW v AS SELECT 1
  CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END
  CREATE FUNCTION f() RETURNS int AS 'x'
  CREATE EXTENSION dblink
  CREATE USER u
  CREATE ROLE r SUPERUSER
  ALTER TABLE t ADD COLUMN b int
  ALTER TABLE t RENAME TO s
  ALTER USER u PASSWORD 'x'
  ALTER SYSTEM SET a = 1
  RENAME TABLE t TO s
  GRANT ALL ON t TO u
  REVOKE ALL ON t FROM u
  ATTACH DATABASE 'x.db' AS x
  DETACH DATABASE x
  PRAGMA writable_schema = 1
  PRAGMA journal_mode = DELETE
  VACUUM
  VACUUM INTO 'x.db'
  REINDEX t
  ANALYZE
  COPY t FROM '/etc/passwd'
  COPY t TO PROGRAM 'sh'
  LOAD DATA INFILE 'x' INTO TABLE t
  LOAD 'plugin.so'
  CALL p(1)
  EXEC p
  EXECUTE p
  DO $$ BEGIN END $$
  DO sleep(9)
  SET ROLE admin
  SET GLOBAL a = 1
  RESET ALL
  LOCK TABLE t
  LOCK TABLES t WRITE
  UNLOCK TABLES
  BEGIN
  START TRANSACTION
  COMMIT
  ROLLBACK
  SAVEPOINT s
  RELEASE s
  PREPARE p AS DELETE FROM t
  DEALLOCATE p
  DECLARE c CURSOR FOR SELECT 1
  FETCH c
  CLOSE c
  LISTEN c
  NOTIFY c
  CLUSTER t
  CHECKPOINT
  DISCARD ALL
  COMMENT ON TABLE t IS 'x'
  SECURITY LABEL ON TABLE t IS 'x'
  IMPORT FOREIGN SCHEMA s FROM SERVER v INTO t
  HANDLER t OPEN
  FLUSH TABLES
  KILL 1
  SHUTDOWN
  INSTALL PLUGIN p SONAME 'x'
  OPTIMIZE TABLE t
  REPAIR TABLE t
  EXPLAIN ANALYZE DELETE FROM t
  REFRESH MATERIALIZED VIEW v
  REASSIGN OWNED BY a TO b
  SELECT * INTO s FROM t
  SELECT a INTO OUTFILE '/tmp/x' FROM t
  SELECT a INTO DUMPFILE 'x' FROM t
  SELECT a INTO @v FROM t
  SELECT * FROM t FOR UPDATE
  SELECT * FROM t FOR SHARE
  SELECT * FROM t FOR NO KEY UPDATE
  SELECT * FROM t FOR KEY SHARE
  SELECT * FROM t LOCK IN SHARE MODE
  SELECT @a := 1
  WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x
  WITH x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM x
  WITH x AS (UPDATE t SET a = 1 RETURNING a) SELECT a FROM x
  WITH x AS (SELECT 1) DELETE FROM t
  WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x
  WITH x AS (SELECT 1) UPDATE t SET a = 1
  WITH x AS (SELECT 1) REPLACE INTO t SELECT 1
  SELECT 1; DROP TABLE t
  SELECT 1;;DELETE FROM t
  SELECT pg_sleep(10)
  SELECT pg_catalog.pg_sleep(10)
  SELECT "pg_sleep"(10)
  SELECT (pg_sleep)(10)
  SELECT lo_import('/etc/passwd')
  SELECT pg_read_file('x')
  SELECT pg_terminate_backend(1)
  SELECT nextval('s')
  SELECT setval('s', 1)
  SELECT set_config('a', 'b', false)
  SELECT dblink_exec('x', 'DROP TABLE t')
  SELECT query_to_xml('DELETE FROM t', true, true, '')
  SELECT load_extension('x')
  SELECT [load_extension]('x')
  SELECT writefile('x', 'y')
  SELECT readfile('x')
  SELECT edit('x')
  SELECT fts3_tokenizer('a')
  SELECT sleep(10)
  SELECT benchmark(1, 2)
  SELECT get_lock('a', 1)
  SELECT load_file('x')
  SELECT public.lower('x')
  SELECT sys_exec('rm')
  SELECT 1 /*!50000 INTO OUTFILE 'x' */
  SELECT 1 -- x
  SELECT 'a\\' ; DROP TABLE t; -- '
  SELECT 'open
  SELECT [a'] ; DROP TABLE t; --'
  SELECT E'\\'; DROP TABLE t; SELECT '
  SELECT $$a$$; DROP TABLE t`);

const sqlReads = [
  "SELECT 1",
  "select * from users where name = 'O''Brien';",
  "SELECT u.name, count(*) FROM users AS u JOIN orders o ON (o.user_id = u.id) GROUP BY u.name HAVING count(*) > 3",
  "WITH recent AS (SELECT * FROM orders WHERE day > date('now')) SELECT sum(total) FROM recent",
  "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t",
  "(SELECT a FROM x) UNION (SELECT b FROM y) ORDER BY 1 LIMIT 10 OFFSET 5",
  "SELECT replace(name, 'a', 'b'), CAST(x AS decimal(10, 2)) FROM t WHERE y IN (1, 2) AND NOT (z)",
  "SELECT rank() OVER (PARTITION BY city ORDER BY pay DESC) FROM staff",
  "SELECT CASE WHEN (a > 1) THEN 'insert; drop table x' ELSE \"update\" END FROM t",
  "SELECT EXISTS (SELECT 1 FROM t) AS there, substr(name, 1, 3) FROM t WHERE name LIKE '%--%'",
  "VALUES (1, 'a'), (2, 'b')",
  "SELECT lock, key FROM t WHERE lock IN (1, 2) AND (key) IN (SELECT key FROM s)",
];

/** Ways to write, to administrate or to leave the database, in Cypher. */
const cypherWrites = lines(`
  CREATE (n:Movie)
  MATCH (m:Movie) DELETE m
  MATCH (m:Movie) DETACH DELETE m
  MATCH (m:Movie) SET m.title = 'x' RETURN m
  MATCH (m:Movie) REMOVE m.title RETURN m
  MERGE (m:Movie {id: 1}) RETURN m
  MATCH (m:Movie) FOREACH (x IN [1] | SET m.a = x)
  LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line
  CALL db.labels()
  CALL apoc.cypher.doIt('x', {}) YIELD value RETURN value
  CALL { CREATE (n) RETURN n } RETURN n
  MATCH (m:Movie) CALL { WITH m SET m.a = 1 RETURN m AS n } RETURN n
  DROP INDEX x
  CREATE INDEX FOR (m:Movie) ON (m.title)
  CREATE CONSTRAINT FOR (m:Movie) REQUIRE m.id IS UNIQUE
  DROP CONSTRAINT x
  CREATE DATABASE d
  DROP DATABASE d
  STOP DATABASE d
  START DATABASE d
  ALTER DATABASE d SET ACCESS READ ONLY
  CREATE USER u SET PASSWORD 'x'
  DROP USER u
  ALTER USER u SET PASSWORD 'x'
  ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'b'
  CREATE ROLE r
  DROP ROLE r
  GRANT ROLE r TO u
  REVOKE ROLE r FROM u
  DENY WRITE ON GRAPH * TO r
  GRANT ALL ON DBMS TO r
  CREATE ALIAS a FOR DATABASE d
  DROP ALIAS a FOR DATABASE
  SHOW USERS
  TERMINATE TRANSACTIONS 'x'
  USE other MATCH (n) RETURN n
  ENABLE SERVER 's'
  DEALLOCATE DATABASES FROM SERVER 's'
  DRYRUN REALLOCATE DATABASES
  MATCH (m:Movie) WITH m CREATE (m)-[:X]->(n) RETURN n
  UNWIND [1] AS x MERGE (:N {id: x})
  MATCH (m:Movie) RETURN m; MATCH (n) DETACH DELETE n
  MATCH (m:Movie) SET m:Old RETURN m
  MATCH (m:Movie) SET m += {a: 1} RETURN m
  MATCH (m:Movie) REMOVE m:Movie RETURN m
  EXPLAIN CREATE (n)
  PROFILE MATCH (m) DELETE m
  CREATE OR REPLACE DATABASE d
  OPTIONAL MATCH (m) DELETE m
  MATCH (m) NODETACH DELETE m
  INSERT (n:Movie)
  RENAME ROLE a TO b
  CALL dbms.shutdown()
  RETURN apoc.cypher.runFirstColumnSingle('CREATE (n) RETURN n', {})
  MATCH (m:Movie) WHERE apoc.util.sleep(1) RETURN m
  RETURN genai.vector.encode('x', 'OpenAI')
  RETURN custom.write()
  RETURN write()
  CALL (m) { DELETE m }
  CREATE VECTOR INDEX i FOR (m:Movie) ON (m.v)
  MATCH (m:Movie) WHERE EXISTS { MATCH (m) SET m.a = 1 } RETURN m
  CREATE FULLTEXT INDEX i FOR (m:Movie) ON EACH [m.title]`);

const cypherReads = [
  "MATCH (m:Movie) RETURN m.title ORDER BY m.year DESC SKIP 2 LIMIT 5;",
  "MATCH (a:Actor {name: 'Tom \\'T\\' Hanks'})-[r:ACTED_IN {role: $role}]->(m:Movie)<-[:DIRECTED]-(:Director) RETURN r, m",
  "match p = shortestPath((a:Actor)-[:ACTED_IN|DIRECTED*1..4]-(b:Actor)) where a <> b return length(p)",
  "MATCH (m:Movie)-[:IN_GENRE*..3]->()--(:User|Actor&!Director) WHERE NOT (m)<-[:RATED]-() AND m.year IN [1, 2] RETURN *",
  "MATCH (m:Movie) WITH m, count(*) AS n WHERE n > 1 OPTIONAL MATCH (m)-->(g:Genre) RETURN DISTINCT g.name AS genre, n",
  "UNWIND [1, 2, 3] AS x RETURN [y IN [x] WHERE y > 1 | y ^ 2] AS squares, reduce(s = 0, z IN [x] | s + z) AS total",
  "MATCH (m:Movie) RETURN [(m)-[:IN_GENRE]->(g:Genre) WHERE g.name STARTS WITH 'A' | g.name] AS genres, m {.title, .*, year: 1}",
  "MATCH (m:Movie) WHERE EXISTS { (m)<-[:RATED]-(u:User) WHERE u.name = 'x' } AND all(c IN m.countries WHERE c =~ 'U.*') RETURN m",
  "MATCH (m:Movie) WHERE EXISTS { MATCH (m)<-[r:RATED]-() WITH m, count(r) AS n WHERE n >= 10 } RETURN m",
  "MATCH (m) WHERE m:Movie AND m.plot IS NOT NULL RETURN CASE m.year WHEN 1999 THEN 'old' ELSE 'new' END AS age, COUNT { (m)--() } AS n",
  "MATCH (m:Movie) CALL { WITH m MATCH (m)<-[r:RATED]-() RETURN avg(r.rating) AS stars } RETURN m.title, stars // why not",
  "RETURN 1 AS a UNION ALL RETURN 2 AS a",
  "MATCH (m:Movie) WHERE toLower(m.title) STARTS WITH 'a' RETURN avg(m.year), collect(DISTINCT left(m.title, 3)), coalesce(max(m.year), 0)",
  "MATCH (`odd name`:`Odd Label`) RETURN `odd name`.`odd property`, date().year, duration.between(date(), date()).days",
];

/** A guard, what it must refuse and what it must let pass: what its tests and `tessera eval guards` try. */
export interface Guard {
  readonly language: string;
  /** Why a statement is refused; `undefined` where it only reads. */
  readonly refusal: (statement: string) => string | undefined;
  readonly writes: readonly string[];
  readonly reads: readonly string[];
  /** Other spellings of a statement that mean the same. */
  readonly spellings: (statement: string) => readonly string[];
}

const dialects: readonly Database["dialect"][] = ["sqlite", "postgresql", "mysql"];

/** The guards between a model's statement and a database: one a dialect of SQL, and the reader of Cypher. */
export const guards: readonly Guard[] = [
  ...dialects.map((dialect) => ({
    language: `SQL, ${dialect}`,
    refusal: (statement: string) => refusal(statement, dialect),
    // # begins a comment in MySQL alone; elsewhere it is an operator
    writes: dialect === "mysql" ? [...sqlWrites, "SELECT 1 # x"] : sqlWrites,
    reads: sqlReads,
    spellings: (statement: string) => [statement, statement.toLowerCase(), ` \n( ${statement} ;`],
  })),
  {
    language: "Cypher",
    refusal(statement) {
      const read = readCypher(statement);
      return typeof read === "string" ? read : undefined;
    },
    writes: cypherWrites,
    reads: cypherReads,
    spellings: (statement) => [statement, statement.toLowerCase()],
  },
];
