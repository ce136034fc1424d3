import { describe, expect, it } from "@jest/globals";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { z } from "zod";
import { canonicalJson } from "./canonical.js";
import { type JsonSchema, meets } from "./json-schema.js";
import { answer, hit, hits, type Json, passage, passages } from "./passage.js";
import { elementOf, fit, flag, listOf, number, type PortType, portType, portTypeOf, schemaOf, text } from "./ports.js";

const keys = ["a", "b"] as const;
const scalar = fc.constantFrom<string | number | boolean | null>("x", "y", "", 0, 1, 1.5, -2, true, false, null);
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    scalar,
    fc.array(tie("value"), { maxLength: 2 }),
    fc.dictionary(fc.constantFrom(...keys, "c"), tie("value"), { maxKeys: 2, noNullPrototype: true }),
  ),
})).value;

const optionalKeys = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record<T, never>(model, { requiredKeys: [] });

const schemas = fc.letrec<{ schema: JsonSchema }>((tie) => ({
  schema: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    optionalKeys<JsonSchema>({
      type: fc.constantFrom("string", "number", "integer", "boolean", "null", "object", "array"),
    }),
    optionalKeys<JsonSchema>({
      type: fc.constantFrom("string", "number", "integer", "boolean", "null"),
      enum: fc.uniqueArray(scalar, { minLength: 1, maxLength: 3 }),
      const: scalar,
    }),
    fc.record({ type: fc.constant("array" as const), items: tie("schema") }),
    fc.record(
      {
        type: fc.constant("object" as const),
        properties: fc.dictionary(fc.constantFrom(...keys), tie("schema"), { maxKeys: 2, noNullPrototype: true }),
        required: fc.uniqueArray(fc.constantFrom(...keys), { maxLength: 2 }),
      },
      { requiredKeys: ["type"] },
    ),
    optionalKeys<JsonSchema>({
      items: tie("schema"),
      required: fc.constant(["a"]),
      enum: fc.uniqueArray(json as fc.Arbitrary<Json>, { minLength: 1, maxLength: 3, selector: canonicalJson }),
    }),
  ),
})).schema;

const types = fc.letrec<{ type: PortType }>((tie) => ({
  type: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<PortType>("text", "number", "flag", "passage", "passages", "hit", "hits", "answer", "any"),
    fc.record({ choice: fc.uniqueArray(fc.constantFrom("x", "y", "z"), { minLength: 1, maxLength: 3 }) }),
    schemas,
    fc.record({ list: tie("type") }),
    fc.record({ named: tie("type") }),
  ),
})).type;

const aPassage = { id: "p", text: "t", metadata: {} };
const aHit = { passage: aPassage, score: 1, provenance: [] };

/** Values of a type, made without `schemaOf`; lists are never empty. */
function valuesOf(type: PortType): fc.Arbitrary<unknown> {
  switch (type) {
    case "text":
      return fc.constantFrom("x", "y", "", "other");
    case "number":
      return fc.constantFrom(0, 1, 1.5, -2);
    case "flag":
      return fc.boolean();
    case "passage":
      return fc.constantFrom(aPassage, { ...aPassage, source: { path: "f" } });
    case "hit":
      return fc.constant(aHit);
    case "passages":
    case "hits":
      return fc.array(valuesOf(type === "hits" ? "hit" : "passage"), { minLength: 1, maxLength: 2 });
    case "answer":
      return fc.constant({ text: "t", citations: [], refused: false });
    case "any":
      return json;
  }
  if ("choice" in type) return fc.constantFrom(...type.choice);
  if ("list" in type) return fc.array(valuesOf(type.list), { minLength: 1, maxLength: 2 });
  if ("named" in type) return fc.dictionary(fc.constantFrom(...keys), valuesOf(type.named), { minKeys: 1, maxKeys: 2 });
  if ("optional" in type) return valuesOf(type.optional);
  return schemaValues(type);
}

