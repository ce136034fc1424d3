import { describe, expect, it } from "@jest/globals";
import type { Hit } from "@tessera/core";
import { contextOf, hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { claims } from "./claims.js";
import { confirm } from "./confirm.js";
import { support } from "./support.js";
import { verify } from "./verify.js";

const hitOf = (id: string, text: string): Hit => ({ passage: { id, text, metadata: {} }, score: 1, provenance: [] });
const tower = hitOf("tower", "The Eiffel Tower stands in Paris. It was finished in 1889 and is 330 metres high.");
const bridge = hitOf("bridge", "The bridge is painted red. It has never been closed.");
const hits = [bridge, tower];
const judge = (said: (claim: string) => string) =>
  hostOf({
    "model/judge": scriptedModel(({ messages }) =>
      said(/<claim-[^>]*>\n([\s\S]*?)\n</.exec(messages[1]!.content)![1]!),
    ),
  });

testOperator(claims, {
  host: () =>
    hostOf({ "model/judge": scriptedModel(() => "Facts:\n1. The tower is in Paris.\n- It is high.\n\nNONE") }),
  cases: [
    {
      name: "are the sentences, without markers and code",
      input: { text: "It is in Paris [1]. It was built in 1889 [2][3].\n\n    const code = 1;\n\n```ts\nx\n```" },
      output: { claims: ["It is in Paris.", "It was built in 1889."] },
    },
    {
      name: "are what a model lists",
      config: { model: "judge" },
      input: { text: "It is in Paris and high." },
      output: { claims: ["The tower is in Paris.", "It is high."] },
    },
    {
      name: "are none where nothing is said",
      config: { model: "judge" },
      input: { text: " [1] " },
      output: { claims: [] },
    },
    {
      name: "are at most so many",
      config: { claims: 1 },
      input: { text: "One is. Two is." },
      output: { claims: ["One is."] },
    },
  ],
});

testOperator(verify, {
  host: () =>
    judge((claim) =>
      /Paris/.test(claim) ? "SUPPORTED [1]" : /1900/.test(claim) ? "**Refuted**: it was 1889 [1][9]" : "hm",
    ),
  cases: [
    {
      name: "row 37: each claim has its verdict and evidence, and one refuted refutes all",
      config: { model: "judge" },
      input: { claims: ["The tower is in Paris.", "The tower was finished in 1900.", "The bridge is long."], hits },
      output: {
        verdict: "refuted",
        supported: false,
        score: 1 / 3,
        claims: [
          { claim: "The tower is in Paris.", verdict: "supported", evidence: ["tower"], score: 1 },
          { claim: "The tower was finished in 1900.", verdict: "refuted", evidence: ["tower"], score: 0 },
          { claim: "The bridge is long.", verdict: "insufficient", evidence: [], score: 0 },
        ],
        feedback: "Wrong by the passages: The tower was finished in 1900.\nNot in the passages: The bridge is long.",
      },
    },
    {
      name: "is supported where every claim is",
      config: { model: "judge" },
      input: { claims: ["It is in Paris."], hits },
      output: ({ verdict, supported, feedback }) =>
        expect([verdict, supported, feedback]).toEqual(["supported", true, ""]),
    },
    {
      name: "nothing claimed is nothing supported",
      config: { model: "judge" },
      input: { claims: [], hits },
      output: ({ verdict, supported }) => expect([verdict, supported]).toEqual(["insufficient", false]),
    },
  ],
});

describe("generator.verify", () => {
  it("takes each claim's own evidence, and asks nothing where there is none", async () => {
    const model = scriptedModel(() => "SUPPORTED [1]");
    const context = contextOf();
    const output = await runOperator(
      verify,
      { model: "judge" },
      { claims: ["The bridge is red.", "The tower is high."], evidence: [[], [tower]], hits: [bridge] },
      { host: hostOf({ "model/judge": model }), context },
    );
    expect((output.claims as { verdict: string }[]).map(({ verdict }) => verdict)).toEqual([
      "insufficient",
      "supported",
    ]);
    expect(context.spent.calls).toBe(1);
    expect(model.requests[0]!.messages[1]!.content).not.toContain("painted");
  });

  it("never asks more often than its bound says", async () => {
    const model = scriptedModel(() => "SUPPORTED");
    const config = verify.config.parse({ model: "judge", claims: 2 });
    const output = await runOperator(
      verify,
      config,
      { claims: ["The tower a", "The tower b", "The tower c"], hits },
      { host: hostOf({ "model/judge": model }) },
    );
    expect(model.requests).toHaveLength(verify.bound!(config).calls);
    expect(output.supported).toBe(false);
  });

  it.each([
    ["Not supported.", "insufficient"],
    ["Unsupported", "insufficient"],
    ["The claim is CONTRADICTED", "refuted"],
    ["supported", "supported"],
    ["INSUFFICIENT. Were it SUPPORTED…", "insufficient"],
    ["", "insufficient"],
  ])("reads %j as %s", async (said, verdict) => {
    const output = await runOperator(
      verify,
      { model: "judge" },
      { claims: ["The tower"], hits },
      { host: judge(() => said) },
    );
    expect((output.claims as { verdict: string }[])[0]!.verdict).toBe(verdict);
  });
});

testOperator(support, {
  cases: [
    {
      name: "supports what two neighbouring sentences say",
      input: { claims: ["The Eiffel Tower, finished in 1889, stands in Paris."], hits },
      output: {
        verdict: "supported",
        supported: true,
        score: expect.closeTo(1),
        claims: [
          {
            claim: "The Eiffel Tower, finished in 1889, stands in Paris.",
            verdict: "supported",
            evidence: ["tower"],
            score: expect.closeTo(1),
          },
        ],
        feedback: "",
      },
    },
    {
      name: "refutes another number",
      input: { claims: ["The Eiffel Tower was finished in Paris in 1900."], hits },
      output: ({ verdict }) => expect(verdict).toBe("refuted"),
    },
    {
      name: "refutes a denial",
      input: { claims: ["The bridge painted red has been closed."], hits },
      output: ({ verdict }) => expect(verdict).toBe("refuted"),
    },
    {
      name: "knows that it does not know",
      input: { claims: ["Cats sleep on warm roofs in summer."], hits },
      output: ({ verdict }) => expect(verdict).toBe("insufficient"),
    },
    {
      name: "needs evidence",
      input: { claims: ["The bridge is painted red."] },
      output: ({ verdict }) => expect(verdict).toBe("insufficient"),
    },
  ],
});

const answer = { text: "It is 330 metres high [1].", citations: [{ marker: 1, passage: "tower" }], refused: false };
const examined = { query: "How high is the tower?", answer, hits };
testOperator(confirm, {
  host: () => hostOf({ "model/judge": scriptedModel(() => "C: it is 300 metres high.") }),
  cases: [
    {
      name: "says what to change",
      config: { model: "judge" },
      input: examined,
      output: { confirmed: false, choice: "wrong", feedback: "it is 300 metres high." },
    },
  ],
});

describe("generator.confirm", () => {
  it.each([
    ["A", true, "right"],
    ["**A**: all is said", true, "right"],
    ["Answer: B. The year is missing.", false, "partly"],
    ["(d) nothing says so", false, "unfounded"],
    ["A'ight", false, "unfounded"],
    ["All good", false, "unfounded"],
    ["", false, "unfounded"],
  ])("reads %j as confirmed: %s, %s", async (said, confirmed, choice) => {
    const host = hostOf({ "model/judge": scriptedModel(() => said) });
    const output = await runOperator(confirm, { model: "judge" }, examined, { host });
    expect(output).toMatchObject({ confirmed, choice });
    expect(output.feedback === "").toBe(confirmed);
  });
});
