import { describe, expect, it } from "@jest/globals";
import type { LanguageModel } from "@tessera/core";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { structured } from "./structured.js";

const hit = (id: string, text: string) => ({ passage: { id, text, metadata: {} }, score: 1, provenance: [] });
const hits = [hit("a", "Ada Brandt, born in 1840, built the harbour."), hit("b", "The mole is 90 m long.")];
const schema = {
  type: "object",
  properties: { name: { type: "string" }, born: { type: "integer" } },
  required: ["name", "born"],
};
const query = "Who built the harbour?";
const ada = { name: "Ada Brandt", born: 1840 };

const giving = (model: LanguageModel) => hostOf({ "model/model": model });

async function filled(answers: readonly string[], config: object = {}, input: object = { schema }) {
  const said = [...answers];
  const model = scriptedModel(() => said.shift() ?? "");
  const output = await runOperator(
    structured,
    { model: "model", ...config },
    { query, hits, ...input },
    { host: giving(model) },
  );
  return { output, requests: model.requests };
}

describe("structured", () => {
  testOperator(structured, {
    host: () => giving(scriptedModel(() => JSON.stringify(ada))),
    cases: [
      {
        name: "gives the value, its JSON and the passages that were shown",
        config: { model: "model" },
        input: { query, hits, schema },
        output: {
          value: ada,
          text: JSON.stringify(ada),
          refused: false,
          attempts: 1,
          answer: {
            text: JSON.stringify(ada),
            refused: false,
            citations: [
              { marker: 1, passage: "a" },
              { marker: 2, passage: "b" },
            ],
          },
        },
      },
    ],
  });

  it.each([
    ["in a code block after an introduction", `Here it is:\n\`\`\`json\n${JSON.stringify(ada, null, 2)}\n\`\`\``],
    ["after thoughts that hold another", `<think>{"name": 3}</think>${JSON.stringify(ada)}`],
    ["behind one that does not meet the schema", `{"name": "Ada"} is not enough: ${JSON.stringify(ada)}`],
  ])("reads JSON %s", async (_, said) => {
    expect((await filled([said])).output).toMatchObject({ value: ada, attempts: 1 });
  });

  it("sends a wrong answer back with what is wrong and where", async () => {
    const { output, requests } = await filled(['{"name": "Ada Brandt", "born": "1840"}', JSON.stringify(ada)]);
    expect(output).toMatchObject({ value: ada, attempts: 2 });
    expect(requests[1]!.messages.at(-1)!.content).toContain("/born is of the type string, and must be integer");
    expect(requests[1]!.messages.at(-2)).toEqual({
      role: "assistant",
      content: '{"name": "Ada Brandt", "born": "1840"}',
    });
  });

  it("ends in an error with place, code and hint where no attempt meets the schema", async () => {
    await expect(filled(['{"name": 1, "born": 2}', "I cannot."])).rejects.toMatchObject({
      code: "MODEL_FAILED",
      message: expect.stringContaining("holds no JSON"),
      hint: expect.stringContaining("attempts"),
    });
    await expect(filled(['{"name": 1, "born": 2}'], { attempts: 1 })).rejects.toMatchObject({
      message: expect.stringContaining("/name is of the type integer"),
    });
  });

  it("refuses as the model does, and asks nobody where nothing was found", async () => {
    expect((await filled(["NO ANSWER"])).output).toMatchObject({ refused: true, value: null, attempts: 1 });
    const { output, requests } = await filled([], {}, { schema, hits: [] });
    expect(output).toMatchObject({ refused: true, value: null, attempts: 0 });
    expect(requests).toEqual([]);
  });

  it("refuses a schema that it cannot check, and none at all, before a model is asked", async () => {
    const odd = { type: "object", properties: { a: { type: "string", format: "date" } } };
    await expect(filled([], {}, { schema: odd })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      message: expect.stringContaining('"format"'),
    });
    await expect(filled([], {}, {})).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      hint: expect.stringContaining("`schema`"),
    });
    expect((await filled([JSON.stringify(ada)], { schema }, {})).output).toMatchObject({ value: ada });
  });

  it("holds a model to the schema that can be held to one", async () => {
    const able = scriptedModel(() => JSON.stringify(ada), { capabilities: ["json"] });
    await runOperator(structured, { model: "model" }, { query, hits, schema }, { host: giving(able) });
    expect(able.requests[0]!.schema).toEqual(schema);
    expect((await filled([JSON.stringify(ada)])).requests[0]!.schema).toBeUndefined();
  });
});
