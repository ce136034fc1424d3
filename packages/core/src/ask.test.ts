import { describe, expect, it } from "@jest/globals";
import { ask, boundOf, clip } from "./ask.js";
import type { Context } from "./operator.js";
import type { LanguageModel } from "./resources.js";

describe("asking a model", () => {
  it("reports one call and its tokens, and passes the signal on", async () => {
    const { signal } = new AbortController();
    const spent: unknown[] = [];
    const model: LanguageModel = {
      revision: "1",
      capabilities: new Set(),
      async *generate(_, passed) {
        expect(passed).toBe(signal);
        yield { text: "a" };
        yield { text: "b", finish: "stop", usage: { prompt: 5, completion: 2 } };
      },
    };
    const context: Context = {
      path: "test",
      signal,
      random: () => 0,
      emit: () => {},
      spend: (use) => void spent.push(use),
    };
    expect((await ask(model, { messages: [], maxTokens: 9 }, context)).text).toBe("ab");
    expect(spent).toEqual([{ calls: 1, tokens: 7 }]);
  });

  it("lets the answer be heard as it comes, and estimates what the model does not report", async () => {
    const spent: { tokens?: number | undefined }[] = [];
    const heard: string[] = [];
    const model: LanguageModel = {
      revision: "1",
      capabilities: new Set(),
      count: (text) => text.length,
      async *generate() {
        yield { text: "ab" };
        yield { text: "c", finish: "length" };
      },
    };
    const context: Context = {
      path: "test",
      signal: new AbortController().signal,
      random: () => 0,
      emit: () => {},
      spend: (use) => void spent.push(use),
    };
    const request = { messages: [{ role: "user", content: "12345" }], maxTokens: 9 } as const;
    expect(await ask(model, request, context, (part) => heard.push(part))).toMatchObject({
      text: "abc",
      finish: "length",
    });
    expect(heard).toEqual(["ab", "c"]);
    expect(spent).toEqual([{ calls: 1, tokens: 8 }]);
  });

  it("cuts what is too long and says so", () => {
    expect(clip("abcdef", 6)).toBe("abcdef");
    expect(clip("abcdefg", 6)).toBe("abcde…");
  });

  it("bounds calls by their answers and their cut prompts", () => {
    expect(boundOf({ maxTokens: 100, characters: 1000 }, 2, 4)).toEqual({ calls: 2, tokens: 2 * (100 + 2000) });
  });
});
