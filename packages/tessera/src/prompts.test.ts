import { describe, expect, it } from "@jest/globals";
import { fenceRule, flow, type Prompt, prompt } from "@tessera/core";
import { answer } from "@tessera/generator";
import { memoryRecords } from "@tessera/graph";
import { standalone } from "@tessera/query";
import { type ScriptedModel, scriptedModel } from "@tessera/testkit";
import { catalogue, prompts } from "./catalogue.js";
import { createTessera } from "./create.js";

describe("the prompts of the catalogue", () => {
  it("bear the names of their operators, each once, and every operator that takes a model has one or quotes others'", () => {
    const all = [...catalogue.values()].flatMap(({ operator }) =>
      (operator.prompts ?? []).map(({ name }) => [name, operator.name] as const),
    );
    expect(new Set(all.map(([name]) => name)).size).toBe(all.length);
    expect(all.filter(([name, operator]) => name !== operator && !name.startsWith(`${operator}.`))).toEqual([]);
    const without = [...catalogue.values()]
      .map(({ operator }) => operator)
      .filter(({ bound, prompts = [], config }) => bound && prompts.length === 0 && "model" in (config.shape ?? {}))
      .map(({ name }) => name);
    // these score given texts, and tell a model nothing
    expect(without).toEqual(["generator.dual", "reranker.compress", "reranker.selective-context"]);
  });

  it("stand in for themselves: every text has its needed places and its length", () => {
    for (const { text, places, needed, longest } of prompts.values()) {
      expect(text.length).toBeLessThanOrEqual(longest);
      expect(needed.filter((place) => !places.includes(place))).toEqual([]);
      // the rule about quoted text is added by code, so that no file can leave it out
      expect(text).not.toContain(fenceRule);
    }
  });
});

const passage = { id: "a", text: "Cats sleep.", metadata: {} };
const asked = flow("asked", { query: "text", history: "text", hits: "hits" }, (f, { query, history, hits }) => {
  const whole = f.node("whole", standalone({ model: "model" }), { query, history });
  return { text: f.node("answer", answer({ model: "model" }), { query: whole.query, hits }).text };
});
const input = { query: "And dogs?", history: "user: Do cats sleep?", hits: [{ passage, score: 1, provenance: [] }] };

describe("another prompt in the place of one of ours", () => {
  const records = memoryRecords();
  const opened = (text?: string) => {
    const model = scriptedModel(["Do dogs sleep?", "They sleep [1]."]);
    const name = "generator.answer";
    const own: Record<string, Prompt> = text === undefined ? {} : { [name]: prompt({ name, version: "mine", text }) };
    return {
      model,
      tessera: createTessera({ flows: { asked }, resources: { model: { model }, prompt: own }, records }),
    };
  };
  const systemOf = (model: ScriptedModel, call: number) => model.requests[call]!.messages[0]!.content;

  it("is what the model is told, with our rule about quoted text behind it", async () => {
    const { model, tessera } = opened("Be rude. If you do not know: {refusal}");
    await tessera.run("asked", input);
    expect(systemOf(model, 0)).toContain("Write that question again");
    expect(systemOf(model, 1)).toMatch(/^Be rude\. If you do not know: NO ANSWER\n/);
    expect(systemOf(model, 1)).toContain(fenceRule);
    await tessera.close();
  });

  it("stands in the record of a run, and a what-if computes the steps alone that send it", async () => {
    const before = opened();
    await before.tessera.run("asked", input, { id: "first" });
    const kept = (await records.run("first"))!.prompts!;
    expect(Object.keys(kept).sort()).toEqual(["generator.answer", "query.standalone"]);
    const after = opened("Be rude. If you do not know: {refusal}");
    const { output } = await after.tessera.whatIf("first", undefined, { id: "second" });
    expect(output).toEqual({ text: "Do dogs sleep?" }); // the scripted model's first line: it was asked once
    expect(after.model.requests.map(({ messages }) => messages[0]!.content.slice(0, 8))).toEqual(["Be rude."]);
    const { prompts: other } = (await records.run("second"))!;
    expect(other!["query.standalone"]).toBe(kept["query.standalone"]);
    expect(other!["generator.answer"]).toMatch(/^generator\.answer mine [0-9a-f]{16}$/);
    expect(other!["generator.answer"]).not.toBe(kept["generator.answer"]);
    await Promise.all([before.tessera.close(), after.tessera.close()]);
  });

  it("is refused by the check of the flow where it cannot stand there", async () => {
    const { tessera } = opened("Be rude.");
    await expect(tessera.run("asked", input)).rejects.toMatchObject({
      code: "INVALID_FLOW",
      findings: [expect.objectContaining({ message: expect.stringContaining("{refusal}") })],
    });
    await tessera.close();
  });
});