function schemaValues(schema: JsonSchema): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return schema.enum.length > 0 ? fc.constantFrom(...schema.enum) : json;
  switch (schema.type) {
    case "object": {
      const model = Object.fromEntries(keys.map((key) => [key, schemaValues(schema.properties?.[key] ?? {})]));
      return fc.record(model, { requiredKeys: (schema.required ?? []) as never[] });
    }
    case "array":
      return fc.array(schemaValues(schema.items ?? {}), { minLength: 1, maxLength: 2 });
    case undefined:
      return fc.oneof(json, fc.constant({ a: 1, b: "x" }), fc.constant(["x"]));
    default:
      return valuesOf(({ string: "text", boolean: "flag" } as Record<string, PortType>)[schema.type] ?? "any");
  }
}

/** Whether a value holds no empty list: those fit lists of anything. */
const isFull = (value: unknown): boolean =>
  Array.isArray(value)
    ? value.length > 0 && value.every(isFull)
    : typeof value !== "object" || value === null || Object.values(value).every(isFull);

const samples = (type: PortType, seed: number): unknown[] =>
  fc.sample(valuesOf(type), { numRuns: 12, seed }).filter((value) => schemaOf(type).safeParse(value).success);

/** A type near another, so that pairs that agree in part are common. */
function near(type: PortType): fc.Arbitrary<PortType> {
  if (typeof type === "string") return types;
  if ("list" in type) return fc.oneof(near(type.list), types).map((list) => ({ list }));
  if ("named" in type) return fc.oneof(near(type.named), types).map((named) => ({ named }));
  if ("choice" in type || "optional" in type) return types;
  return fc.oneof(
    fc.constant(type),
    schemas.map((other): PortType => ({ ...type, ...other })),
    fc
      .subarray(Object.keys(type))
      .map((kept) => Object.fromEntries(Object.entries(type).filter(([key]) => kept.includes(key)))),
    types,
  );
}

const pairs = types.chain((source) =>
  fc.tuple(fc.constant(source), fc.oneof(types, near(source), fc.constant(source))),
);

