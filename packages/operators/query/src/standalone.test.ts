import { describe, expect, it } from "@jest/globals";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { standalone } from "./standalone.js";

const hostWith = (said: string) => () => hostOf({ "model/main": scriptedModel(() => said) });
const config = { model: "main" };
const history = "user: Who built the harbour?\nassistant: Ada Brandt [1].";

testOperator(standalone, {
  host: hostWith("Where was Ada Brandt born?"),
  cases: [
    {
      name: "a follow-up question is made whole",
      config,
      input: { query: "And where was she born?", history },
      output: { query: "Where was Ada Brandt born?" },
    },
  ],
});

describe("query.standalone", () => {
  it.each(["", " \n "])("asks no model where the history is %j", async (empty) => {
    const model = scriptedModel(() => "another question");
    const input = { query: "Who built it?", history: empty };
    expect(await runOperator(standalone, config, input, { host: hostOf({ "model/main": model }) })).toEqual({
      query: "Who built it?",
    });
    expect(model.requests).toEqual([]);
  });

  it.each([
    ["nothing", "  "],
    ["signs alone", "?!"],
    ["a treatise", "It is a long story. ".repeat(100)],
  ])("keeps the question where the model writes %s", async (_, said) => {
    const output = await runOperator(standalone, config, { query: "And she?", history }, { host: hostWith(said)() });
    expect(output).toEqual({ query: "And she?" });
  });

  it("gives the model the end of a long conversation, and what it thinks is no question", async () => {
    const model = scriptedModel(() => "<think>she is Ada</think>\nQuestion: Where was Ada born?");
    const long = `user: ${"harbour ".repeat(2000)}\nassistant: Ada Brandt.`;
    const input = { query: "And where was she born?", history: long };
    const output = await runOperator(standalone, config, input, { host: hostOf({ "model/main": model }) });
    expect(output).toEqual({ query: "Where was Ada born?" });
    const prompt = model.requests[0]!.messages[1]!.content;
    expect(prompt).toContain("Ada Brandt.");
    expect(prompt.length).toBeLessThan(10_000);
  });
});
