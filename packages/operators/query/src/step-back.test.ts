import { describe, expect, it } from "@jest/globals";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { stepBack } from "./step-back.js";

testOperator(stepBack, {
  host: () =>
    hostOf({ "model/main": scriptedModel(() => 'Question: "How are connections pooled?"\n\nThis is more general.') }),
  cases: [
    {
      name: "row 18: step-back asks one more general question",
      config: { model: "main" },
      input: { query: "Why 4,000 sockets?" },
      output: { query: "How are connections pooled?" },
    },
  ],
});

describe("query.step-back", () => {
  it("an empty answer gives the original back", async () => {
    const host = hostOf({ "model/main": scriptedModel(() => " \n") });
    expect(await runOperator(stepBack, { model: "main" }, { query: "Why?" }, { host })).toEqual({ query: "Why?" });
  });
});
