import { deserialize, serialize } from "node:v8";
import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, flow, operator } from "@tessera/core";
import fc from "fast-check";
import { z } from "zod";
import { compile } from "../compile.js";
import { memoryRecords } from "./memory.js";
import { pack, seal, unpack, unseal } from "./pack.js";
import { decode, encode, hashOf } from "./values.js";

const bare = (members: object): object => Object.assign(Object.create(null), members);
const sparse = <T>(...members: T[]): T[] => {
  const list = [...members, ...members];
  delete list[1];
  return list;
};

/** Values of every kind that ports can carry; keys that look like our marks among them. */
const values = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(fc.string({ unit: "binary" }), fc.boolean(), fc.constant(null), fc.constant(undefined), fc.double()),
    fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY, 1e308, "\ud800", "long ".repeat(300)),
    fc.bigInt(),
    fc.date({ noInvalidDate: true }),
    fc.oneof(fc.float32Array(), fc.uint8Array(), fc.int32Array(), fc.bigInt64Array()),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.uint8Array().map((bytes) => Uint8Array.from(bytes).buffer),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(tie("value"), { minLength: 2, maxLength: 4 }).map((list) => sparse(...list)),
    fc.dictionary(fc.constantFrom("a", "$array", "$same", "$number", "$map", "__proto__", "0", "b c"), tie("value")),
    fc.dictionary(fc.string(), tie("value"), { noNullPrototype: false }),
    fc.array(fc.tuple(tie("value"), tie("value")), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(tie("value"), { maxLength: 3 }).map((members) => new Set(members)),
    tie("value").map((shared) => ({ first: shared, second: [shared, shared] })),
  ),
})).value;

/** Whether two values are alike in all that a reader can see, and in which of their parts are one object. */
const alike = (one: unknown, other: unknown): void => {
  expect(other).toStrictEqual(one);
  const shape = (value: unknown): number[] => {
    const seen = new Map<object, number>();
    const walk = (given: unknown): number[] => {
      if (typeof given !== "object" || given === null) return [];
      const known = seen.get(given);
      if (known !== undefined) return [known];
      seen.set(given, seen.size);
      if (ArrayBuffer.isView(given)) return [-1];
      const members =
        given instanceof Map ? [...given].flat(1) : given instanceof Set ? [...given] : Object.values(given);
      return [-1, ...members.flatMap(walk)];
    };
    return walk(value);
  };
  expect(shape(other)).toEqual(shape(one));
};