describe("fit", () => {
  it("takes two types as equal where their JSON texts are, and looks at each part of them once", () => {
    const parts = fc.letrec<{ type: object }>((tie) => ({
      type: fc.oneof(
        { maxDepth: 3 },
        fc.record({ const: json }),
        fc.record({ choice: fc.array(fc.constantFrom("x", "y"), { minLength: 1, maxLength: 2 }) }),
        fc.record({ list: tie("type") }),
        fc.record({ type: fc.constant("object"), properties: fc.dictionary(fc.constantFrom(...keys), tie("type")) }),
      ),
    })).type;
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const copy = JSON.parse(JSON.stringify(a));
        expect(fit({ enum: [a] } as never, { enum: [copy] } as never)).toBe("equal");
        expect(fit({ enum: [a] } as never, { enum: [b] } as never)).toBe(
          JSON.stringify(a) === JSON.stringify(b) ? "equal" : "check",
        );
      }),
    );
    const deep = (end: string) => {
      let type: object = {
        type: "object",
        properties: Object.fromEntries([...Array(2000).keys(), end].map((key) => [`k${key}`, {}])),
      };
      for (let i = 0; i < 250; i++) type = { list: type };
      return type as PortType;
    };
    const [a, b] = [deep("a"), deep("b")];
    const began = process.cpuUsage();
    expect(fit(a, b)).toBe("check");
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1000).toBeLessThan(100); // milliseconds
  });

  it("says equal only where every value of the source is a value of the target, and mismatch only where none is", () => {
    const tested = { equal: 0, check: 0, mismatch: 0 };
    fc.assert(
      fc.property(pairs, fc.nat(), ([source, target], seed) => {
        const verdict = fit(source, target);
        const schema = schemaOf(target);
        for (const value of samples(source, seed)) {
          tested[verdict]++;
          if (verdict === "equal") expect(schema.safeParse(value).success).toBe(true);
          if (verdict === "mismatch" && isFull(value)) expect(schema.safeParse(value).success).toBe(false);
        }
      }),
      { numRuns: 3000 },
    );
    expect(Math.min(tested.equal, tested.check, tested.mismatch)).toBeGreaterThan(500);
  });

  it("is equal from a type to itself, to any, and to the optional of itself", () => {
    fc.assert(
      fc.property(types, (type) => {
        expect([fit(type, type), fit(type, "any"), fit(type, { optional: type })]).toEqual(["equal", "equal", "equal"]);
      }),
    );
  });

  it("never lets two different named types meet", () => {
    const named = ["text", "number", "flag", "passage", "passages", "hit", "hits", "answer"] as const;
    for (const source of named)
      for (const target of named) expect(fit(source, target)).toBe(source === target ? "equal" : "mismatch");
  });

  it("refuses a value that may be missing where one is required", () => {
    expect(fit({ optional: "text" }, "text")).toBe("mismatch");
    expect(fit({ optional: "text" }, { optional: "text" })).toBe("equal");
    expect(fit({ list: { optional: "hits" } }, { list: "hits" })).toBe("mismatch");
    const places = portTypeOf(z.array(answer.nullable()));
    expect(fit({ list: { optional: "answer" } }, places)).toBe("equal");
    expect(fit({ list: "answer" }, places)).toBe("equal");
    expect(fit({ list: { optional: "text" } }, places)).toBe("mismatch");
    expect(fit(places, { list: "answer" })).toBe("mismatch");
  });

  it("treats hits and a list of hit as one", () => {
    expect(fit("hits", { list: "hit" })).toBe("equal");
    expect(fit({ list: "passage" }, "passages")).toBe("equal");
    for (const element of ["hit", "passage", "text"] as const) expect(elementOf(listOf(element))).toBe(element);
  });

  // regressions found by the property above
  it.each<[string, PortType, PortType, string]>([
    ["a list into a schema of anything", { list: "text" }, {}, "equal"],
    ["anything into a list", {}, { list: "text" }, "check"],
    ["choices that agree in part", { choice: ["x", "y"] }, { choice: ["x"] }, "check"],
    ["an object into named values", { type: "object" }, { named: "text" }, "check"],
    ["a list into one constant list", { list: "any" }, { type: "array", const: ["x"] }, "check"],
    [
      "properties that differ but need not be there",
      { type: "object", properties: { a: { type: "string" } } },
      { type: "object", properties: { a: { type: "number" } } },
      "check",
    ],
  ])("%s", (_, source, target, verdict) => {
    expect(fit(source, target)).toBe(verdict);
  });
});

