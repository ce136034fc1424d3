import { describe, expect, it } from "@jest/globals";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { jsonValuesIn } from "./json-in-text.js";
import type { Json } from "./passage.js";
import { assertSchema, schemaFaults } from "./schema-faults.js";

type Schema = { readonly [key: string]: Json };

/** Schemas of every keyword that is read, over few names and small values, so that values often meet them. */
const { schema } = fc.letrec<{ schema: Schema; inner: Json }>((tie) => {
  const small = fc.nat({ max: 3 });
  const constant = fc.constantFrom<Json>(0, 1, 2.5, "a", "ab", true, null, [], ["a"], {}, { a: 1 });
  const names = fc.uniqueArray(fc.constantFrom("a", "b", "__proto__"), { maxLength: 2 });
  const map = fc.uniqueArray(fc.tuple(fc.constantFrom("a", "b"), tie("inner")), {
    maxLength: 2,
    selector: ([name]) => name,
  });
  const some = fc.array(tie("inner"), { minLength: 1, maxLength: 2 });
  const type = fc.constantFrom("string", "number", "integer", "boolean", "object", "array", "null");
  return {
    inner: fc.oneof({ maxDepth: 2 }, { weight: 1, arbitrary: fc.boolean() }, { weight: 5, arbitrary: tie("schema") }),
    schema: fc
      .uniqueArray(
        fc.oneof(
          ...Object.entries<fc.Arbitrary<unknown>>({
            type: fc.oneof(type, fc.uniqueArray(type, { minLength: 1, maxLength: 2 })),
            const: constant,
            enum: fc.uniqueArray(constant, {
              minLength: 1,
              maxLength: 3,
              comparator: (a, b) => JSON.stringify(a) === JSON.stringify(b),
            }),
            minLength: small,
            maxLength: small,
            minimum: small,
            maximum: small,
            exclusiveMinimum: small,
            exclusiveMaximum: small,
            minItems: small,
            maxItems: small,
            uniqueItems: fc.boolean(),
            required: names,
            properties: map.map((entries) => Object.fromEntries(entries)),
            additionalProperties: tie("inner"),
            items: tie("inner"),
            allOf: some,
            anyOf: some,
            oneOf: some,
            title: fc.constant("t"),
          }).map(([name, given]) => fc.tuple(fc.constant(name), given)),
        ),
        { maxLength: 3, selector: ([name]) => name },
      )
      .map((entries) => Object.fromEntries(entries) as Schema),
  };
});

const { value } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom<Json>(0, 1, 2.5, 3, "", "a", "ab", "👍", true, null),
    fc.array(tie("value"), { maxLength: 3 }),
    fc
      .uniqueArray(fc.tuple(fc.constantFrom("a", "b", "c"), tie("value")), { maxLength: 3, selector: ([name]) => name })
      .map((entries) => Object.fromEntries(entries) as Json),
  ),
}));

describe("schemaFaults", () => {
  it("finds faults exactly where ajv does", () => {
    const ajv = new Ajv2020({ strict: false, logger: false, ownProperties: true });
    let met = 0;
    fc.assert(
      fc.property(schema, value, (schema, value) => {
        const does = ajv.compile(schema)(value);
        assertSchema(schema);
        expect(schemaFaults(value, schema).length === 0).toBe(does);
        if (does) met++;
        return true;
      }),
      { numRuns: 400 },
    );
    expect(met).toBeGreaterThan(0);
  });

  it("names the place and what is wanted there", () => {
    const schema = {
      $defs: { person: { type: "object", properties: { age: { type: "integer", minimum: 0 } }, required: ["name"] } },
      type: "array",
      items: { $ref: "#/$defs/person" },
    };
    expect(schemaFaults([{ name: "Ada", age: "36" }, { age: -1 }], schema)).toEqual([
      "/0/age is of the type string, and must be integer",
      "/1/age is below 0",
      "/1/name is missing",
    ]);
    expect(schemaFaults("x", { type: ["number", "null"] })).toEqual([
      "the value is of the type string, and must be number or null",
    ]);
  });

  it.each<[string, Schema, string]>([
    ["a keyword that is not read", { properties: { a: { pattern: "(a+)+$" } } }, "schema/properties/a/pattern"],
    ["something else than a schema", { items: [{ type: "string" }] }, "schema/items"],
    ["lists in the place of a map", { properties: ["a"] }, "schema/properties"],
  ])("refuses %s by its place before there is a value", (_, schema, path) => {
    let thrown: unknown;
    try {
      assertSchema(schema);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "BAD_ARGUMENT", path });
  });

  it.each<[string, Schema]>([
    ["refers to itself without end", { $ref: "#" }],
    ["refers to another document", { $ref: "https://example.com/schema.json" }],
    ["refers to nothing", { $ref: "#/$defs/none" }],
    ["has a type that is none", { type: "text" }],
    ["has a keyword of the wrong kind", { required: 3 }],
    [
      "doubles its work at every step",
      {
        $defs: Object.fromEntries(
          Array.from({ length: 60 }, (_, i): [string, Schema] => {
            const next = { $ref: `#/$defs/d${i + 1}` };
            return [`d${i}`, i < 59 ? { allOf: [next, next] } : { type: "object" }];
          }),
        ),
        $ref: "#/$defs/d0",
      },
    ],
  ])("ends in an error, not in a hang, where a schema %s", (_, schema) => {
    expect(() => schemaFaults({}, schema)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });
});

describe("jsonValuesIn", () => {
  it("finds the value of an answer whatever stands around it", () => {
    const around = fc.constantFrom(
      (json: string) => json,
      (json: string) => `Here is the JSON:\n\n\`\`\`json\n${json}\n\`\`\`\nI hope it helps!`,
      (json: string) => `~~~\n${json}\n~~~`,
      (json: string) => `Sure! ${json} Anything else?`,
      (json: string) => `\n\n  ${json}\n`,
    );
    const object = fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3, noNullPrototype: true });
    fc.assert(
      fc.property(around, object, fc.nat({ max: 2 }), (wrap, value, indent) => {
        const json = JSON.stringify(value, undefined, indent);
        expect([...jsonValuesIn(wrap(json))]).toEqual([JSON.parse(json)]);
      }),
      { numRuns: 200 },
    );
  });

  it("passes over brackets that open no value, and reads what follows", () => {
    expect([...jsonValuesIn('As in [1 and {x}: {"a": [2]} and [3]')]).toEqual([{ a: [2] }, [3]]);
    expect([...jsonValuesIn("there is none [here")]).toEqual([]);
    expect([...jsonValuesIn("3")]).toEqual([3]);
    expect([...jsonValuesIn("[".repeat(5000))]).toEqual([]);
  });
});
