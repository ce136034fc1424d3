import { describe, expect, it } from "@jest/globals";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { verifyChain } from "./verify-chain.js";

const config = { model: "main", count: 2 };
const input = { query: "Which tower is tallest?", draft: "The Eiffel tower, built in 1900." };

testOperator(verifyChain, {
  host: () =>
    hostOf({
      "model/main": scriptedModel(
        () => "1. Which tower is tallest?\n2. When was the Eiffel tower built?\n3. How tall is it?\n4. x?",
      ),
    }),
  cases: [
    {
      name: "row 15: CoVe gives questions that are asked without the draft",
      config,
      input,
      output: { queries: ["When was the Eiffel tower built?", "How tall is it?"] },
    },
  ],
});

describe("query.verify-chain", () => {
  it("the planner alone reads the draft", async () => {
    const model = scriptedModel(() => "1. When was it built?");
    const { queries } = await runOperator(verifyChain, config, input, { host: hostOf({ "model/main": model }) });
    expect(model.requests).toHaveLength(1);
    expect(model.requests[0]!.messages[1]!.content).toContain(input.draft);
    expect(JSON.stringify(queries)).not.toContain("1900");
  });

  it("an answer without a question leaves nothing to check", async () => {
    const host = hostOf({ "model/main": scriptedModel(() => "") });
    expect(await runOperator(verifyChain, config, input, { host })).toEqual({ queries: [] });
  });
});
