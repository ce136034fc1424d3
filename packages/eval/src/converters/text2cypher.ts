import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { readPublished, shaped } from "../converter.js";
import { readCsv } from "../csv.js";

/** What a graph holds: the properties of each label, and of each relation's type with the labels that it joins. */
export interface PublishedSchema {
  readonly nodes: Record<string, string[]>;
  readonly relations: Record<string, { properties: string[]; joins: [string, string][] }>;
}

/** A question, the query that a large model wrote for it, and what a real database said of that. */
export interface CypherQuestion {
  readonly question: string;
  readonly cypher: string;
  readonly schema: PublishedSchema;
  readonly parses: boolean;
  /** Whether it names only what the schema has, by those who published it. */
  readonly fitsSchema: boolean;
}

const files = { queries: "text2cypher/queries.csv", schemas: "text2cypher/schemas.csv" };
const flag = z.enum(["True", "False"]);
const query = z.object({
  question: z.string().min(1),
  cypher: z.string(),
  database: z.string(),
  syntax_error: flag,
  false_schema: z.string(),
});
const described = z.object({ database: z.string().min(1), schema: z.string().min(1) });

/** Reads a schema as it is published: labels and types in bold with a list of properties, then a path for each relation. */
function schemaOf(text: string): PublishedSchema {
  const [nodes, relations]: [PublishedSchema["nodes"], PublishedSchema["relations"]] = [{}, {}];
  const relation = (type: string) => {
    relations[type] ??= { properties: [], joins: [] };
    return relations[type];
  };
  let inRelations = false;
  let open: string[] = [];
  for (const line of text.split("\n")) {
    if (/^Relationship properties:/.test(line)) inRelations = true;
    const owner = /^- \*\*(.+)\*\*/.exec(line)?.[1];
    const property = /^\s+- `([^`:]+)/.exec(line)?.[1];
    const path = /^\(:(.+?)\)-\[:(.+?)\]->\(:(.+?)\)/.exec(line);
    if (owner !== undefined) {
      if (!inRelations) nodes[owner] ??= [];
      open = inRelations ? relation(owner).properties : nodes[owner]!;
    } else if (property !== undefined) open.push(property);
    else if (path) {
      const [, from, type, to] = path as unknown as [string, string, string, string];
      nodes[from] ??= [];
      nodes[to] ??= [];
      relation(type).joins.push([from, to]);
    }
  }
  return { nodes, relations };
}

/**
 * Text2Cypher (Neo4j Labs): questions with queries by Claude 3 Opus.
 * @throws TesseraError BAD_SOURCE where a file is missing or shaped otherwise, or a database has no schema.
 */
export async function readText2Cypher(folder: string): Promise<CypherQuestion[]> {
  const read = async (file: string) => readCsv(await readPublished(folder, file));
  const schemas = new Map(
    (await read(files.schemas)).map((row) => {
      const { database, schema } = shaped(described, row, join(folder, files.schemas));
      return [database, schemaOf(schema)];
    }),
  );
  return (await read(files.queries)).map((row) => {
    const path = join(folder, files.queries);
    const { question, cypher, database, syntax_error, false_schema } = shaped(query, row, path);
    const schema = schemas.get(database);
    if (!schema) throw new TesseraError("BAD_SOURCE", `the database "${database}" has no schema`, { path });
    return { question, cypher, schema, parses: syntax_error === "False", fitsSchema: false_schema === "" };
  });
}
