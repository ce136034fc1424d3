import { describe, expect, it } from "@jest/globals";
import { Ajv2020 } from "ajv/dist/2020.js";
import { z } from "zod";
import { filter } from "./filter.js";
import { operator } from "./operator.js";
import { hits } from "./passage.js";
import { text } from "./ports.js";
import { flowSchema } from "./schema.js";

const about = { module: "data", submodule: "test", summary: "For tests." } as const;
const search = operator({
  name: "test.search",
  version: 1,
  about,
  config: z.strictObject({ top: z.int().positive().default(5), filter: filter.optional() }),
  ports: { input: { query: text, note: text.optional() }, output: { hits } },
  setup: () => () => ({ hits: [] }),
});
type Tree = { leaf: number } | { both: Tree[] };
const tree: z.ZodType<Tree> = z.lazy(() =>
  z.union([z.strictObject({ leaf: z.number() }), z.strictObject({ both: z.array(tree) })]),
);
const grow = operator({
  name: "test.grow",
  version: 1,
  about,
  config: tree,
  ports: (config) => ({ input: { [`in${"leaf" in config ? 1 : 2}`]: text }, output: { text } }),
  setup: () => () => ({ text: "" }),
});

const schema = flowSchema([search, grow]);
const validate = new Ajv2020({
  strict: true,
  strictRequired: false,
  strictTypes: false,
  validateFormats: false,
}).compile(schema);
const flowOf = (node: object) => ({
  version: 1,
  name: "ask",
  input: { query: "text" },
  nodes: { only: node },
  output: { hits: "only.hits" },
});
const found = { run: "test.search", in: { query: "input.query" } };

describe("the JSON Schema of flow documents", () => {
  it.each<[string, object]>([
    ["an operator by name", found],
    ["its config", { ...found, with: { top: 3 } }],
    [
      "a config that refers to itself",
      { ...found, with: { filter: { all: [{ not: { field: "kind", equals: "x" } }] } } },
    ],
    ["an optional port", { ...found, in: { query: "input.query", note: { value: "x" } } }],
    [
      "another operator's recursive config",
      { run: "test.grow", with: { both: [{ leaf: 1 }, { both: [] }] }, in: { in2: "input.query" } },
    ],
    ["a flow in a flow", { run: flowOf(found), in: { query: "input.query" } }],
  ])("accepts %s", (_, node) => {
    expect([validate(flowOf(node)), validate.errors]).toEqual([true, null]);
  });

  it.each<[string, object]>([
    ["an operator that is not installed", { ...found, run: "test.serch" }],
    ["a setting that does not exist", { ...found, with: { topp: 3 } }],
    ["a setting of the wrong type", { ...found, with: { top: "3" } }],
    ["a damaged filter deep in a config", { ...found, with: { filter: { all: [{ not: { feild: "kind" } }] } } }],
    ["a damaged recursive config", { run: "test.grow", with: { both: [{ leaf: "1" }] }, in: {} }],
    ["a config that is required and missing", { run: "test.grow", in: {} }],
    ["a port that does not exist", { ...found, in: { query: "input.query", nte: "input.query" } }],
    ["a port that is not fed", { ...found, in: {} }],
    ["a source that is no reference", { ...found, in: { query: "query" } }],
    ["a word that a node does not have", { ...found, after: "x" }],
    ["a damaged node of a flow in a flow", { run: flowOf({ ...found, with: { topp: 3 } }), in: {} }],
  ])("refuses %s", (_, node) => {
    expect(validate(flowOf(node))).toBe(false);
  });

  it("refuses a document of another version, and one without nodes", () => {
    expect(validate({ ...flowOf(found), version: 2 })).toBe(false);
    expect(validate({ version: 1, name: "x", input: {}, output: {} })).toBe(false);
  });

  it("is a valid schema that an editor can read: every name with its summary", () => {
    expect(new Ajv2020({ strict: false }).validateSchema(schema)).toBe(true);
    expect(JSON.stringify(schema)).toContain('{"const":"test.search","description":"For tests."}');
  });
});
