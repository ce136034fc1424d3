import { describe, expect, it } from "@jest/globals";
import type { GenerateRequest } from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { collected } from "@tessera/testkit";
import { APICallError, LoadAPIKeyError, UnsupportedFunctionalityError } from "ai";
import { MockLanguageModelV3, MockLanguageModelV4 } from "ai/test";
import fc from "fast-check";
import { fromLanguageModel } from "./from-language-model.js";
import { block, finish, streaming } from "./mock-models.fixture.js";

const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Why?" },
  { role: "assistant", content: "Because." },
  { role: "user", content: "Because of what?" },
] as const;
const request: GenerateRequest = { messages, maxTokens: 100 };

describe("fromLanguageModel", () => {
  it("streams the answer, thoughts apart, and ends with finish and usage", async () => {
    const model = streaming(...block("reasoning", "Let me ", "see."), ...block("text", "It ", "waits."), finish());
    expect(await collected(fromLanguageModel(model).generate(request))).toEqual([
      { text: "", thoughts: "Let me " },
      { text: "", thoughts: "see." },
      { text: "It " },
      { text: "waits." },
      { text: "", finish: "stop", usage: { prompt: 7, completion: 3 } },
    ]);
  });

  it("sends the messages and settings in the AI SDK's fields, and nothing else", async () => {
    const model = streaming(finish());
    const schema = { type: "object" };
    const bridged = fromLanguageModel(model, {
      capabilities: ["json", "seed"],
      providerOptions: { mock: { effort: "low" } },
      reasoning: "low",
      headers: { "x-a": "b" },
    });
    const { signal } = new AbortController();
    await complete(bridged, { ...request, stop: ["", "\n"], seed: 3, temperature: 0, topP: 0.5, schema }, signal);
    expect(model.doStreamCalls).toEqual([
      {
        prompt: [
          { role: "system", content: "Be brief." },
          { role: "user", content: [{ type: "text", text: "Why?" }] },
          { role: "assistant", content: [{ type: "text", text: "Because." }] },
          { role: "user", content: [{ type: "text", text: "Because of what?" }] },
        ],
        maxOutputTokens: 100,
        stopSequences: ["\n"],
        temperature: 0,
        topP: 0.5,
        seed: 3,
        responseFormat: { type: "json", schema, name: "answer" },
        providerOptions: { mock: { effort: "low" } },
        reasoning: "low",
        headers: { "x-a": "b" },
        abortSignal: signal,
      },
    ]);
    const plain = streaming(finish());
    await complete(fromLanguageModel(plain), { ...request, seed: 3 });
    expect(Object.keys(plain.doStreamCalls[0]!).sort()).toEqual(["maxOutputTokens", "prompt"]);
    expect(bridged.revision).not.toBe(fromLanguageModel(model).revision);
  });

  it.each([
    ["length", "length"],
    ["tool-calls", "stop"],
    ["other", "stop"],
  ] as const)("the finish %j is %j", async (unified, kept) => {
    const all = await collected(fromLanguageModel(streaming(...block("text", "x"), finish(unified))).generate(request));
    expect(all.at(-1)!.finish).toBe(kept);
  });

  it("leaves usage out where the provider reports none", async () => {
    const end = finish();
    const none = { ...end, usage: { ...end.usage, outputTokens: { total: undefined, text: 1, reasoning: 1 } } };
    const all = await collected(fromLanguageModel(streaming(...block("text", "x"), none)).generate(request));
    expect(all.at(-1)).toEqual({ text: "", finish: "stop" });
  });

  it("stops at a stop string that the provider ignores, and closes its stream", async () => {
    let cancelled = 0;
    const said = block("text", "Because E", "ND of it", " and so on");
    const model = new MockLanguageModelV4({
      doStream: async () => ({
        stream: new ReadableStream({
          pull: (controller) => controller.enqueue(said.shift() ?? finish()),
          cancel: () => void cancelled++,
        }),
      }),
    });
    const { text, finish: ended } = await complete(fromLanguageModel(model), { ...request, stop: ["END"] });
    expect([text, ended, cancelled]).toEqual(["Because ", "stop", 1]);
  });

  it("any thought around any answer in any split leaves the answer alone", async () => {
    const piece = fc.tuple(fc.constantFrom("text" as const, "reasoning" as const), fc.string({ maxLength: 5 }));
    await fc.assert(
      fc.asyncProperty(fc.array(piece), async (pieces) => {
        const parts = pieces.flatMap(([type, delta]) => block(type, delta));
        const all = await collected(fromLanguageModel(streaming(...parts, finish())).generate(request));
        const of = (kind: string) => pieces.map(([type, delta]) => (type === kind ? delta : "")).join("");
        expect(all.map(({ text }) => text).join("")).toBe(of("text"));
        expect(all.map(({ thoughts = "" }) => thoughts).join("")).toBe(of("reasoning"));
      }),
      { numRuns: 30 },
    );
  });
});

