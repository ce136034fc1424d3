import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { needs } from "@tessera/testkit";
import fc from "fast-check";
import { readCypher } from "./cypher.js";

const right = [
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
  "MATCH (`odd name`:`Odd Label`) RETURN `odd name`.`odd property`, date().year, duration.between(date(), date()).days",
];

const writes = [
  "CREATE (n:Movie)",
  "MATCH (m:Movie) DELETE m",
  "MATCH (m:Movie) DETACH DELETE m",
  "MATCH (m:Movie) SET m.title = 'x' RETURN m",
  "MATCH (m:Movie) REMOVE m.title RETURN m",
  "MERGE (m:Movie {id: 1}) RETURN m",
  "MATCH (m:Movie) FOREACH (x IN [1] | SET m.a = x)",
  "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
  "CALL db.labels()",
  "CALL apoc.cypher.doIt('x', {}) YIELD value RETURN value",
  "CALL { CREATE (n) RETURN n } RETURN n",
  "MATCH (m:Movie) CALL { WITH m SET m.a = 1 RETURN m AS n } RETURN n",
  "DROP INDEX x",
  "CREATE INDEX FOR (m:Movie) ON (m.title)",
  "CREATE CONSTRAINT FOR (m:Movie) REQUIRE m.id IS UNIQUE",
  "DROP CONSTRAINT x",
  "CREATE DATABASE d",
  "DROP DATABASE d",
  "STOP DATABASE d",
  "START DATABASE d",
  "ALTER DATABASE d SET ACCESS READ ONLY",
  "CREATE USER u SET PASSWORD 'x'",
  "DROP USER u",
  "ALTER USER u SET PASSWORD 'x'",
  "ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'b'",
  "CREATE ROLE r",
  "DROP ROLE r",
  "GRANT ROLE r TO u",
  "REVOKE ROLE r FROM u",
  "DENY WRITE ON GRAPH * TO r",
  "GRANT ALL ON DBMS TO r",
  "CREATE ALIAS a FOR DATABASE d",
  "DROP ALIAS a FOR DATABASE",
  "SHOW USERS",
  "TERMINATE TRANSACTIONS 'x'",
  "USE other MATCH (n) RETURN n",
  "ENABLE SERVER 's'",
  "DEALLOCATE DATABASES FROM SERVER 's'",
  "DRYRUN REALLOCATE DATABASES",
  "MATCH (m:Movie) WITH m CREATE (m)-[:X]->(n) RETURN n",
  "UNWIND [1] AS x MERGE (:N {id: x})",
  "MATCH (m:Movie) RETURN m; MATCH (n) DETACH DELETE n",
  "MATCH (m:Movie) SET m:Old RETURN m",
  "MATCH (m:Movie) SET m += {a: 1} RETURN m",
  "MATCH (m:Movie) REMOVE m:Movie RETURN m",
  "EXPLAIN CREATE (n)",
  "PROFILE MATCH (m) DELETE m",
  "CREATE OR REPLACE DATABASE d",
  "OPTIONAL MATCH (m) DELETE m",
  "MATCH (m) NODETACH DELETE m",
  "INSERT (n:Movie)",
  "RENAME ROLE a TO b",
  "CALL dbms.shutdown()",
  "CALL (m) { DELETE m }",
  "CREATE VECTOR INDEX i FOR (m:Movie) ON (m.v)",
  "MATCH (m:Movie) WHERE EXISTS { MATCH (m) SET m.a = 1 } RETURN m",
  "CREATE FULLTEXT INDEX i FOR (m:Movie) ON EACH [m.title]",
];