describe("values of ports", () => {
  it("come back as they were, whatever they are", () => {
    fc.assert(
      fc.property(values, (given) => {
        const back = decode(encode(given));
        alike(given, back);
        expect(hashOf(back)).toBe(hashOf(given));
      }),
      { numRuns: 1000 },
    );
    expect((decode(encode(new Date(Number.NaN))) as Date).getTime()).toBeNaN();
  });

  it("have one hash where they are equal, another where they differ, however they share their parts", () => {
    fc.assert(
      fc.property(values, values, (one, other) => {
        const copy = deserialize(serialize(one)) as unknown;
        // a copy by structured clone loses prototypes of bytes and of bare objects: only what it keeps is compared
        if (encode(copy) === encode(one)) expect(hashOf(copy)).toBe(hashOf(one));
        expect(hashOf(one) === hashOf(other)).toBe(hashOf([one]) === hashOf([other]));
        expect(hashOf({ a: one, b: structuredCloneOf(one) })).toBe(hashOf({ a: one, b: one }));
      }),
    );
    for (const [one, other] of [
      [0, -0],
      [undefined, null],
      [[undefined], [null]],
      [{ a: undefined }, {}],
      [new Uint8Array([1]), Buffer.from([1])],
      ["1", 1],
      [1n, 1],
      [{ a: 1 }, bare({ a: 1 })],
      [new Date(5), 5],
      [
        [[1], 2],
        [1, [2]],
      ],
      [sparse(1, 2), [1, undefined, 1, 2]],
    ])
      expect(hashOf(one)).not.toBe(hashOf(other));
  });

  it("cost what their distinct objects cost: a value doubled 40 times", () => {
    let doubled: unknown = { leaf: "x" };
    for (let i = 0; i < 40; i++) doubled = [doubled, doubled];
    const text = encode(doubled);
    expect(text.length).toBeLessThan(3000);
    expect(encode(decode(text))).toBe(text);
    expect(hashOf(doubled)).toHaveLength(64);
  });

  it("are refused, with the place, where they cannot be kept", () => {
    const circle: Record<string, unknown> = {};
    circle.self = [circle];
    let deep: unknown = 0;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    class Own {}
    for (const [given, path] of [
      [{ a: [() => 1] }, "value.a.0"],
      [circle, "value.self.0"],
      [{ own: new Own() }, "value.own"],
      [[Symbol("s")], "value.0"],
      [{ [Symbol("s")]: 1 }, "value"],
      [Object.assign([1], { more: 2 }), "value"],
      [new (class extends Array {})(), "value"],
      [{ pattern: /x/ }, "value.pattern"],
      [deep, undefined],
    ] as const)
      for (const walk of [encode, hashOf])
        expect(() => walk(given)).toThrow(
          expect.objectContaining({ code: "BAD_OUTPUT", ...(path !== undefined && { path }) }),
        );
  });

  it("pass a flow alike with and without records, in the run and in its replay (E-37)", async () => {
    const strange = {
      zero: -0,
      list: [undefined],
      holes: sparse(1, 2),
      buffer: Buffer.from("abc"),
      bare: bare({ a: 1 }),
      date: new Date(0),
      map: new Map([["a", 1n]]),
      nan: Number.NaN,
    };
    const give = operator({
      name: "test.give",
      version: 1,
      about: { module: "data", submodule: "test", summary: "Gives something strange." },
      config: z.strictObject({}),
      ports: { input: { value: z.any() }, output: { value: z.any() } },
      setup:
        () =>
        async ({ value }) => ({ value: { ...strange, value } }),
    });
    const graph = flow("strange", { value: "any" }, (f, input) => ({
      value: f.node("a", give(), { value: input.value }).value,
    }));
    const operators = [give] as unknown as AnyOperator[];
    const plain = await compile(graph.document, { operators });
    const kept = await compile(graph.document, { operators, records: memoryRecords() });
    const expected = { value: { ...strange, value: strange } };
    alike(expected, (await plain.run({ value: strange })).output);
    alike(expected, (await kept.run({ value: strange }, { id: "r" })).output);
    expect((await kept.replay("r")).output).toStrictEqual(expected);
    const own = { value: new URL("http://localhost") };
    await expect(kept.run(own)).rejects.toMatchObject({ code: "BAD_OUTPUT" });
  });
});

const structuredCloneOf = (value: unknown): unknown => decode(encode(value));

describe("what is kept", () => {
  const row = { short: 1, long: "the dose is 10 mg; ".repeat(20), bytes: new Uint8Array(300) };

  it("is found where one bit of it changed, or where it was cut", async () => {
    const line = seal(row);
    const bytes = Buffer.from(line);
    for (let bit = 0; bit < 8 * bytes.length; bit += 5) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => unseal(flipped.toString("utf8"), "file")).toThrow(
        expect.objectContaining({ code: "RECORD_CORRUPT", path: "file" }),
      );
    }
    for (let end = 0; end < line.length; end += 3)
      expect(() => unseal(line.slice(0, end), "file")).toThrow(expect.objectContaining({ code: "RECORD_CORRUPT" }));
    expect(unseal(line, "file")).toEqual(row);
    const { refs, texts } = pack(row);
    for (const [hash, text] of texts) {
      const changed = new Map(texts).set(hash, text.replace("0", "8").replace("A", "B"));
      await expect(unpack(refs, { texts: async () => changed })).rejects.toMatchObject({
        code: "RECORD_CORRUPT",
        path: hash,
      });
    }
    await expect(unpack(refs, { texts: async () => new Map() })).rejects.toMatchObject({ code: "RECORD_CORRUPT" });
    expect(await unpack(refs, { texts: async () => texts })).toEqual(row);
  });

  it("is kept once where it is equal", () => {
    const { texts } = pack({ a: row.long, b: `${row.long}`, c: [row.long] });
    expect(texts.size).toBe(2);
  });
});
