import { describe, expect, it } from "@jest/globals";
import { type Encoder, flow, type GenerateRequest } from "@tessera/core";
import { contextOf, hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { hyde, meanOf } from "./hyde.js";

// every text is a unit vector of its own
const axes = ["passage 0", "passage 1", "passage 2", "why?"];
const encoder: Encoder = {
  revision: "1",
  space: () => "axes",
  encode: async (texts) => texts.map((text) => Float32Array.from(axes, (axis) => (axis === text ? 1 : 0))),
};
const write = () => scriptedModel((_: GenerateRequest, call: number) => `passage ${call}`);
const host = (model = write()) => hostOf({ "model/main": model, "encoder/main": encoder });
const config = { model: "main", count: 3, encoder: "main" };

testOperator(hyde, {
  host,
  cases: [
    {
      name: "row 17: HyDE averages n hypothetical vectors and the query's",
      config,
      input: { query: "why?" },
      output: (output, context) => {
        expect(output.vector).toEqual([0.5, 0.5, 0.5, 0.5]);
        expect(output.documents).toEqual(["passage 0", "passage 1", "passage 2"]);
        expect(output.query).toBe("why?\npassage 0\npassage 1\npassage 2");
        expect(context.spent.calls).toBe(3);
      },
    },
    {
      name: "row 17: HyDE can leave the query out",
      config: { ...config, withQuery: false },
      input: { query: "why?" },
      output: (output) => {
        const third = expect.closeTo(1 / Math.sqrt(3), 12);
        expect(output.vector).toEqual([third, third, third, 0]);
      },
    },
    {
      name: "without an encoder there is no vector",
      config: { model: "main", count: 1 },
      input: { query: "why?" },
      output: { documents: ["passage 0"], query: "why?\npassage 0" },
    },
  ],
});

describe("query.hyde", () => {
  it("row 17: writes 8 passages by default, and says what that can cost", () => {
    const settings = hyde.config.parse({ model: "m" });
    expect(settings.count).toBe(8);
    expect(hyde.bound!(settings).calls).toBe(8);
  });

  it("a model that writes nothing leaves the question alone", async () => {
    const output = await runOperator(
      hyde,
      { ...config, withQuery: false },
      { query: "why?" },
      { host: host(scriptedModel(() => " ")) },
    );
    expect(output).toEqual({ documents: [], query: "why?", vector: [0, 0, 0, 1] });
  });

  it("samples with seeds of the run where the model takes them", async () => {
    const seeds = async () => {
      const model = scriptedModel(() => "x", { capabilities: ["seed"] });
      await runOperator(hyde, config, { query: "why?" }, { host: host(model), context: contextOf() });
      return model.requests.map(({ seed }) => seed);
    };
    const [once, twice] = [await seeds(), await seeds()];
    expect(new Set(once).size).toBe(3);
    expect(twice).toEqual(once);
  });

  it("the mean of no vectors is empty, and of opposites has no direction", () => {
    expect(meanOf([])).toEqual([]);
    expect(meanOf([Float32Array.of(1, 0), Float32Array.of(-1, 0)])).toEqual([0, 0]);
  });

  it("has a vector where it has an encoder, also in TypeScript", () => {
    flow("typed", { query: "text" }, (f, { query }) => {
      const { vector } = f.node("a", hyde({ model: "m", encoder: "e" }), { query });
      // @ts-expect-error there is no encoder
      f.node("b", hyde({ model: "m" }), { query }).vector;
      return { vector };
    });
  });
});