describe("an end before the end", () => {
  const hanging = () => {
    const signals: (AbortSignal | undefined)[] = [];
    let cancelled = 0;
    const parts = block("text", "one", "two");
    const model = new MockLanguageModelV4({
      doStream: async ({ abortSignal }) => {
        signals.push(abortSignal);
        return {
          stream: new ReadableStream({
            pull: (controller) =>
              parts.length > 0 ? controller.enqueue(parts.shift()!) : new Promise(() => undefined),
            cancel: () => void cancelled++,
          }),
        };
      },
    });
    return { model: fromLanguageModel(model), signals, cancelled: () => cancelled };
  };

  it("an abort ends it in the middle with the signal's reason, also where the provider ignores it", async () => {
    const { model, signals, cancelled } = hanging();
    const controller = new AbortController();
    const reason = new Error("enough");
    const read = async () => {
      for await (const { text } of model.generate(request, controller.signal))
        if (text === "two") setTimeout(() => controller.abort(reason), 1);
    };
    await expect(read()).rejects.toBe(reason);
    expect([signals[0], cancelled()]).toEqual([controller.signal, 1]);
    await expect(complete(model, request, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(signals).toHaveLength(1);
  });

  it("an abort ends a call that has not answered, and the wait before the next one", async () => {
    const reason = new Error("enough");
    const silent = new MockLanguageModelV4({ doStream: () => new Promise(() => undefined) });
    await expect(complete(fromLanguageModel(silent), request, aborting(reason))).rejects.toBe(reason);
    const busy = new MockLanguageModelV4({ doStream: () => Promise.reject(refusal(429, { "retry-after": "20" })) });
    await expect(complete(fromLanguageModel(busy), request, aborting(reason))).rejects.toBe(reason);
  });

  it("leaving early closes the provider's stream", async () => {
    const { model, cancelled } = hanging();
    for await (const _ of model.generate(request)) break;
    expect(cancelled()).toBe(1);
  });
});

function aborting(reason: Error): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 5);
  return controller.signal;
}

const refusal = (statusCode: number, responseHeaders: Record<string, string> = {}) =>
  new APICallError({ message: "refused", url: "http://x", requestBodyValues: {}, statusCode, responseHeaders });

describe("failures", () => {
  const failing = (...errors: unknown[]) => {
    let calls = 0;
    const model = new MockLanguageModelV4({
      doStream: async () => {
        const error = errors[calls++];
        if (error) throw error;
        return streaming(...block("text", "at last"), finish()).doStream({ prompt: [] });
      },
    });
    return { model: fromLanguageModel(model, { backoffMs: 1 }), calls: () => calls };
  };

  it("calls again where the provider was busy, as long as it says", async () => {
    const { model, calls } = failing(refusal(503), refusal(429, { "retry-after-ms": "2" }));
    expect((await complete(model, request)).text).toBe("at last");
    expect(calls()).toBe(3);
  });

  it("gives up after its retries, and at once where a repetition is of no use", async () => {
    const busy = failing(...Array<unknown>(9).fill(refusal(503)));
    await expect(complete(busy.model, request)).rejects.toMatchObject({ code: "MODEL_FAILED" });
    const refused = failing(refusal(401));
    await expect(complete(refused.model, request)).rejects.toMatchObject({
      code: "MODEL_FAILED",
      message: expect.stringContaining("refused"),
      hint: expect.stringContaining("API key"),
    });
    expect([busy.calls(), refused.calls()]).toEqual([4, 1]);
  });

  it.each([
    ["a missing key", new LoadAPIKeyError({ message: "no key" }), "MODEL_FAILED", "apiKey"],
    ["a missing function", new UnsupportedFunctionalityError({ functionality: "x" }), "MISSING_CAPABILITY", ""],
    ["anything else", "gone", "MODEL_FAILED", ""],
  ])("%s", async (_, error, code, hint) => {
    const thrown = await complete(failing(error).model, request).catch((caught: unknown) => caught);
    expect(thrown).toMatchObject({ code });
    expect((thrown as { hint?: string }).hint ?? "").toContain(hint);
  });

  it.each([
    ["an error part", [...block("text", "x"), { type: "error", error: new Error("broke off") } as const]],
    ["an answer without an end", block("text", "x")],
    ["a withheld answer", [...block("text", "x"), finish("content-filter")]],
    ["a failed answer", [finish("error")]],
    ["an interrupted answer", [finish("interrupted")]],
  ])("%s is MODEL_FAILED", async (_, parts) => {
    await expect(complete(fromLanguageModel(streaming(...parts)), request)).rejects.toMatchObject({
      code: "MODEL_FAILED",
      path: "mock/tiny",
    });
  });

  it("refuses what the model does not offer", async () => {
    const model = streaming(finish());
    for (const more of [{ prefix: "{" }, { schema: {} }, { logprobs: true }])
      await expect(complete(fromLanguageModel(model), { ...request, ...more })).rejects.toMatchObject({
        code: "MISSING_CAPABILITY",
        path: "mock/tiny",
      });
    expect(model.doStreamCalls).toEqual([]);
    const warned = streaming(
      { type: "stream-start", warnings: [{ type: "unsupported", feature: "responseFormat" }] },
      finish(),
    );
    const claimed = fromLanguageModel(warned, { capabilities: ["json"] });
    await expect(complete(claimed, { ...request, schema: {} })).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
    expect((await complete(claimed, request)).finish).toBe("stop");
  });

  it("refuses models of other versions, and names of models", () => {
    for (const other of [new MockLanguageModelV3({}), "openai/gpt-5", undefined])
      expect(() => fromLanguageModel(other as never)).toThrow(
        expect.objectContaining({ code: "BAD_ARGUMENT", hint: expect.stringContaining("version 7") }),
      );
  });
});
