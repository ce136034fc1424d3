import { describe, expect, it } from "@jest/globals";
import { type Delta, type GenerateRequest, type Hit, type LanguageModel, TesseraError } from "@tessera/core";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { ensemble } from "./ensemble.js";

const hit = (id: string, score: number): Hit => ({
  passage: { id, text: `It is ${id}`, metadata: {} },
  score,
  provenance: [],
});
// λ = 1/4 and 3/4
const two = [hit("rome", Math.log(1)), hit("paris", Math.log(3))];
const config = { model: "main" };

const seen = (request: GenerateRequest) => (request.messages[1]!.content.includes("It is rome") ? "rome" : "paris");

/** A model with the next-token distributions of a table: by passage and by what was said so far. */
function tableModel(table: Record<string, Record<string, Record<string, number>>>): LanguageModel & { calls: number } {
  const model = {
    revision: "1",
    capabilities: new Set(["logprobs", "prefix"] as const),
    calls: 0,
    async *generate(request: GenerateRequest): AsyncIterable<Delta> {
      model.calls += 1;
      const entries = Object.entries(table[seen(request)]![request.prefix ?? ""] ?? {});
      const usage = { prompt: 1, completion: 1 };
      if (entries.length === 0) {
        yield { text: "", finish: "stop", usage };
        return;
      }
      const alternatives = entries
        .map(([text, chance]) => ({ text, logprob: Math.log(chance) }))
        .sort((a, b) => b.logprob - a.logprob);
      yield { text: alternatives[0]!.text, tokens: [{ ...alternatives[0]!, alternatives }], finish: "length", usage };
    },
  };
  return model;
}

testOperator(ensemble, {
  host: () => hostOf({ "model/main": scriptedModel((request) => (seen(request) === "rome" ? "Rome" : "It is paris")) }),
  cases: [
    {
      name: "row 46: at the answer level the greater λ wins, and the fallback is visible",
      config,
      input: { query: "capital?", hits: two },
      output: {
        answer: { text: "It is paris [1]", citations: [{ marker: 1, passage: "paris" }], refused: false },
        confidence: expect.closeTo(3 / 4, 12),
        level: "answer",
        failed: [],
      },
    },
    {
      name: "without a hit it refuses",
      config,
      input: { query: "capital?", hits: [] },
      output: { answer: { text: "", citations: [], refused: true }, confidence: 0, level: "none", failed: [] },
    },
  ],
});

/** What the ensemble over two passages says by a model. */
const decoded = (model: LanguageModel) =>
  runOperator(ensemble, config, { query: "q", hits: two }, { host: hostOf({ "model/main": model }) });

describe("fuser.ensemble", () => {
  it("row 46: the token level decodes Σ λ p on toy distributions", async () => {
    // first token: a = 1/4·0.6 + 3/4·0.3 = 0.375, b = 1/4·0.4 + 3/4·0.5 = 0.475, c = 3/4·0.2 = 0.15
    // after b both end
    const model = tableModel({
      rome: { "": { a: 0.6, b: 0.4 }, b: {} },
      paris: { "": { b: 0.5, a: 0.3, c: 0.2 }, b: {} },
    });
    const output = await decoded(model);
    expect(output).toMatchObject({ answer: { text: "b" }, confidence: expect.closeTo(0.475, 12), level: "token" });
    expect(model.calls).toBe(4);
  });

  it("row 46: no single passage need prefer what the ensemble says", async () => {
    // rome alone says x, paris alone says y; together z: 1/4·0.4 + 3/4·0.4 = 0.4 > y = 3/4·0.5 = 0.375
    const model = tableModel({ rome: { "": { x: 0.6, z: 0.4 } }, paris: { "": { y: 0.5, z: 0.4 } } });
    const output = await decoded(model);
    expect(output).toMatchObject({ answer: { text: "z" } });
  });

  const failing = (model: LanguageModel, place: string): LanguageModel => ({
    ...model,
    async *generate(request, signal) {
      if (seen(request) === place) throw new TesseraError("MODEL_FAILED", "out of order");
      yield* model.generate(request, signal);
    },
  });
  const both = { rome: { "": { x: 0.6, z: 0.4 } }, paris: { "": { y: 0.5, z: 0.4 } } };

  it.each([
    ["token", tableModel(both), "x", 0.6],
    ["answer", scriptedModel(() => "Rome"), "Rome", 1],
  ])(
    "row 51: at the %s level a passage whose call fails takes no part, and is named",
    async (level, model, said, sure) => {
      const host = hostOf({ "model/main": failing(model, "paris") });
      const output = await runOperator(ensemble, config, { query: "q", hits: two }, { host });
      expect(output).toMatchObject({ level, confidence: expect.closeTo(sure, 12), failed: ["paris"] });
      expect((output.answer as { text: string }).text).toContain(said);
    },
  );

  it("fails where all passages do", async () => {
    const host = hostOf({ "model/main": failing(failing(tableModel(both), "rome"), "paris") });
    await expect(runOperator(ensemble, config, { query: "q", hits: two }, { host })).rejects.toMatchObject({
      code: "MODEL_FAILED",
    });
  });

  it("cites the heaviest passage that holds what was said, as words", async () => {
    const hits = ["a nocturnal owl", "no owl", "no, never"].map((text, index) => ({
      ...hit(`p${index}`, index),
      passage: { id: `p${index}`, text, metadata: {} },
    }));
    const host = hostOf({ "model/main": scriptedModel(() => "No.") });
    const { answer } = await runOperator(ensemble, config, { query: "q", hits }, { host });
    expect(answer).toMatchObject({ text: "No. [1]", citations: [{ marker: 1, passage: "p2" }] });
  });

  it("decodes no more tokens than it may, and declares them", async () => {
    const endless = tableModel({
      rome: new Proxy({}, { get: () => ({ x: 1 }) }),
      paris: new Proxy({}, { get: () => ({ x: 1 }) }),
    });
    const settings = { ...config, maxTokens: 5, hits: 2 };
    const output = await runOperator(
      ensemble,
      settings,
      { query: "q", hits: [...two, hit("more", 0)] },
      { host: hostOf({ "model/main": endless }) },
    );
    expect(output).toMatchObject({ answer: { text: "xxxxx" } });
    expect(endless.calls).toBe(10);
    expect(ensemble.bound!(ensemble.config.parse(settings)).calls).toBe(10);
  });

  it("refuses at set-up the token level of a model that cannot", async () => {
    const host = hostOf({ "model/main": scriptedModel([], { capabilities: ["logprobs"] }) });
    await expect(
      runOperator(ensemble, { ...config, level: "token" }, { query: "q", hits: two }, { host }),
    ).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
  });
});
