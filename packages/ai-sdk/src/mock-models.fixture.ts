import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { MockLanguageModelV4, simulateReadableStream } from "ai/test";

type Finish = Extract<LanguageModelV4StreamPart, { type: "finish" }>;

export const usage: Finish["usage"] = {
  inputTokens: { total: 7, noCache: 7, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 3, text: 2, reasoning: 1 },
};
export const finish = (unified: Finish["finishReason"]["unified"] = "stop"): Finish => ({
  type: "finish",
  finishReason: { unified, raw: unified },
  usage,
});
export const block = (type: "text" | "reasoning", ...deltas: string[]): LanguageModelV4StreamPart[] => [
  { type: `${type}-start`, id: type },
  ...deltas.map((delta): LanguageModelV4StreamPart => ({ type: `${type}-delta`, id: type, delta })),
  { type: `${type}-end`, id: type },
];

/** A model of the AI SDK's own mocks that streams these parts. */
export const streaming = (...chunks: LanguageModelV4StreamPart[]): MockLanguageModelV4 =>
  new MockLanguageModelV4({
    provider: "mock",
    modelId: "tiny",
    doStream: async () => ({
      stream: simulateReadableStream({ chunks, initialDelayInMs: null, chunkDelayInMs: null }),
    }),
  });
