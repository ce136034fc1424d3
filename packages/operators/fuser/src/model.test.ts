import { describe, expect, it } from "@jest/globals";
import type { Answer } from "@tessera/core";
import { contextOf, hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { modelFusion } from "./model.js";
import { renumber } from "./renumber.js";

const said = (text: string, ...passages: string[]): Answer => ({
  text,
  citations: passages.map((passage, index) => ({ marker: index + 1, passage })),
  refused: false,
});
const refusal: Answer = { text: "", citations: [], refused: true };
const config = { model: "main" };

testOperator(modelFusion, {
  host: () => hostOf({ "model/main": scriptedModel(() => "One [2], and two [3] [9].") }),
  cases: [
    {
      name: "row 33: every marker of the fused answer is in the context",
      config,
      input: { query: "q", answers: [said("a [1] b [2]", "x", "y"), null, said("c [2] d [1]", "x", "z")] },
      output: {
        answer: {
          text: "One [2], and two [3].",
          citations: [
            { marker: 2, passage: "y" },
            { marker: 3, passage: "z" },
          ],
          refused: false,
        },
      },
    },
    {
      name: "one answer left is the answer",
      config,
      input: { query: "q", answers: [refusal, said("a")] },
      output: { answer: said("a") },
    },
    {
      name: "where all refuse it refuses",
      config,
      input: { query: "q", answers: [refusal, null] },
      output: { answer: refusal },
    },
  ],
});

describe("fuser.model", () => {
  it("gives the answers common markers, and drops those that point nowhere", () => {
    const { texts, citations } = renumber([said("a [1] b [2] [7]", "x", "y"), said("c [1]", "y")]);
    expect(texts).toEqual(["a [1] b [2] ", "c [2]"]);
    expect([...citations.values()]).toEqual([
      { marker: 1, passage: "x" },
      { marker: 2, passage: "y" },
    ]);
  });

  it("row 45: branch answers over budget are summarised first, and the last prompt keeps the budget", async () => {
    const long = "long ".repeat(100);
    const model = scriptedModel((request) =>
      request.messages[1]!.content.includes("<answer-") && request.messages[0]!.content.startsWith("Shorten")
        ? "brief ".repeat(30)
        : "fused",
    );
    const context = contextOf();
    const { answer } = await runOperator(
      modelFusion,
      { ...config, budget: 240 },
      { query: "q", answers: [said(long), said("short"), said(long)] },
      { host: hostOf({ "model/main": model }), context },
    );
    expect((answer as Answer).text).toBe("fused");
    expect(model.requests).toHaveLength(3);
    const blocks = [
      ...model.requests[2]!.messages[1]!.content.matchAll(/<answer-(\w{8}) number="\d">\n([\s\S]*?)\n<\/answer-\1>/g),
    ];
    expect(blocks.map(([, , text]) => text!.length > 0)).toEqual([true, true, true]);
    expect(blocks.reduce((sum, [, , text]) => sum + text!.length, 0)).toBeLessThanOrEqual(240);
    const bound = modelFusion.bound!(modelFusion.config.parse({ ...config, answers: 3 }));
    expect(context.spent.calls).toBeLessThanOrEqual(bound.calls);
  });

  it("within the budget there is one call, and an empty answer leaves the first branch's", async () => {
    const model = scriptedModel(() => "");
    const output = await runOperator(
      modelFusion,
      config,
      { query: "q", answers: [said("a [1]", "x"), said("b")] },
      { host: hostOf({ "model/main": model }) },
    );
    expect(model.requests).toHaveLength(1);
    expect(output).toEqual({ answer: said("a [1]", "x") });
  });
});
