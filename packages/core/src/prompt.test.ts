import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { TesseraError } from "./errors.js";
import { declarePrompt, openPrompt, prompt } from "./prompt.js";
import type { Host, Resource } from "./resources.js";

const own = declarePrompt({
  name: "own.speak",
  version: "1",
  text: "Say {count} words about {what}, and {{this}} as it is.",
  needed: ["what"],
  longest: 100,
});

const hostWith = (text?: string): Host => ({
  async resource<T extends Resource>(kind: string, name: string) {
    if (text === undefined) throw new TesseraError("UNKNOWN_RESOURCE", "none", { path: `${kind}/${name}` });
    return prompt({ name, version: "2", text }) as unknown as T;
  },
});

describe("a prompt", () => {
  it("is that of the operator where the host has no other", async () => {
    expect((await openPrompt(hostWith(), own))({ count: 3, what: "cats" })).toBe(
      "Say 3 words about cats, and {this} as it is.",
    );
  });

  it("is that of the host where it has one; places may come twice and in any order", async () => {
    const filled = await openPrompt(hostWith("{what}! {what}, {count} times.\r\n"), own);
    expect(filled({ count: 3, what: "cats" })).toBe("cats! cats, 3 times.");
  });

  it.each([
    ["an unknown place", "About {what} and {whom}.", /\{whom\}/],
    ["a needed place that is missing", "About {count}.", /\{what\}/],
    ["no text", "  \n", /empty/],
    ["too many characters", `{what}${"a".repeat(100)}`, /106 characters/],
  ])("is refused for %s", async (_, text, message) => {
    await expect(openPrompt(hostWith(text), own)).rejects.toMatchObject({
      code: "BAD_CONFIG",
      path: "prompt/own.speak",
      message: expect.stringMatching(message),
    });
  });

  it("lets other failures of the host through", async () => {
    const broken: Host = { resource: () => Promise.reject(new TesseraError("STORE_FAILED", "gone")) };
    await expect(openPrompt(broken, own)).rejects.toMatchObject({ code: "STORE_FAILED" });
  });

  it("takes every value as it is: what a value holds is never a place", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.constantFrom("{count}", "{what}", "{{what}}", "$&", "$1"), async (text, odd) => {
        const what = text + odd;
        const filled = await openPrompt(hostWith("<{what}|{count}>"), own);
        expect(filled({ what, count: 7 })).toBe(`<${what}|7>`);
      }),
    );
  });

  it("has another revision for another text or version, and the same for the same", () => {
    const of = (version: string, text: string) => prompt({ name: "a.b", version, text }).revision;
    expect(of("1", "x")).toBe(of("1", "x\n"));
    expect(new Set([of("1", "x"), of("1", "y"), of("2", "x")]).size).toBe(3);
    expect(of("1", "x")).toMatch(/^a\.b 1 [0-9a-f]{16}$/);
  });
});