const wrong: [string, RegExp][] = [
  ["", /RETURN/],
  ["hello", /no reading clause/],
  ["MATCH (m:Movie)", /ends with RETURN/],
  ["MATCH (m:Movie RETURN m", /not closed/],
  ["MATCH (m:Movie)) RETURN m", /closes nothing/],
  ["MATCH (m:Movie) RETURN", /expression/],
  ["MATCH (m:Movie) WHERE RETURN m", /expression/],
  ["MATCH (m:Movie)-[:X]- RETURN m", /"\("/],
  ["MATCH (m:Movie) RETURN m.title AS", /variable/],
  ["MATCH (m:Movie) RETURN x.title", /"x" is nowhere bound/],
  ["MATCH (m:Movie) WHERE size((m)<-[:RATED]-()) > 3 RETURN m", /COUNT/],
  ["MATCH (m:Movie) RETURN 'open", /cannot read/],
  [`RETURN ${"(".repeat(500)}1${")".repeat(500)}`, /nested/],
  [`RETURN '${"x".repeat(20_000)}'`, /longer/],
];

describe("reading Cypher", () => {
  it.each(right)("takes %s", (query) => {
    expect(readCypher(query)).not.toEqual(expect.any(String));
  });

  it("row 20: text-to-Cypher's reader rejects every kind of write tried, at least 50", () => {
    expect(writes.length).toBeGreaterThanOrEqual(50);
    for (const query of [...writes, ...writes.map((write) => write.toLowerCase())])
      expect([query, typeof readCypher(query)]).toEqual([query, "string"]);
  });

  it.each(wrong)("says what is wrong with %j", (query, reason) => {
    expect(readCypher(query)).toMatch(reason);
  });

  it("notes what a query uses", () => {
    const use = readCypher("MATCH (a:Actor {name: 'x'})-[r:ACTED_IN]->(:Movie) WHERE r.role = 'y' RETURN a.born");
    if (typeof use === "string") throw new Error(use);
    expect([...use.labels]).toEqual(["Actor", "Movie"]);
    expect([...use.types]).toEqual(["ACTED_IN"]);
    expect(use.properties.map(({ property }) => property)).toEqual(["name", "role", "born"]);
    expect([...use.variables.get("r")!]).toEqual(["ACTED_IN"]);
  });

  it("ends soon and with an answer, whatever it is given", () => {
    const word = fc.constantFrom(
      "MATCH",
      "(",
      ")",
      "[",
      "]",
      "{",
      "}",
      "n",
      ":A",
      "-",
      ">",
      "<",
      "RETURN",
      ",",
      "WHERE",
      "1",
      "'x'",
      "|",
      "IN",
      "..",
      "*",
      "CALL",
      ".",
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (words) => {
        const started = performance.now();
        readCypher(words.join(" "));
        expect(performance.now() - started).toBeLessThan(500);
      }),
      { numRuns: 1000 },
    );
    const deep = `MATCH ${"(a {x: [".repeat(40)}1${"]})--()".repeat(40)} RETURN a`;
    const started = performance.now();
    readCypher(deep);
    expect(performance.now() - started).toBeLessThan(500);
  });

  const path = `${process.env.TESSERA_DATA ?? "../../../shared/data"}/text2cypher/queries.csv`;
  const withData = needs(existsSync(path), "TESSERA_DATA has no text2cypher");
  withData("agrees with a real parser on 4,970 queries", () => {
    const table = readFileSync(path, "utf8").matchAll(/("(?:[^"]|"")*"|[^,\r\n]*)(,|\r?\n|$)/g);
    const cells = [...table].map(([, cell, end]) => [cell!.replace(/^"|"$/g, "").replaceAll('""', '"'), end] as const);
    const rows: string[][] = [[]];
    for (const [cell, end] of cells) {
      rows.at(-1)!.push(cell);
      if (end !== ",") rows.push([]);
    }
    const columns = rows[0]!;
    const [cypher, wrong] = [columns.indexOf("cypher"), columns.indexOf("syntax_error")];
    const known = rows.slice(1).filter((row) => row.length === columns.length);
    const good = known.filter((row) => row[wrong] === "False");
    const bad = known.filter((row) => row[wrong] === "True");
    const refused = (list: string[][]) => list.filter((row) => typeof readCypher(row[cypher]!) === "string").length;
    expect(good.length + bad.length).toBe(4970);
    expect(refused(good) / good.length).toBeLessThan(0.002);
    expect(refused(bad) / bad.length).toBeGreaterThan(0.8);
  });
});
