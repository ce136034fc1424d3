import { describe, expect, it } from "@jest/globals";
import type { GenerateRequest } from "@tessera/core";
import { scriptedModel } from "@tessera/testkit";
import { hostOver } from "./corpus.fixture.js";
import { selfRag } from "./self-rag/flow.js";
import { selfRagTokens } from "./self-rag-tokens/flow.js";
import { trace } from "./trace.fixture.js";

/** The reflection tokens of the authors' model, by the choices of the flow's judges. */
const tokens: Readonly<Record<string, string>> = {
  ...{ retrieve: "[Retrieval]", continue: "[No Retrieval]", relevant: "[Relevant]", irrelevant: "[Irrelevant]" },
  ...{ fully: "[Fully supported]", partially: "[Partially supported]", not: "[No support / Contradictory]" },
  ...Object.fromEntries(["1", "2", "3", "4", "5"].map((grade) => [grade, `[Utility:${grade}]`])),
};

/** What a tuned model makes probable as its first token, by what it is asked and about which passage. */
const chances = (request: GenerateRequest): Record<string, number> => {
  const [system, user] = request.messages.map(({ content }) => content) as [string, string];
  const kolm = user.includes("born in Kolm");
  if (system.includes("Do facts from a search help"))
    return user.includes("She") ? { continue: 0.5, retrieve: 0.1 } : { continue: 0.6, retrieve: 0.25 };
  if (system.includes("Does the passage hold"))
    return kolm ? { relevant: 0.8, irrelevant: 0.1 } : { relevant: 0.2, irrelevant: 0.6 };
  if (system.includes("How far does the passage support"))
    return kolm ? { fully: 0.6, partially: 0.2, not: 0.1 } : { fully: 0.1, partially: 0.3, not: 0.4 };
  if (system.includes("How useful is the draft"))
    return kolm ? { "5": 0.5, "4": 0.25, "1": 0.05 } : { "2": 0.6, "3": 0.2 };
  return {};
};

const model = () =>
  scriptedModel(
    (request) => {
      const [likeliest] = Object.entries(chances(request)).sort(([, a], [, b]) => b - a);
      if (likeliest) return tokens[likeliest[0]]!;
      const user = request.messages[1]!.content;
      if (user.includes("She")) return "END";
      return user.includes("born in Kolm") ? "She came from Kolm." : "She built it.";
    },
    {
      capabilities: ["logprobs"],
      logprob: () => Math.log(0.7),
      alternatives: (_, request) =>
        Object.entries(chances(request)).map(([choice, chance]) => ({
          text: tokens[choice]!,
          logprob: Math.log(chance),
        })),
    },
  );

describe("self-rag", () => {
  it("row 55: with a tuned model's tokens it retrieves above 0.2, and scores segments by the formula of its code", async () => {
    const { output, inputsOf } = await trace(selfRagTokens, { query: "Ada Brandt born" }, model());
    // 0.25 / 0.85 is above the threshold although the other token is likelier; 0.1 / 0.6 is not
    expect(inputsOf("/retrieve")).toHaveLength(1);
    const score =
      0.7 + // exp of the mean log-probability
      0.8 / 0.9 +
      (0.6 + 0.2 / 2) / 0.9 +
      (0.5 * (0.5 + 0.25 * 0.5 - 0.05)) / 0.8;
    expect(output).toMatchObject({ text: "She came from Kolm.", score: expect.closeTo(score, 12) });
  });

  it("row 55: with tokens the beam keeps the two best, and the other passage's segment is worth what the formula says", async () => {
    const { events } = await trace(selfRagTokens, { query: "Ada Brandt born" }, model());
    const scores = events.flatMap((event) =>
      event.type === "node-end" && event.path.endsWith("segments[1]/score")
        ? [(event.output as { score: number }).score]
        : [],
    );
    const other = 0.7 + 0.2 / 0.8 + (0.1 + 0.3 / 2) / 0.8 + (0.5 * (0.6 * -0.5)) / 0.8;
    expect(scores).toEqual([expect.closeTo(other, 12)]);
  });

  it("row 55: with a prompted model the verdicts are words, and the same flow scores them", async () => {
    const prompted = scriptedModel(
      ({ messages }) => {
        const [system, user] = messages.map(({ content }) => content) as [string, string];
        if (system.includes("Do facts from a search help")) return user.includes("She") ? "continue" : "retrieve";
        if (system.includes("Does the passage hold")) return user.includes("born in Kolm") ? "relevant" : "irrelevant";
        if (system.includes("How far does the passage support")) return "fully";
        if (system.includes("How useful is the draft")) return "4";
        return user.includes("She") ? "END" : "She came from Kolm.";
      },
      { capabilities: [] },
    );
    const { output } = await trace(selfRag, { query: "Ada Brandt born" }, prompted);
    // no log-probabilities: the first part is 0, and every verdict counts wholly
    expect(output.score).toBe(1 + 1 + 0.5 * 0.5);
  });

  it("in the mode of tokens it is refused at compile with a model that gives no log-probabilities", async () => {
    const silent = scriptedModel([]);
    await expect(trace(selfRagTokens, { query: "q" }, silent, hostOver(silent))).rejects.toMatchObject({
      findings: expect.arrayContaining([expect.objectContaining({ code: "MISSING_CAPABILITY" })]),
    });
  });
});
