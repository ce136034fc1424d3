import { describe, expect, it } from "@jest/globals";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { referencesIn, subQuery } from "./sub-query.js";

const config = { model: "main" };
const run = (answer: string) =>
  runOperator(subQuery, config, { query: "whole?" }, { host: hostOf({ "model/main": scriptedModel(() => answer) }) });

testOperator(subQuery, {
  host: () =>
    hostOf({
      "model/main": scriptedModel(() => "1. Who directed Jaws?\n2. When was #1 born?\n3. And #1's wife, of #2?"),
    }),
  cases: [
    {
      name: "row 14: sub-query keeps the order and the references of MuSiQue's notation",
      config,
      input: { query: "When was the director of Jaws born?" },
      output: { queries: ["Who directed Jaws?", "When was #1 born?", "And #1's wife, of #2?"], dependent: true },
    },
  ],
});

describe("query.sub-query", () => {
  it("sub-questions without references are independent", async () => {
    expect(await run("- Is a cat a mammal?\n- Is a dog a mammal?")).toEqual({
      queries: ["Is a cat a mammal?", "Is a dog a mammal?"],
      dependent: false,
    });
  });

  it.each(["", "1. Who is #2?\n2. Who?", "1. Who is #1?", "1. Who is #0?", "1. a?\n2. What of #7?"])(
    "the answer %j is no plan: the whole question stays",
    async (answer) => {
      expect(await run(answer)).toEqual({ queries: ["whole?"], dependent: false });
    },
  );

  it("reads references once each", () => {
    expect(referencesIn("#1 and #12 and #1, C# 3, #")).toEqual([1, 12]);
  });
});
