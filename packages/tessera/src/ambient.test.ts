import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, operator } from "@tessera/core";
import { z } from "zod";
import { operators } from "./catalogue.js";

/**
 * Every setting of the catalogue that takes a free text, and what the text is. None is a path, an address, a command, a
 * module or an expression: such a thing is a resource, which a document names. A new setting is entered here by whoever
 * has made sure of that.
 */
const settings = {
  "the name of a resource": `
    coder.debug.model coder.elect.sandbox coder.represent.encoder coder.represent.sandbox coder.revise.model
    coder.run.sandbox coder.sample.model coder.select.sandbox fuser.ensemble.model fuser.model.model fuser.weighted.follow.encoder
    generator.answer.model generator.claims.model generator.confirm.model generator.continue.model generator.dual.model
    generator.structured.model generator.verify.model indexer.descend.store indexer.descend.encoder indexer.directory.folder indexer.expand.store indexer.read-files.folder
    indexer.graph-walk.graph indexer.reverse-hyde.model indexer.triples.model indexer.write.store indexer.write.encoder
    query.condense.model query.hyde.model query.hyde.encoder query.multi-query.model query.rewrite.model query.step-back.model
    query.sub-query.model query.text-to-cypher.model query.text-to-cypher.database query.text-to-sql.model query.text-to-sql.database
    query.standalone.model query.verify-chain.model reranker.closer.encoder reranker.compress.model
    reranker.cross-encoder.reranker reranker.likelihood.model reranker.critique.model reranker.late-interaction.encoder
    reranker.mmr.encoder reranker.model.model reranker.multi-exit.encoder reranker.selective-context.model
    retriever.adapt.encoder retriever.adaptive.store retriever.adaptive.encoder retriever.dense.store
    retriever.dense.encoder retriever.hybrid.sparse retriever.hybrid.dense retriever.hybrid.encoder
    retriever.multi-vector.heads[].store retriever.multi-vector.heads[].encoder retriever.recall.store
    mcp.resource.server mcp.resource.resource mcp.search.server mcp.search.tool mcp.tool.server mcp.tool.tool
    retriever.recall.encoder retriever.sparse.store retriever.supervise.encoder retriever.supervise-by-model.encoder
    router.hybrid.encoder router.model-judge.model router.semantic.encoder`,
  "words for a model, or of an answer": `
    generator.answer.instructions generator.answer.refusal generator.continue.instructions generator.continue.until
    generator.extract.refusal generator.instruct.teacher generator.structured.instructions generator.structured.refusal router.model-judge.question router.model-judge.choices.*
    text.template.template text.template.separator router.beam.separator hits.union.sources[]`,
  "what the tool of a server is told, which its server judges": `mcp.search.arguments mcp.tool.arguments`,
  "a place in a JSON value": `
    mcp.search.argument mcp.search.hits mcp.search.text[] mcp.search.title mcp.search.address`,
  "a JSON Schema, of which every keyword is known": `
    generator.structured.schema.* generator.structured.schema.*[] generator.structured.schema.*[].*`,
  "a label that is compared": `
    router.hybrid.routes.*.keywords[] router.hybrid.routes.*.intents[] router.hybrid.routes.*.intents.*[]
    router.hybrid.otherwise router.metadata.routes.*[] router.metadata.otherwise router.model-judge.otherwise
    router.model-judge.labels.* router.model-judge.favour.choice router.semantic.routes.*[] router.semantic.routes.*.*[]
    router.semantic.otherwise router.threshold.choices[] fuser.weighted.follow.words fuser.weighted.follow.vectors query.text-to-cypher.schema.nodes.*[]
    query.text-to-cypher.schema.relations.*.properties[] query.text-to-cypher.schema.relations.*.joins[][]
    retriever.adaptive.filter retriever.dense.filter retriever.hybrid.filter
    retriever.multi-vector.filter retriever.sparse.filter`,
  "data for passages, the type of a port, or a value of it": `
    flow.receive.value flow.receive.otherwise flow.wait.answer flow.wait.form flow.wait.otherwise indexer.metadata.constants list.append.of list.compact.of list.difference.of list.flatten.of list.take.of`,
  "a moment, the name of a signal, or who may answer": `
    flow.receive.signal flow.receive.until flow.receive.who flow.sleep.until flow.wait.until flow.wait.who`,
  "a pattern of literals or of a .gitignore, which takes linear time": `
    text.match.pattern text.match.pattern[] indexer.directory.exclude[]`,
};
const known = new Set(Object.values(settings).flatMap((names) => names.trim().split(/\s+/)));

type Schema = { readonly [key: string]: unknown };
const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null;

/** The settings of an operator that may hold any text, by their places in its config. */
function textsOf(one: AnyOperator): string[] {
  const whole = z.toJSONSchema(one.config as z.ZodType, { unrepresentable: "any", io: "input" }) as Schema;
  const found = new Set<string>();
  const seen = new Set<Schema>();
  const visit = (schema: unknown, place: string): void => {
    if (!isSchema(schema)) return;
    const { $ref, type, properties = {}, items, prefixItems, additionalProperties, anyOf, oneOf, allOf } = schema;
    if (typeof $ref === "string" && !seen.has(schema)) {
      seen.add(schema);
      let target: unknown = whole;
      for (const key of $ref.split("/").slice(1)) target = isSchema(target) ? target[key] : undefined;
      visit(target, place);
    }
    const choices = [anyOf, oneOf, allOf].flatMap((list) => (Array.isArray(list) ? list : []));
    for (const choice of choices) visit(choice, place);
    for (const [name, inner] of Object.entries(properties as Schema))
      visit(inner, place === "" ? name : `${place}.${name}`);
    for (const inner of [items, ...(Array.isArray(prefixItems) ? prefixItems : [])]) visit(inner, `${place}[]`);
    visit(additionalProperties, `${place}.*`);
    const closed = "enum" in schema || "const" in schema || choices.length > 0 || $ref !== undefined;
    const types = Array.isArray(type) ? type : [type];
    // a schema that says nothing lets a text through as well; so does an object whose names are free
    const anything = type === undefined && !("properties" in schema) && !("not" in schema);
    if (!closed && (types.includes("string") || anything)) found.add(place);
  };
  visit(whole, "");
  // a condition on metadata, a port's type, a value of it and constants are one schema of core each
  return [
    ...new Set(
      [...found].map(
        (place) =>
          `${one.name}.${place.replace(/^(filter|of|constants|answer|form|value|otherwise|who|arguments)\b.*$/, "$1")}`,
      ),
    ),
  ];
}

