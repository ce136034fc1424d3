import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { needs } from "@tessera/testkit";
import fc from "fast-check";
import { readCypher } from "./cypher.js";
import { guards } from "./writes.js";

const { reads, writes, spellings } = guards.find(({ language }) => language === "Cypher")!;

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
  it.each(reads)("takes %s", (query) => {
    expect(readCypher(query)).not.toEqual(expect.any(String));
  });

  it("row 20: text-to-Cypher's reader rejects every kind of write tried, at least 50", () => {
    expect(writes.length).toBeGreaterThanOrEqual(50);
    for (const query of writes.flatMap(spellings)) expect([query, typeof readCypher(query)]).toEqual([query, "string"]);
  });

  it.each([
    "MATCH (a:Movie)-[:NEXT]->{1,3}(b:Movie) RETURN b",
    "MATCH (a)-[:NEXT]->+(b) RETURN b",
    "MATCH (a) ((x)-[:NEXT]->(y) WHERE x.year < y.year){,3} (b) RETURN b",
    "MATCH p = ((a)-[:NEXT]-(b)){2} RETURN p",
    "MATCH (m) WHERE m.flags = 0x1F AND m.mode = 0o17 RETURN 1_000",
    "MATCH (merge:Movie) RETURN merge.title ORDER BY merge.year",
    "MATCH (m) WITH m AS set, m.x AS delete WHERE set.title = delete RETURN set, delete",
    "MATCH (m) RETURN m.merge, m.delete, m.set AS create",
  ])("takes quantifiers, numbers of other bases, and variables named like clauses: %s", (query) => {
    expect(readCypher(query)).not.toEqual(expect.any(String));
  });

  it.each([
    "MATCH (merge) MERGE (merge) RETURN merge",
    "MATCH (delete) DELETE delete",
    "MATCH (delete) RETURN delete DELETE delete",
    "MATCH (set) SET set.a = 1 RETURN set",
    "MATCH (a)-[:X]->{1,(CREATE (n))}(b) RETURN b",
  ])("a variable of that name lets no clause through: %s", (query) => {
    expect(readCypher(query)).toEqual(expect.any(String));
  });

  it("calls functions and procedures of others where a setting admits them, and only those", () => {
    const vector = "CALL db.index.vector.queryNodes('i', 5, $v) YIELD node AS m, score MATCH (m)--(g) RETURN g, score";
    expect(readCypher(vector)).toEqual(expect.any(String));
    expect(readCypher(vector, ["db.index.vector.queryNodes"])).not.toEqual(expect.any(String));
    expect(readCypher("RETURN apoc.text.join(['a'], ',')", ["apoc.text.join"])).not.toEqual(expect.any(String));
    expect(readCypher("CALL db.index.fulltext.queryNodes('i', 'x') YIELD node RETURN node", ["db.labels"])).toEqual(
      expect.any(String),
    );
    expect(readCypher("CALL dbms.shutdown()", ["dbms"])).toEqual(expect.any(String));
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

  const path = `${process.env.TESSERA_DATA ?? "../../../../shared/data"}/text2cypher/queries.csv`;
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
