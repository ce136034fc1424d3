import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { type Converter, readPublished, shaped } from "../converter.js";
import { readCsv } from "../csv.js";

/** What a graph holds: the properties of each label, and of each relation's type with the labels that it joins. */
interface PublishedSchema {
  readonly nodes: Record<string, string[]>;
  readonly relations: Record<string, { properties: string[]; joins: [string, string][] }>;
}

/** A question, the query that a large model wrote for it, and what a real database said of that. */
interface CypherQuestion {
  readonly question: string;
  readonly database: string;
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
    return { question, database, cypher, schema, parses: syntax_error === "False", fitsSchema: false_schema === "" };
  });
}

/** A schema as text: a line for each label with its properties, and for each relation with what it joins. */
const show = ({ nodes, relations }: PublishedSchema): string =>
  [
    ...Object.entries(nodes).map(([label, properties]) => `(:${label} {${properties.join(", ")}})`),
    ...Object.entries(relations).flatMap(([type, { properties, joins }]) =>
      joins.map(([from, to]) => `(:${from})-[:${type} {${properties.join(", ")}}]->(:${to})`),
    ),
  ].join("\n");

/** Text2Cypher: the corpus is the schemas of the databases, and the answer to a question a query over one of them. */
export const text2cypher: Converter = {
  name: "text2cypher",
  about: "Text2Cypher: questions to graph databases, with the schema and a query for each",
  read: async (folder) => {
    const asked = await readText2Cypher(folder);
    const schemas = new Map(asked.map(({ database, schema }) => [database, schema]));
    return {
      passages: [...schemas].map(([id, schema]) => ({ id, title: id, text: show(schema), metadata: {} })),
      questions: asked.map(({ question, database, cypher, parses, fitsSchema }, index) => ({
        id: `${index}`,
        question,
        answers: [cypher],
        gold: [database],
        metadata: { parses, fitsSchema },
      })),
    };
  },
};
