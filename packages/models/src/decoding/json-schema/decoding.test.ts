import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { GenerateRequest, Json } from "@tessera/core";
import { complete, mulberry32 } from "@tessera/core/internal";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import type { Matrix } from "../../architectures/encoder.js";
import { cpuEngine } from "../../engines/cpu.js";
import { randomDecoderModel } from "../../engines/gpu/decoder-reference.fixture.js";
import { type LocalLanguageModel, localLanguageModel } from "../../serving/language-model.js";
import { readTokenizer, type Tokenizer } from "../../tokenizer/tokenizer.js";
import { Automaton } from "./automaton.js";
import { readSchema } from "./schema.js";

type Schema = { readonly [key: string]: Json };

const ajv = new Ajv2020({ strict: false });
const ask = { messages: [{ role: "user" as const, content: "Hi" }], maxTokens: 200 };
let tokenizer: Tokenizer;
let model: LocalLanguageModel;
beforeAll(async () => {
  tokenizer = await readTokenizer(fileURLToPath(new URL("../../../tokenizer/tokenizer.json", import.meta.url)));
  const small = randomDecoderModel(5, { routing: "learned", keyValue: true, current: true });
  const random = mulberry32(9);
  const rows = tokenizer.vocabulary;
  const embedding: Matrix = {
    rows,
    columns: small.hidden,
    values: Float32Array.from({ length: rows * small.hidden }, () => random() - 0.5),
  };
  const marks = { end: 46, system: 29, user: 30, assistant: 31 };
  const wide = { ...small, embedding, head: embedding, marks, context: 512 };
  model = await localLanguageModel(wide, tokenizer, cpuEngine({ workers: 1 }));
});
afterAll(() => model.close());

/** Schemas of every keyword that is supported, and their values nested; some of them no JSON meets. */
const schemas = fc.letrec<{ schema: Schema }>((tie) => {
  const pair = fc.tuple(fc.nat(4), fc.nat(4)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  const number = fc.oneof(fc.integer({ min: -2000, max: 2000 }), fc.double({ min: -3, max: 3, noNaN: true }));
  return {
    schema: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.constantFrom<Schema>({ type: "boolean" }, { type: "null" }, { type: "integer" }, { type: "number" }, {}),
      pair.map(([minLength, maxLength]) => ({ type: "string", minLength, maxLength })),
      fc.tuple(number, number, fc.boolean(), fc.boolean()).map(([a, b, integer, open]) => ({
        type: integer ? "integer" : "number",
        [open ? "exclusiveMinimum" : "minimum"]: Math.min(a, b),
        [open ? "exclusiveMaximum" : "maximum"]: Math.max(a, b),
      })),
      fc
        .uniqueArray(fc.jsonValue({ maxDepth: 1 }) as fc.Arbitrary<Json>, { minLength: 1, maxLength: 3 })
        .map((values) => ({ enum: values })),
      (fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>).map((value) => ({ const: value })),
      fc.subarray(["string", "integer", "null", "array", "object"], { minLength: 1 }).map((type) => ({ type })),
      fc.record({ items: tie("schema"), range: pair }).map(({ items, range: [minItems, maxItems] }) => ({
        type: "array",
        items,
        minItems,
        maxItems,
      })),
      fc
        .record({
          properties: fc.dictionary(fc.string({ maxLength: 5, unit: "grapheme" }), tie("schema"), {
            maxKeys: 4,
            noNullPrototype: true,
          }),
          optional: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
          additionalProperties: fc.boolean(),
        })
        .map(({ properties, optional, additionalProperties }) => ({
          type: "object",
          properties,
          required: Object.keys(properties).filter((_, i) => !optional[i]),
          additionalProperties,
        })),
      tie("schema").map((additionalProperties) => ({ type: "object", additionalProperties })),
      fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    ),
  };
}).schema;

