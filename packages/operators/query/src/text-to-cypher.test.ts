import { describe, expect, it } from "@jest/globals";
import type { GraphDatabase } from "@tessera/core";
import { contextOf, hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { readQuery } from "./cypher-answer.js";
import { cypherFault, textToCypher } from "./text-to-cypher.js";

const schema = {
  nodes: { Movie: ["title", "year"], Actor: ["name"] },
  relations: { ACTED_IN: { properties: ["role"], joins: [["Actor", "Movie"]] as [string, string][] } },
};
const config = { model: "main", schema };
const query = "MATCH (a:Actor)-[r:ACTED_IN]->(m:Movie) WHERE r.role = 'Neo' RETURN a.name, m.title";
const run = (script: string[], context = contextOf()) =>
  runOperator(textToCypher, config, { query: "q" }, { host: hostOf({ "model/main": scriptedModel(script) }), context });

testOperator(textToCypher, {
  host: () => hostOf({ "model/main": scriptedModel([`\`\`\`cypher\n${query}\n\`\`\`\nThis finds Neo.`]) }),
  cases: [
    {
      name: "row 20: text-to-Cypher gives a query that parses and uses only the schema",
      config,
      input: { query: "Who plays Neo?" },
      output: { cypher: query, valid: true },
    },
  ],
});

describe("query.text-to-cypher", () => {
  it.each([
    ["MATCH (a:Actors) RETURN a", 'there is no label Actors; did you mean "Actor"?'],
    ["MATCH (a:Actor)-[:ACTS_IN]->(m) RETURN m", 'there is no relation ACTS_IN; did you mean "ACTED_IN"?'],
    ["MATCH (m:Movie) RETURN m.titel", 'Movie has no property titel; did you mean "title"?'],
    ["MATCH (m:Movie {titel: 'x'}) RETURN m", 'Movie has no property titel; did you mean "title"?'],
    ["MATCH (a)-[r:ACTED_IN]->() RETURN r.part", expect.stringContaining("ACTED_IN has no property part")],
    ["MATCH (c:constructor) RETURN c", expect.stringContaining("there is no label constructor")],
    ["MATCH (a:Actor) WHERE a:Director RETURN a", expect.stringContaining("there is no label Director")],
  ])("finds what the schema lacks: %s", (wrong, fault) => {
    expect(cypherFault(wrong, schema)).toEqual(fault);
  });

  it.each([
    "MATCH (m:Movie) RETURN m.title, date().day",
    "MATCH (n) RETURN n.anything",
    "MATCH (x:Movie) WITH x.year AS y RETURN y",
  ])("cannot fault %s", (fine) => expect(cypherFault(fine, schema)).toBeUndefined());

  it("repairs at most twice, and shows the model what was wrong", async () => {
    const model = scriptedModel(["MATCH (m:Film) RETURN m", query]);
    const output = await runOperator(textToCypher, config, { query: "q" }, { host: hostOf({ "model/main": model }) });
    expect(output).toEqual({ cypher: query, valid: true });
    expect(model.requests[1]!.messages[1]!.content).toContain("there is no label Film");
    const context = contextOf();
    expect(await run(["nonsense", "MATCH (m) DELETE m", "", query], context)).toEqual({
      cypher: "",
      valid: false,
      error: expect.stringContaining("RETURN"),
    });
    expect(context.spent.calls).toBe(3);
  });

  const vector = "CALL db.index.vector.queryNodes('i', 5, [1.0]) YIELD node AS m RETURN m";

  it("the graph database admits what is called besides the language's own, and a document admits nothing", async () => {
    const ask = (functions: string[], settings: object = { database: "graph" }) => {
      const graph: GraphDatabase = { revision: "1", functions };
      return runOperator(
        textToCypher,
        { ...config, repairs: 0, ...settings },
        { query: "q" },
        { host: hostOf({ "model/main": scriptedModel([vector]), "graph-database/graph": graph }) },
      );
    };
    expect(await ask(["db.index.vector.queryNodes"])).toEqual({ cypher: vector, valid: true });
    expect(await ask(["db.index.vector.queryNodes"], {})).toMatchObject({ valid: false });
    expect(await ask([])).toMatchObject({ valid: false });
    await expect(ask(["a b"])).rejects.toMatchObject({ code: "BAD_ARGUMENT", path: "graph-database/graph" });
    expect(textToCypher.config.safeParse({ ...config, functions: ["dbms.shutdown"] }).success).toBe(false);
  });

  it("finds the query in what was said", () => {
    expect(readQuery("Here it is: MATCH (m:Movie) RETURN m")).toBe("MATCH (m:Movie) RETURN m");
    expect(readQuery("no query")).toBe("no query");
  });

  const wanted = "MATCH (m:Movie)\nWHERE m.year > 1999\nRETURN m.title";
  it.each([
    `${wanted}\n\nThis will return the titles that match.`,
    `With the graph above, match the movies.\n\n${wanted}`,
    `\`\`\`\n(:Movie {title, year})\n\`\`\`\nthen\n\`\`\`cypher\n${wanted}\n\`\`\``,
    `~~~cypher\n${wanted}\n~~~\nIt can return few.`,
    `\`${wanted.replaceAll("\n", " ")}\``,
    JSON.stringify({ cypher: wanted }),
    `Cypher: ${wanted}`,
    wanted.toLowerCase().replaceAll("movie", "Movie"),
  ])("finds the query in a chatty answer: %j", (answer) => {
    expect(readQuery(answer).replace(/\s+/g, " ").toLowerCase()).toBe(wanted.replace(/\s+/g, " ").toLowerCase());
  });

  it.each([
    "MATCH (m:Movie) DELETE m RETURN 1 AS a",
    "MATCH (m:Movie)\nSET m.title = 'x'\nRETURN 1 AS a",
    "CREATE (n) RETURN 1 AS a",
  ])("reads no part of a query that writes: %j", (answer) => {
    expect(cypherFault(readQuery(answer), schema)).toEqual(expect.any(String));
  });
});
