import { describe, expect, it } from "@jest/globals";
import type { FlowDocument, Hit } from "@tessera/core";
import { compile } from "@tessera/graph";
import { hostOf, scriptedModel } from "@tessera/testkit";
import { answer } from "./answer.js";
import { confirm } from "./confirm.js";

const hits: Hit[] = [{ passage: { id: "a", text: "It waits 30 s.", metadata: {} }, score: 1, provenance: [] }];

/** Row 38: a rejected answer is written again, at most `max` times in all. */
const loop = (max: number): FlowDocument => ({
  version: 1,
  name: "regenerate",
  input: { query: "text", hits: "hits" },
  nodes: {
    attempt: {
      run: {
        version: 1,
        name: "attempt",
        input: { query: "text", hits: "hits", draft: { optional: "answer" }, feedback: { optional: "text" } },
        nodes: {
          write: {
            run: "generator.answer",
            with: { model: "writer" },
            in: { query: "input.query", hits: "input.hits", draft: "input.draft", feedback: "input.feedback" },
          },
          examine: {
            run: "generator.confirm",
            with: { model: "judge" },
            in: { query: "input.query", answer: "write.answer", hits: "input.hits" },
          },
        },
        output: { answer: "write.answer", confirmed: "examine.confirmed", feedback: "examine.feedback" },
      },
      in: { query: "input.query", hits: "input.hits" },
      repeat: { until: "confirmed", carry: { draft: "answer", feedback: "feedback" }, max },
    },
  },
  output: { answer: "attempt.answer", stopReason: "attempt.stopReason", turns: "attempt.turns" },
});

describe("model verification with regeneration", () => {
  const run = async (verdicts: readonly string[], max: number) => {
    const writer = scriptedModel((_, call) => `Attempt ${call + 1} [1].`);
    const judge = scriptedModel(verdicts);
    const flow = await compile(loop(max), {
      operators: [answer, confirm],
      host: hostOf({ "model/writer": writer, "model/judge": judge }),
    });
    const { output, spent } = await flow.run({ query: "How long?", hits });
    return { output, spent, writer, bound: flow.bound };
  };

  it("writes again what was rejected, knowing what was wrong, and stops once it is confirmed", async () => {
    const { output, writer } = await run(["C: it is 30 s.", "A", "A"], 5);
    expect(output).toMatchObject({ answer: { text: "Attempt 2 [1]." }, stopReason: "until", turns: 2 });
    const [first, second] = writer.requests.map(({ messages }) => messages[1]!.content);
    expect(first).not.toContain("<draft-");
    expect(second).toMatch(/<draft-[\s\S]*Attempt 1[\s\S]*<feedback-[\s\S]*it is 30 s\./);
  });

  it("row 38: writes no more often than it may, and says why it stopped", async () => {
    const { output, writer, spent, bound } = await run(["D", "D", "D", "D"], 3);
    expect(output).toMatchObject({ answer: { text: "Attempt 3 [1]." }, stopReason: "max", turns: 3 });
    expect(writer.requests).toHaveLength(3);
    expect(spent.calls).toBe(bound.calls);
    expect(spent.tokens).toBeLessThanOrEqual(bound.tokens);
  });
});
