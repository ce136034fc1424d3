// public: textToCypher
import {
  ask,
  boundOf,
  declarePrompt,
  fence,
  fenceRule,
  flag,
  type GraphDatabase,
  type LanguageModel,
  openPrompt,
  operator,
  text,
} from "@tessera/core";
import { asking, clip, didYouMean } from "@tessera/core/internal";
import { z } from "zod";
import { admittedBy } from "./admitted.js";
import { readCypher } from "./cypher.js";
import { readQuery } from "./cypher-answer.js";
import { type GraphSchema, graphSchema, showGraph } from "./graph-schema.js";

/** What is wrong with a Cypher query, or `undefined` where it only reads and names nothing that the schema lacks. */
export function cypherFault(query: string, schema: GraphSchema, admitted: readonly string[] = []): string | undefined {
  const use = readCypher(query, admitted);
  if (typeof use === "string") return use;
  const missing = (kind: string, names: Iterable<string>, known: object) => {
    for (const name of names)
      if (!Object.hasOwn(known, name)) return `there is no ${kind} ${name}; ${didYouMean(name, Object.keys(known))}`;
    return undefined;
  };
  const fault = missing("label", use.labels, schema.nodes) ?? missing("relation", use.types, schema.relations);
  if (fault) return fault;
  for (const { owner, property } of use.properties) {
    const bound = [...(use.variables.get(owner) ?? [])];
    const own = bound.flatMap((name) => [
      ...(Object.hasOwn(schema.nodes, name) ? schema.nodes[name]! : []),
      ...(Object.hasOwn(schema.relations, name) ? schema.relations[name]!.properties : []),
    ]);
    if (bound.length > 0 && !own.includes(property))
      return `${bound.join(" and ")} has no property ${property}; ${didYouMean(property, own)}`;
  }
  return undefined;
}

const asked = declarePrompt({
  name: "query.text-to-cypher",
  version: "1",
  text: "You answer questions from a graph database. Write one Cypher query over the given labels, relations and properties that reads and ends with RETURN, and nothing else.",
});

/**
 * Query construction, f_qc(q) = q*, q* in Cypher (equation 9): a model writes one reading query for a graph whose schema
 * it is shown. The query is parsed, and every label, relation and property of a labelled variable must be the schema's;
 * what is wrong is shown to the model again, at most `repairs` times. Writing clauses, procedures and what the parser
 * does not know are refused. Without a right query `valid` is false and `error` says why: the flow goes on.
 */
export const textToCypher = operator({
  name: "query.text-to-cypher",
  version: 2,
  about: {
    module: "pre-retrieval",
    submodule: "query construction",
    paper: "Modular RAG, operator 14, equation 9",
    summary: "Writes a reading Cypher query for a question, checked against a schema.",
  },
  config: z.strictObject({
    ...asking,
    schema: graphSchema,
    repairs: z.int().min(0).max(2).default(2),
    /** The name of a "graph-database" resource, which says what a query may call besides the functions of the language. */
    database: z.string().min(1).optional(),
  }),
  ports: { input: { query: text }, output: { cypher: text, valid: flag, error: text.optional() } },
  prompts: [asked],
  bound: (config) => boundOf(config, 1 + config.repairs, 4),
  setup: async ({ model: name, maxTokens, characters, schema, repairs, database: databaseName }, host) => {
    const opened = await openPrompt(host, asked);
    const model = await host.resource<LanguageModel>("model", name);
    const database =
      databaseName === undefined ? {} : await host.resource<GraphDatabase>("graph-database", databaseName);
    const admitted = admittedBy(database, `graph-database/${databaseName}`);
    const instructions = `${opened()} ${fenceRule}`;
    const quote = (tag: string, quoted: string) => fence([{ text: clip(quoted, characters) }], { tag });
    return async ({ query }, context) => {
      const question = `${quote("schema", showGraph(schema))}\n${quote("question", query)}`;
      let [prompt, cypher]: [string, string] = [question, ""];
      let error: string | undefined;
      for (let attempt = 0; attempt <= repairs; attempt++) {
        const messages = [
          { role: "system", content: instructions },
          { role: "user", content: prompt },
        ] as const;
        cypher = readQuery((await ask(model, { messages, maxTokens, temperature: 0 }, context)).text, admitted);
        error = cypherFault(cypher, schema, admitted);
        if (error === undefined) return { cypher, valid: true };
        prompt = `${question}\n${quote("query", cypher)}\n${quote("error", error)}\nThe query is wrong. Write it again, right.`;
      }
      return { cypher, valid: false, ...(error !== undefined && { error }) };
    };
  },
});
