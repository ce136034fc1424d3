import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, type Host, type Json, type LanguageModel, type Resource, TesseraError } from "@tessera/core";
import { contextOf, scriptedEncoder } from "@tessera/testkit";
import fc from "fast-check";
import { z } from "zod";
import { catalogue } from "./catalogue.js";
import { exampleOf } from "./example.js";

interface Schema {
  readonly type?: string;
  readonly const?: Json;
  readonly enum?: readonly Json[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly prefixItems?: readonly Schema[];
  readonly items?: Schema;
  readonly minimum?: number;
}
const schemaOf = (type: z.ZodType): Schema => z.toJSONSchema(type, { io: "input", unrepresentable: "any" }) as Schema;

/** A value that a port admits; its texts are long enough to be cut, sorted out or quoted. */
function sampleOf(schema: Schema, name: string): Json {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0]!;
  if (schema.anyOf) return sampleOf(schema.anyOf[0]!, name);
  if (schema.type === "object")
    return Object.fromEntries(
      (schema.required ?? []).map((key) => [key, sampleOf(schema.properties![key]!, key)] as const),
    );
  if (schema.type === "array")
    return schema.prefixItems?.map((one) => sampleOf(one, name)) ?? [sampleOf(schema.items ?? {}, name)];
  if (schema.type === "integer" || schema.type === "number") return schema.minimum ?? 1;
  if (schema.type === "boolean") return false;
  return `The ${name} of the ferry is named here. It sails at nine.`;
}

/** An operator with each choice that its settings offer, where one of them is a language model. */
function variantsOf(operator: AnyOperator): [string, AnyOperator, Record<string, Json>][] {
  const { properties = {} } = schemaOf(operator.config);
  if (!("model" in properties)) return [];
  const least = { ...(exampleOf(operator.name).with as Record<string, Json>), model: "model" };
  const few = { ...least, ...("count" in properties && { count: 2 }), ...("repairs" in properties && { repairs: 0 }) };
  const choices = Object.entries(properties).flatMap(([key, { enum: values = [] }]) =>
    values.map((value) => ({ ...few, [key]: value })),
  );
  return [few, ...choices]
    .filter((settings) => operator.config.safeParse(settings).success)
    .map((settings) => [`${operator.name} ${JSON.stringify(settings)}`, operator, settings]);
}

const answers = [
  "Yes",
  "no.",
  "ferry boarding time",
  "1. When does the ferry sail?\n2. Where does it land?",
  '["When does the ferry sail?", "Where?"]',
  '{"choice": "search", "sql": "SELECT 1 AS one"}',
  "It sails at nine [1]. It lands at ten [7].",
  "NO ANSWER",
  "```sql\nSELECT 1 AS one\n```",
  "```javascript\nfunction sail(at) {\n  return at + 1;\n}\n```",
  "MATCH (n:one) RETURN n",
  "[2] > [1]",
  "supported",
  "search",
  "write",
  "",
];
const thoughts = fc.oneof(
  fc.constantFrom(
    "Okay, ferries. Passage [1] says yes.",
    "Maybe ```sql\nSELECT 2\n``` is too simple.",
    "1. first\n2. second\n",
    '{"choice": "write"} or ["a", "b"]',
    "NO ANSWER",
    "function thought() {}\n```",
    "`",
  ),
  fc.string({ maxLength: 40 }),
);
const forms: ((thought: string) => string)[] = [
  (thought) => `<think>\n${thought}\n</think>\n\n`,
  (thought) => `<thinking>${thought}</thinking>\n`,
  (thought) => `[THINK]${thought}[/THINK]`,
  (thought) => `${thought}\n</think>\n\n`,
];

/** A model that says these answers in turn, each after what `before` gives; a word is a token. */
function sayer(said: readonly string[], before: () => string): LanguageModel {
  let call = 0;
  return {
    revision: "1",
    capabilities: new Set(["logprobs", "seed", "json", "prefix", "score"]),
    async *generate() {
      const text = before() + said[call++ % said.length]!;
      for (const word of text.match(/\s*[^\s\]>]*[\]>]?/g) ?? [])
        yield { text: word, tokens: [{ text: word, logprob: -0.1, alternatives: [{ text: word, logprob: -0.1 }] }] };
    },
    score: async ({ text }) => ({ tokens: [{ text, logprob: -1 }], usage: { prompt: 1, completion: 0 } }),
  };
}

const stub = {
  revision: "1",
  dialect: "sqlite",
  describe: async () => "CREATE TABLE ferry (name TEXT)",
  read: async (statement: string) => [{ statement }],
};
const hostWith = (model: Resource): Host => ({
  resource: async <T extends Resource>(kind: string, _name: string, own?: T) =>
    own ?? ((kind === "model" ? model : kind === "encoder" ? scriptedEncoder() : stub) as unknown as T),
});

const members = [...catalogue.values()].flatMap(({ operator }) => variantsOf(operator));

describe("thoughts of a model", () => {
  it("are tried on every operator that names a model", () => {
    const tried = new Set(members.map(([, { name }]) => name));
    const readers = [...catalogue.values()].filter(
      ({ operator }) => "model" in (schemaOf(operator.config).properties ?? {}),
    );
    expect(readers.map(({ operator }) => operator.name).filter((name) => !tried.has(name))).toEqual([]);
    expect(tried.size).toBeGreaterThanOrEqual(25);
  });

  it("are parted in one place: no operator reads a model but by `ask`", () => {
    const direct = ["coder", "data", "fuser", "generator", "indexer", "query", "reranker", "retriever", "router"]
      .flatMap((name) => {
        const folder = new URL(`../../operators/${name}/src/`, import.meta.url);
        return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((file) => new URL(file, folder));
      })
      .filter(({ pathname }) => pathname.endsWith(".ts") && !/\.(test|fixture)\.ts$/.test(pathname))
      .filter((file) => /\bcomplete\(|\b(?:model|language)\.generate\(/.test(readFileSync(file, "utf8")));
    expect(direct.map(({ pathname }) => pathname)).toEqual([]);
  });

  it.each(members)("any answer × any thought gives what the answer alone gives: %s", async (_, operator, settings) => {
    const config = operator.config.parse(settings);
    const ports = typeof operator.ports === "function" ? operator.ports(config) : operator.ports;
    const input = Object.fromEntries(
      Object.entries(ports.input).map(([port, type]) => [port, sampleOf(schemaOf(type as z.ZodType), port)]),
    );
    const outcome = async (model: LanguageModel) => {
      const context = contextOf();
      const work = await operator.setup(config, hostWith(model));
      const ended = work(structuredClone(input), context);
      const output = await Promise.resolve(ended).catch((error: unknown) => {
        if (!TesseraError.is(error)) throw error;
        return error.code;
      });
      return { output, calls: context.spent.calls };
    };
    const several = fc.array(fc.constantFrom(...answers), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(several, thoughts, fc.constantFrom(...forms), async (said, thought, form) => {
        const alone = await outcome(sayer(said, () => ""));
        expect(await outcome(sayer(said, () => form(thought)))).toEqual(alone);
      }),
      { numRuns: 25 },
    );
  });
});