describe("an answer held to a JSON Schema", () => {
  it("parses and meets it, whatever the weights, the schema and the number of tokens", async () => {
    let answered = 0;
    await fc.assert(
      fc.asyncProperty(schemas, fc.nat(1000), fc.integer({ min: 1, max: 120 }), async (schema, seed, maxTokens) => {
        const request: GenerateRequest = { ...ask, schema, seed, temperature: 1.5, maxTokens };
        const { text } = await complete(model, request).catch((error: unknown) => {
          expect(error).toMatchObject({ code: "BAD_ARGUMENT", message: expect.stringMatching(/no JSON|shortest/) });
          return { text: undefined };
        });
        if (text === undefined) return;
        answered += 1;
        const valid = ajv.compile(schema);
        expect([valid(JSON.parse(text)), valid.errors, text]).toEqual([true, null, text]);
      }),
      { numRuns: 150 },
    );
    expect(answered).toBeGreaterThan(75);
  });

  it("reads every text that a schema's values have when they are written in its order", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>, (value) => {
        // −0 and exponents are not written
        const text = JSON.stringify(value, (_, inner) =>
          typeof inner === "number" ? Math.trunc(inner % 1e6) + 0 : inner,
        );
        const automaton = new Automaton(readSchema({}));
        expect(automaton.read(automaton.start, Buffer.from(text))?.complete).toBe(true);
      }),
    );
  });

  it("knows of every beginning the fewest bytes that complete it", () => {
    fc.assert(
      fc.property(schemas, fc.infiniteStream(fc.nat(255)), (schema, draws) => {
        let automaton: Automaton;
        try {
          automaton = new Automaton(readSchema(schema));
        } catch {
          return;
        }
        let state = automaton.start;
        for (let length = 0; length < 40 && state.frames.length > 0; length++) {
          const next = Array.from({ length: 256 }, (_, byte) => automaton.step(state, byte)).filter(
            (one) => one !== undefined,
          );
          if (next.length === 0) {
            expect(state.complete).toBe(true);
            break;
          }
          // the way to the end is one byte shorter after the best byte, and after no other is it shorter than that
          if (!state.complete) expect(Math.min(...next.map(({ least }) => least))).toBe(state.least - 1);
          state = next[draws.next().value! % next.length]!;
        }
      }),
      { numRuns: 60 },
    );
  });

  it("follows references, also one that leads back to itself", async () => {
    const tree: Schema = {
      $ref: "#/$defs/tree",
      $defs: {
        tree: {
          type: "object",
          properties: {
            name: { type: "string", maxLength: 3 },
            children: { type: "array", items: { $ref: "#/$defs/tree" } },
          },
          required: ["name", "children"],
          additionalProperties: false,
        },
      },
    };
    for (let seed = 0; seed < 5; seed++) {
      const { text, finish } = await complete(model, { ...ask, schema: tree, seed, temperature: 1 });
      expect([ajv.validate(tree, JSON.parse(text)), finish]).toEqual([true, "stop"]);
    }
  });

  it("goes on from a prefix", async () => {
    const schema: Schema = { type: "object", properties: { answer: { type: "boolean" } }, required: ["answer"] };
    const { text } = await complete(model, { ...ask, schema, prefix: '{"answer":' });
    expect(["true}", "false}"]).toContain(text.trim());
    await expect(complete(model, { ...ask, schema, prefix: "Yes" })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      message: expect.stringContaining("begins with the prefix"),
    });
  });

  it("refuses before decoding what cannot be met or is not supported, with its place", async () => {
    const string = { type: "string" };
    const cases: [Schema, RegExp, RegExp][] = [
      [{ enum: [] }, /no JSON meets/, /#/],
      [{ type: "string", minLength: 3, maxLength: 2 }, /no JSON meets/, /#/],
      [{ type: "array", minItems: 2, maxItems: 1 }, /no JSON meets/, /#/],
      [{ type: "integer", minimum: 1.2, maximum: 1.8 }, /no JSON meets/, /#/],
      [{ type: "string", enum: [1, 2] }, /no JSON meets/, /#/],
      [{ required: ["a"], properties: { a: false } }, /no JSON meets/, /#/],
      [{ required: ["a"], additionalProperties: false }, /no JSON meets/, /#/],
      [{ $ref: "#" }, /no JSON meets/, /#/],
      [{ properties: { a: { $ref: "#" } }, required: ["a"] }, /no JSON meets/, /#/],
      [{ properties: { a: { ...string, pattern: "x+" } } }, /cannot be held to "pattern"/, /#\/properties\/a/],
      [{ oneOf: [string] }, /oneOf/, /#/],
      [{ items: { uniqueItems: true } }, /uniqueItems/, /#\/items/],
      [{ $ref: "#/$defs/none" }, /leads nowhere/, /#/],
      [{ $ref: "http://example.org/schema" }, /no reference within/, /#/],
      [{ anyOf: [string], type: "string" }, /beside "type"/, /#/],
      [{ type: "text" }, /Invalid/, /#/],
      [{ minLength: -1 }, /Too small/, /#/],
      [{ properties: { a: 3 } }, /a schema is an object/, /#\/properties\/a/],
      [{ type: "string", minLength: 300 }, /shortest JSON/, /$/],
    ];
    for (const [schema, message, path] of cases)
      await expect(complete(model, { ...ask, schema })).rejects.toMatchObject({
        code: "BAD_ARGUMENT",
        message: expect.stringMatching(message),
        ...(path.source !== "$" && { path: expect.stringMatching(path) }),
      });
    await expect(complete(model, { ...ask, schema: string, stop: ["x"] })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      message: expect.stringContaining("stop strings"),
    });
  });
});