describe("the schema of a port type", () => {
  it("accepts of JSON what JSON Schema accepts (ajv as the oracle)", () => {
    const ajv = new Ajv2020({ strict: false, validateSchema: false });
    fc.assert(
      fc.property(schemas, fc.array(json, { maxLength: 8 }), fc.nat(), (schema, strangers, seed) => {
        const validate = ajv.compile(schema);
        for (const value of [...strangers, ...fc.sample(schemaValues(schema), { numRuns: 6, seed })]) {
          expect(meets(value, schema)).toBe(validate(value));
          expect(schemaOf(schema).safeParse(value).success).toBe(validate(value));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("takes a member that is undefined as absent, as JSON does", () => {
    const schema: JsonSchema = { type: "object", properties: { a: { type: "string" }, b: {} }, required: ["b"] };
    for (const value of [{ a: undefined, b: 1 }, { a: "x", b: undefined }, { b: [{ a: undefined }] }, { a: undefined }])
      expect(meets(value, schema)).toBe(meets(JSON.parse(JSON.stringify(value)), schema));
    expect(meets({ a: undefined, b: 1 }, schema)).toBe(true);
    expect(meets({ b: undefined }, schema)).toBe(false);
  });

  it("leads back to the port type, for every port type", () => {
    fc.assert(
      fc.property(types, (type) => {
        const back = portTypeOf(schemaOf(type));
        expect([fit(type, back), fit(back, type)]).toEqual(["equal", "equal"]);
        expect(portType.parse(JSON.parse(JSON.stringify(back)))).toEqual(back);
      }),
    );
  });

  it("is the operators' own schema for named types", () => {
    const own = { text, number, flag, passage, passages, hit, hits, answer };
    for (const [name, schema] of Object.entries(own)) {
      expect(schemaOf(name as PortType)).toBe(schema);
      expect(portTypeOf(schema)).toBe(name);
    }
  });
});

describe("the port type of a zod schema", () => {
  it.each<[string, z.ZodType, PortType]>([
    ["a plain string", z.string(), "text"],
    ["an enum", z.enum(["a", "b"]), { choice: ["a", "b"] }],
    ["a literal", z.literal("a"), { choice: ["a"] }],
    ["a list", z.array(hits), { list: "hits" }],
    ["a list with empty places", z.array(answer.nullable()), { list: { optional: "answer" } }],
    [
      "a list that may be missing, with empty places",
      z.array(text.nullable()).optional(),
      { optional: { list: { optional: "text" } } },
    ],
    ["what may be null, and no place of a list", text.nullable(), {}],
    ["a record", z.record(z.string(), hits), { named: "hits" }],
    ["an optional", text.optional(), { optional: "text" }],
    ["a default", text.default("x"), { optional: "text" }],
    ["a checked string", z.string().min(3), { type: "string" }],
    ["an integer", z.int(), { type: "integer" }],
    [
      "an object",
      z.object({ id: z.string(), n: z.number().optional() }),
      { type: "object", properties: { id: { type: "string" }, n: { type: "number" } }, required: ["id"] },
    ],
    ["JSON", z.json(), {}],
    ["a union", z.union([z.string(), z.number()]), {}],
    ["what JSON Schema cannot say", z.instanceof(Float32Array), "any"],
  ])("%s", (_, schema, type) => {
    expect(portTypeOf(schema)).toEqual(type);
  });

  it("accepts every value that its zod schema accepts", () => {
    const schemas = [
      z.string().min(3),
      z.int(),
      z.json(),
      z.union([z.string(), z.number()]),
      z.nullable(z.boolean()),
      z.array(z.boolean().nullable()),
    ];
    fc.assert(
      fc.property(fc.constantFrom(...schemas), json, (schema, value) => {
        if (schema.safeParse(value).success) expect(schemaOf(portTypeOf(schema)).safeParse(value).success).toBe(true);
      }),
    );
  });

  const change = z.string().transform((value) => value.length);
  it.each<[string, z.ZodType]>([
    ["a transform", change],
    ["a pipe", z.string().pipe(z.email())],
    ["a preprocess", z.preprocess(String, z.string())],
    ["a coercion", z.coerce.number()],
    ["a catch", z.string().catch("x")],
    ["a prefault", z.string().prefault("x")],
    ["a trim", z.string().trim()],
    ["a transform in a list", z.array(change)],
    ["a transform in an object", z.object({ a: z.object({ b: change }) })],
    ["a coercion in an object", z.object({ a: z.coerce.number() })],
    ["a default in an object", z.object({ a: z.string().default("x") })],
    ["a transform in a union", z.union([z.string(), z.array(change)])],
    ["a transform in a tuple", z.tuple([z.string(), change])],
    ["a transform of the keys", z.record(z.string().trim(), z.string())],
    ["a transform behind a recursion", z.lazy(() => z.array(change))],
  ])("refuses %s", (_, schema) => {
    expect(() => portTypeOf(schema)).toThrow(expect.objectContaining({ code: "BAD_OPERATOR" }));
  });

  it("ends on a schema that holds itself", () => {
    type Tree = { children: Tree[] };
    const tree: z.ZodType<Tree> = z.lazy(() => z.object({ children: z.array(tree) }));
    expect(portTypeOf(tree)).toBeDefined();
  });
});