/** What is wrong with an operator of the catalogue: settings that nobody has vouched for, or power of its own. */
const complaintsOf = (one: AnyOperator): string[] => [
  ...textsOf(one).filter((place) => !known.has(place)),
  ...(one.ambient ?? []).map((power) => `${one.name} reaches ${power}`),
];

const planted = (config: z.ZodType, more: object = {}): AnyOperator =>
  operator({
    name: "test.planted",
    version: 1,
    about: { module: "data", submodule: "test", summary: "For tests." },
    config,
    ports: { input: {}, output: {} },
    setup: () => () => ({}),
    ...more,
  });

describe("what an operator of the catalogue takes from a document", () => {
  it("is names and words: no path, address, command or expression", () => {
    expect(operators.flatMap(complaintsOf)).toEqual([]);
  });

  it("is vouched for setting by setting, and nothing is vouched for that is not there", () => {
    const there = new Set(operators.flatMap(textsOf));
    expect([...known].filter((place) => !there.has(place))).toEqual([]);
  });

  it.each<[string, AnyOperator]>([
    ["a path", planted(z.strictObject({ root: z.string() }))],
    ["an address", planted(z.strictObject({ endpoint: z.url() }))],
    ["a path in a list of objects", planted(z.strictObject({ sources: z.array(z.strictObject({ at: z.string() })) }))],
    ["a command by name", planted(z.strictObject({ commands: z.record(z.string(), z.string()) }))],
    ["a module behind a choice", planted(z.union([z.literal("off"), z.strictObject({ module: z.string() })]))],
    ["anything at all", planted(z.strictObject({ options: z.unknown() }))],
    ["any JSON", planted(z.strictObject({ options: z.json() }))],
    ["a config that is a text", planted(z.string())],
    ["objects that may hold more", planted(z.looseObject({ top: z.number() }))],
    ["files of its own", planted(z.strictObject({}), { ambient: ["files"] })],
  ])("finds a planted offender: %s", (_, offender) => {
    expect(complaintsOf(offender)).not.toEqual([]);
  });
});

/** What gives power over the machine, in an import or a call. */
const power = /^node:(?:fs|child_process|net|http|https|http2|dns|dgram|tls|cluster|vm|inspector|repl)(?:\/|$)/;
const packages = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** The modules that a source file brings in when it is loaded; types bring in nothing. */
const importsOf = (text: string): string[] =>
  [...text.matchAll(/^(?:import|export)\s+(?!type\b)(?:[^"';]*?\sfrom\s+)?"([^"]+)"/gm)].map(([, from]) => from!);

/** The files of its own package that an operator's file brings in, itself first. */
function closureOf(file: string): string[] {
  const files = new Set([file]);
  for (const one of files)
    for (const from of importsOf(readFileSync(one, "utf8")))
      if (from.startsWith(".")) files.add(join(dirname(one), from.replace(/\.js$/, ".ts")));
  return [...files];
}

describe("what the source of an operator of the catalogue can reach", () => {
  const kinds = ["coder", "data", "fuser", "generator", "indexer", "query", "reranker", "retriever", "router"].map(
    (kind) => join(packages, "operators", kind, "src"),
  );
  const files = [...kinds, join(packages, "mcp/src")].flatMap((sources) => {
    const index = readFileSync(join(sources, "index.ts"), "utf8");
    return [...index.matchAll(/from "\.\/(.+)\.js"/g)].map(([, path]) => join(sources, `${path}.ts`));
  });
  const namesIn = (file: string) => {
    const text = readFileSync(file, "utf8");
    return /\boperator\(/.test(text)
      ? [...text.matchAll(/\bname(?::| =) "([a-z-]+\.[a-z-]+)"/g)].map(([, name]) => name!)
      : [];
  };
  const declaring = files.filter((file) => namesIn(file).length > 0);

  it("is looked at for every operator", () => {
    const declared = declaring.flatMap(namesIn);
    expect(operators.map(({ name }) => name).filter((name) => !declared.includes(name))).toEqual([]);
  });

  it("is no file, process or network: those are in resources", () => {
    const offenders = declaring.flatMap((file) =>
      closureOf(file).flatMap((one) => {
        const text = readFileSync(one, "utf8");
        // the sandbox reads the programs that it ships, and nothing that a document names
        if (one.endsWith("coder/src/sandbox/harness.ts")) return [];
        const used = importsOf(text).filter((from) => power.test(from));
        if (/\bfetch\(|\bprocess\.(?:env|binding)\b|\beval\(|new Function\(/.test(text)) used.push("a call");
        return used.map((what) => `${file.slice(packages.length + 1)} by ${one.slice(packages.length + 1)}: ${what}`);
      }),
    );
    expect(offenders).toEqual([]);
  });
});
