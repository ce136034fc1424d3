import { describe, expect, it } from "@jest/globals";
import type { Delta, GenerateRequest, LanguageModel } from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { generateText, jsonSchema, Output, streamText, tool } from "ai";
import { z } from "zod";
import { fromLanguageModel } from "./from-language-model.js";
import { toLanguageModel } from "./to-language-model.js";

Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

function scripted(deltas: readonly (Delta | Error)[], capabilities: LanguageModel["capabilities"] = new Set()) {
  const seen: GenerateRequest[] = [];
  let closed = 0;
  const model: LanguageModel = {
    revision: "scripted",
    capabilities,
    async *generate(request) {
      seen.push(request);
      try {
        for (const delta of deltas) {
          if (delta instanceof Error) throw delta;
          yield delta;
        }
      } finally {
        closed++;
      }
    },
  };
  return { model, seen, closed: () => closed };
}
const answer: Delta[] = [
  { text: "", thoughts: "Hm." },
  { text: "Hel" },
  { text: "lo" },
  { text: "", finish: "length", usage: { prompt: 5, completion: 2 } },
];

describe("toLanguageModel", () => {
  it("answers generateText", async () => {
    const { model, seen } = scripted(answer);
    const { text, reasoningText, usage, finishReason, warnings } = await generateText({
      model: toLanguageModel(model),
      instructions: "Be brief.",
      prompt: "Hi",
      temperature: 0,
      topK: 4,
      maxOutputTokens: 9,
      stopSequences: ["\n"],
    });
    expect([text, reasoningText, finishReason]).toEqual(["Hello", "Hm.", "length"]);
    expect(usage).toMatchObject({ inputTokens: 5, outputTokens: 2, totalTokens: 7 });
    expect(warnings).toEqual([{ type: "unsupported", feature: "topK" }]);
    expect(seen).toEqual([
      {
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: "Hi" },
        ],
        maxTokens: 9,
        temperature: 0,
        stop: ["\n"],
      },
    ]);
  });

  it("streams to streamText", async () => {
    const { model, closed } = scripted([...answer.slice(0, 3), { text: "", thoughts: "Again." }, ...answer.slice(1)]);
    const result = streamText({ model: toLanguageModel(model), prompt: "Hi" });
    const parts: string[] = [];
    for await (const part of result.fullStream)
      if (part.type === "text-delta" || part.type === "reasoning-delta")
        parts.push(`${part.type[0]}${part.id}:${part.text}`);
    expect(parts).toEqual(["r1:Hm.", "t2:Hel", "t2:lo", "r3:Again.", "t4:Hel", "t4:lo"]);
    expect(await result.finishReason).toBe("length");
    expect(await result.usage).toMatchObject({ inputTokens: 5, outputTokens: 2 });
    expect(closed()).toBe(1);
  });

  it("gives structured output where the model offers it", async () => {
    const { model, seen } = scripted([{ text: '{"a":1}' }, { text: "", finish: "stop" }], new Set(["json"]));
    const schema = { type: "object", properties: { a: { type: "number" } } } as const;
    const output = Output.object({ schema: jsonSchema(schema) });
    const { output: object } = await generateText({ model: toLanguageModel(model), prompt: "x", output });
    expect(object).toEqual({ a: 1 });
    expect(seen[0]!.schema).toEqual(schema);
    const plain = generateText({ model: toLanguageModel(scripted([]).model), prompt: "x", output });
    await expect(plain).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
  });

  it("continues the beginning of an answer where the model can", async () => {
    const messages = [
      { role: "user" as const, content: "Count." },
      { role: "assistant" as const, content: "One, " },
    ];
    const able = scripted(answer, new Set(["prefix"]));
    await generateText({ model: toLanguageModel(able.model), messages });
    expect(able.seen[0]).toMatchObject({ messages: [messages[0]], prefix: "One, " });
    const unable = scripted(answer);
    await generateText({ model: toLanguageModel(unable.model), messages });
    expect(unable.seen[0]).toEqual({ messages, maxTokens: 2048 });
  });

  it("refuses tools and files, which it would lose", async () => {
    const model = toLanguageModel(scripted(answer).model);
    const weather = tool({ inputSchema: z.object({}), execute: async () => "fine" });
    await expect(generateText({ model, prompt: "x", tools: { weather } })).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
    const file = { type: "file" as const, data: new Uint8Array([1]), mediaType: "application/pdf" };
    await expect(generateText({ model, messages: [{ role: "user", content: [file] }] })).rejects.toMatchObject({
      code: "MISSING_CAPABILITY",
    });
  });

  it("an error before the first word rejects the call, a later one is in the stream, an abort ends both", async () => {
    const broken = new Error("broken");
    await expect(toLanguageModel(scripted([broken]).model).doStream({ prompt: [] })).rejects.toBe(broken);
    const late = toLanguageModel(scripted([{ text: "a" }, broken]).model);
    const parts = [];
    for await (const part of (await late.doStream({ prompt: [] })).stream) parts.push(part);
    expect(parts.at(-1)).toEqual({ type: "error", error: broken });
    const left = scripted(answer);
    for await (const _ of (await toLanguageModel(left.model).doStream({ prompt: [] })).stream) break;
    expect(left.closed()).toBe(1);
  });

  it("comes back through fromLanguageModel as it was", async () => {
    const back = fromLanguageModel(toLanguageModel(scripted(answer).model));
    const request: GenerateRequest = { messages: [{ role: "user", content: "Hi" }], maxTokens: 5 };
    expect(await complete(back, request)).toEqual(await complete(scripted(answer).model, request));
  });
});
