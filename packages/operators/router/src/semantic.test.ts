import { describe, expect, it, jest } from "@jest/globals";
import { type Encoder, flow, is } from "@tessera/core";
import { softmax } from "@tessera/core/internal";
import { hostOf, runOperator, scriptedEncoder, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { embedIntents, routeScores, similarity } from "./intents.js";
import { semantic } from "./semantic.js";

const host = () => hostOf({ "encoder/main": scriptedEncoder(256) });
const routes = {
  code: { find: ["where is the function", "find the class"], explain: ["explain this function"] },
  chat: ["hello there", "good morning"],
};
const config = { encoder: "main", routes, otherwise: "nothing", neighbours: 1 };

testOperator(semantic, {
  host,
  cases: [
    {
      name: "goes to the route of the nearest intent",
      config,
      input: { query: "please explain this function" },
      output: (output) => expect(output).toMatchObject({ choice: "code", intent: "explain" }),
    },
    {
      name: "what is like nothing goes otherwise",
      config: { ...config, least: 0.5 },
      input: { query: "zebra quagga okapi" },
      output: (output) => expect(output.choice).toBe("nothing"),
    },
    {
      name: "an example itself is as near as can be",
      config,
      input: { query: "good morning" },
      output: (output) => {
        expect(output.similarity).toBeCloseTo(1, 6);
        expect(output.choice).toBe("chat");
      },
    },
  ],
});

describe("router.semantic", () => {
  it("row 40: the probabilities of equation 21 sum to 1, and a colder softmax is surer", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 20 }), (values) => {
        const warm = softmax(values, 1);
        expect(warm.reduce((sum, chance) => sum + chance, 0)).toBeCloseTo(1, 9);
        expect(Math.max(...softmax(values, 0.01))).toBeGreaterThanOrEqual(Math.max(...warm) - 1e-9);
      }),
    );
  });

  it("row 40: erratum E9: a route's score is the highest of its intents, by hand", () => {
    // similarities ln 1, ln 2, ln 5 at temperature 1: probabilities 1/8, 2/8, 5/8
    const chances = softmax([Math.log(1), Math.log(2), Math.log(5)], 1);
    const intent = (route: string) => ({ route, name: route, vectors: [] });
    const scores = routeScores([intent("a"), intent("a"), intent("b")], chances);
    expect([...scores]).toEqual([
      ["a", expect.closeTo(2 / 8, 12)],
      ["b", expect.closeTo(5 / 8, 12)],
    ]);
  });

  it("row 40: the scores of routes with one intent each are the softmax of the cosines, by hand, and sum to 1", async () => {
    const table: Record<string, Float32Array> = {
      ...{
        q: Float32Array.of(1, 0),
        a: Float32Array.of(0.8, 0.6),
        b: Float32Array.of(0, 1),
        c: Float32Array.of(-1, 0),
      },
    };
    const encoder: Encoder = {
      ...{ revision: "1", space: () => "table" },
      encode: async (texts) => texts.map((text) => table[text]!),
    };
    const config = { encoder: "main", routes: { a: ["a"], b: ["b"], c: ["c"] }, otherwise: "none", temperature: 0.5 };
    const host = hostOf({ "encoder/main": encoder });
    const { choice, scores } = await runOperator(semantic, config, { query: "q" }, { host });
    const parts = [0.8, 0, -1].map((cosine) => Math.exp(cosine / 0.5));
    const sum = parts.reduce((total, part) => total + part, 0);
    expect(choice).toBe("a");
    expect(Object.values(scores as object)).toEqual(parts.map((part) => expect.closeTo(part / sum, 6)));
    expect(Object.values(scores as Record<string, number>).reduce((total, one) => total + one, 0)).toBeCloseTo(1, 9);
  });

  it("an intent is as near as the mean of its nearest examples", async () => {
    const axis = (x: number, y: number) => Float32Array.of(x, y);
    const table: Record<string, Float32Array> = { a: axis(1, 0), b: axis(0, 1), c: axis(-1, 0) };
    const encoder: Encoder = {
      revision: "1",
      space: () => "s",
      encode: async (texts) => texts.map((text) => table[text]!),
    };
    const [one, two] = await embedIntents(encoder, { r: { one: ["a", "b", "c"] }, s: ["b"] });
    expect(one).toMatchObject({ route: "r", name: "one" });
    expect(two).toMatchObject({ route: "s", name: "s", vectors: [axis(0, 1)] });
    expect(similarity(one!, axis(1, 0), 2)).toBe(0.5);
    expect(similarity(one!, axis(1, 0), 9)).toBe(0);
  });

  it("embeds its examples once, when it is set up", async () => {
    const inner = scriptedEncoder();
    const encode = jest.fn(inner.encode);
    const counting: Encoder = { ...inner, encode };
    const work = await semantic.setup(semantic.config.parse(config), hostOf({ "encoder/main": counting }));
    expect(encode).toHaveBeenCalledTimes(1);
    const context = { signal: new AbortController().signal } as never;
    await work({ query: "hello" }, context);
    await work({ query: "bye" }, context);
    expect(encode).toHaveBeenCalledTimes(3);
  });

  it("says which encoder is missing", async () => {
    await expect(runOperator(semantic, config, { query: "q" })).rejects.toMatchObject({ code: "UNKNOWN_RESOURCE" });
  });

  it("its choices follow from its config, also in TypeScript", () => {
    flow("typed", { query: "text" }, (f, { query }) => {
      const { choice } = f.node(
        "r",
        semantic({ encoder: "m", routes: { a: ["x"], b: { c: ["y"] } }, otherwise: "d" }),
        {
          query,
        },
      );
      f.node("yes", semantic(config), { query }, { when: is(choice, "a", "b", "d") });
      // @ts-expect-error an intent is no route
      f.node("no", semantic(config), { query }, { when: is(choice, "c") });
      return { choice };
    });
  });
});
