import { describe, expect, it } from "@jest/globals";
import { AIMessage, AIMessageChunk } from "@langchain/core/messages";
import { FakeChatModel, FakeListChatModel, FakeStreamingChatModel } from "@langchain/core/utils/testing";
import type { GenerateRequest } from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { collected } from "@tessera/testkit";
import { fromChatModel } from "./chat-model.js";

const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Why?" },
] as const;
const request: GenerateRequest = { messages, maxTokens: 100 };

describe("fromChatModel", () => {
  it("streams part by part, and ends with usage", async () => {
    const model = fromChatModel(new FakeListChatModel({ responses: ["Because it waits."] }));
    const all = await collected(model.generate(request));
    expect(all.length).toBeGreaterThan(10);
    expect(all.map(({ text }) => text).join("")).toBe("Because it waits.");
    expect(all.at(-1)).toMatchObject({ finish: "stop", usage: { prompt: 5, completion: 5 } });
    expect(model.revision).toBe("langchain:fake-list");
    expect([...model.capabilities]).toEqual([]);
  });

  it("sends the messages with their roles", async () => {
    const { text } = await complete(fromChatModel(new FakeChatModel({})), request);
    expect(text).toBe("Be brief.\nWhy?");
  });

  it("works over a model that only answers whole", async () => {
    const model = new FakeStreamingChatModel({ responses: [new AIMessage("All at once")], sleep: 0 });
    expect((await complete(fromChatModel(model), request)).text).toBe("All at once");
  });

  it("reads text blocks, adds the reported usage up, and sees that an answer was cut", async () => {
    const model = {
      async stream() {
        return (async function* () {
          yield new AIMessageChunk({
            content: [{ type: "text", text: "One " }, { type: "reasoning", reasoning: "hidden" } as never],
            usage_metadata: { input_tokens: 7, output_tokens: 0, total_tokens: 7 },
          });
          yield new AIMessageChunk({
            content: "two",
            usage_metadata: { input_tokens: 0, output_tokens: 2, total_tokens: 2 },
            response_metadata: { finish_reason: "length" },
          });
        })();
      },
    };
    const all = await collected(fromChatModel(model).generate(request));
    expect(all.map(({ text }) => text).join("")).toBe("One two");
    expect(all.at(-1)).toMatchObject({ finish: "length", usage: { prompt: 7, completion: 2 } });
  });

  it.each([
    ["END", "Because END of it", "Because "],
    ["ab", "aab", "a"],
    ["xyz", "never here, but xy", "never here, but xy"],
  ])("stops at %j, which the model ignores", async (stop, said, kept) => {
    const model = fromChatModel(new FakeListChatModel({ responses: [said] }));
    expect((await complete(model, { ...request, stop: [stop] })).text).toBe(kept);
  });

  it("stops at maxTokens, which the model ignores", async () => {
    const model = fromChatModel(new FakeListChatModel({ responses: ["word ".repeat(1000)] }));
    const all = await collected(model.generate({ ...request, maxTokens: 20 }));
    const text = all.map((delta) => delta.text).join("");
    expect(text.trim().split(" ")).toHaveLength(20);
    expect(all.at(-1)!.finish).toBe("length");
  });

  it("an abort ends it in the middle, with the signal's reason", async () => {
    const model = fromChatModel(new FakeListChatModel({ responses: ["x".repeat(100_000)], sleep: 50 }));
    const controller = new AbortController();
    const reason = new Error("enough");
    const read = async () => {
      for await (const _ of model.generate(request, controller.signal)) controller.abort(reason);
    };
    await expect(read()).rejects.toBe(reason);
    await expect(complete(model, request, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it("leaving early closes the model's stream", async () => {
    let closed = false;
    const model = {
      async stream() {
        return (async function* () {
          try {
            for (;;) yield new AIMessageChunk({ content: "more " });
          } finally {
            closed = true;
          }
        })();
      },
    };
    for await (const _ of fromChatModel(model).generate(request)) break;
    expect(closed).toBe(true);
  });

  it("hands on what the provider's own options say", async () => {
    const seen: unknown[] = [];
    const model = {
      async stream(_: unknown, options?: Record<string, unknown>) {
        seen.push(options);
        return (async function* () {
          yield { content: "{}" };
        })();
      },
    };
    const bridged = fromChatModel(model, {
      capabilities: ["json"],
      options: ({ temperature, schema }) => ({ temperature, response_format: schema && "json" }),
    });
    await complete(bridged, { ...request, temperature: 0, schema: { type: "object" }, stop: ["\n"] });
    expect(seen).toEqual([{ stop: ["\n"], temperature: 0, response_format: "json" }]);
  });

  it("refuses what it does not offer, and tells what failed", async () => {
    const model = fromChatModel(new FakeListChatModel({ responses: ["x"] }));
    await expect(complete(model, { ...request, prefix: "{" })).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
    await expect(complete(model, { ...request, schema: {} })).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
    const broken = fromChatModel(new FakeStreamingChatModel({ thrownErrorString: "no quota" }));
    await expect(complete(broken, request)).rejects.toMatchObject({
      code: "MODEL_FAILED",
      message: expect.stringContaining("no quota"),
    });
  });
});
