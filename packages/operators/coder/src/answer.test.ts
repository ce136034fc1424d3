import { describe, expect, it } from "@jest/globals";
import { processorTimer } from "@tessera/testkit";
import fc from "fast-check";
import { readAnswer } from "./answer.js";

const javascript = { entry: "solve", language: "javascript" } as const;
const fence = (info: string, text: string) => `\`\`\`${info}\n${text}\n\`\`\``;
const solve = "function solve(x) { return helper(x); }";
const helper = "function helper(x) { return x + 1; }";

describe("reading an answer", () => {
  it("takes headers from the first step and the program from the second", () => {
    const answer = [
      "STEP 1: SUB-MODULES",
      fence("module", "/**\n * Adds one.\n */\nfunction helper(x)"),
      "STEP 2: PROGRAM",
      fence("javascript", `${helper}\n${solve}`),
      "It works because …",
    ].join("\n");
    expect(readAnswer(answer, javascript)).toEqual({
      code: `${helper}\n${solve}`,
      headers: ["/**\n * Adds one.\n */\nfunction helper(x)"],
    });
  });

  it("splits a fence of several headers, and drops classes and main", () => {
    const answer = [
      fence("module", 'def a(x):\n    """A."""\n\ndef b(y):\n    """B."""'),
      fence("module", "class Thing:\n    pass"),
      fence("module", "def main():\n    pass"),
      fence("python", "def solve(x):\n    return a(x)"),
    ].join("\n");
    const { headers } = readAnswer(answer, { entry: "solve", language: "python" });
    expect(headers).toEqual(['def a(x):\n    """A."""', 'def b(y):\n    """B."""']);
  });

  it("does not run a program twice that is given twice", () => {
    const answer = [fence("js", `${helper}\n${solve}`), "Better:", fence("js", `${helper}\n${solve} // better`)].join(
      "\n",
    );
    expect(readAnswer(answer, javascript).code).toBe(`${helper}\n${solve} // better`);
  });

  it("joins what the last fence lacks, and leaves out what it does not need", () => {
    const answer = [
      fence("js", helper),
      fence("js", "function unused() {}"),
      fence("", solve),
      fence("bash", "npm i"),
    ].join("\n");
    expect(readAnswer(answer, javascript).code).toBe(`${helper}\n\n${solve}`);
  });

  it("reads an unclosed fence, tildes, wrong languages and no fence at all", () => {
    expect(readAnswer(`Here:\n\`\`\`js\n${solve}`, javascript).code).toBe(solve);
    expect(readAnswer(`~~~\n${solve}\n~~~`, javascript).code).toBe(solve);
    expect(readAnswer(fence("python", solve), javascript).code).toBe(solve);
    expect(readAnswer(`Sure! This is it:\n\n${helper}\n${solve}`, javascript).code).toBe(`${helper}\n${solve}`);
    expect(readAnswer("const solve = (x) => x;", javascript).code).toBe("const solve = (x) => x;");
    expect(readAnswer("```js\r\nfunction solve() {}\r\n```", javascript).code).toBe("function solve() {}");
  });

  it("finds no program where there is none", () => {
    for (const text of [
      "",
      "I cannot solve this.",
      "```js\n```",
      "solve(3) is 4",
      fence("module", "function helper(x)"),
    ])
      expect(readAnswer(text, javascript).code).toBe("");
  });

  it("reads ten megabytes of anything in bounded time", () => {
    const spent = processorTimer();
    for (const part of ["```", "`", "function solve(", "\n", "STEP 2\n", "a", "/** ", "```js\nx\n```\n"])
      readAnswer(part.repeat(10_000_000 / part.length), javascript);
    expect(spent()).toBeLessThan(5000);
  });

  it("never throws", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.constantFrom("```", "```js\n", "\n```\n", "~~~\n", "STEP 2\n", solve, helper, "```module\n"),
            fc.string(),
          ),
        ),
        (parts) => {
          expect(typeof readAnswer(parts.join(""), javascript).code).toBe("string");
        },
      ),
    );
  });
});
