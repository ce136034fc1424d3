import { describe, expect, it } from "@jest/globals";
import { processorTimer } from "@tessera/testkit";
import fc from "fast-check";
import { declarationOf } from "./declaration.js";

describe("declarationOf", () => {
  it("reads a function with its comment", () => {
    const code = `/**
 * Waits twice as long after each failed
 * attempt. See {@link retry}.
 *
 * @param attempt counts from 1
 */
export async function backoff(
  attempt: number,
  { base = 100 }: { base?: number } = {},
): Promise<void> {
  const ms = base * 2 ** attempt; // doubles
  await sleep(ms);
}`;
    const { comment, signature, body } = declarationOf(code, "backoff");
    expect(comment).toBe("Waits twice as long after each failed attempt. See retry.");
    expect(signature).toBe(
      "export async function backoff(attempt: number, { base = 100 }: { base?: number } = {}): Promise<void>",
    );
    expect(body).toEqual([
      { text: "  const ms = base * 2 ** attempt; // doubles", line: 10 },
      { text: "  await sleep(ms);", line: 11 },
    ]);
  });

  it.each([
    [
      "const add = (a: number, b: number): number => {\n  return a + b;\n};",
      "add",
      "const add = (a: number, b: number): number",
    ],
    ["const limit = 3; // tries", "limit", "const limit = 3; // tries"],
    ["export class Retry<T> extends Base {\n  x = 1;\n}", "Retry", "export class Retry<T> extends Base"],
    ["  get size(): number {\n    return 1;\n  }", "Map.size", "get size(): number"],
    ["func Backoff(n int) time.Duration {\n\treturn 0\n}", "Backoff", "func Backoff(n int) time.Duration"],
    ["fn backoff(n: u32) -> Duration {\n    todo!()\n}", "backoff", "fn backoff(n: u32) -> Duration"],
    ["@cache\ndef fib(n: int) -> int:\n    return n", "fib", "def fib(n: int) -> int"],
    ['test("waits", () => {\n  expect(1).toBe(1);\n});', "waits", 'test("waits", ()'],
  ])("%j", (code, symbol, signature) => {
    expect(declarationOf(code, symbol).signature).toBe(signature);
  });

  it("takes a Python docstring for the comment", () => {
    const code =
      'def backoff(attempt):\n    """Waits longer.\n\n    After each failure, twice as long.\n    """\n    sleep(2 ** attempt)\n';
    const { comment, body } = declarationOf(code, "backoff");
    expect(comment).toBe("Waits longer.\nAfter each failure, twice as long.");
    expect(body.map(({ text }) => text.trim())).toEqual(["sleep(2 ** attempt)"]);
  });

  it("joins line comments, and leaves out licences, directives and imports", () => {
    const code = `// Copyright 2026 somebody
import { sleep } from "../../../generator/src/sleep.js";

// Waits longer
// after each failure.
function backoff() {}`;
    expect(declarationOf(code, "backoff")).toMatchObject({ comment: "Waits longer after each failure.", body: [] });
  });

  it("where the symbol is not declared at the beginning, all of it is body", () => {
    const { signature, body } = declarationOf("  call(1);\n  more(2);", "backoff");
    expect(signature).toBe("");
    expect(body.map(({ line }) => line)).toEqual([0, 1]);
  });

  it("reads anything, quickly", () => {
    const part = fc.constantFrom(
      "/*",
      "*/",
      "//",
      '"""',
      "'",
      '"',
      "`",
      "(",
      "{",
      "}",
      ":",
      "=>",
      "\n",
      " ",
      "def ",
      "x",
      "@a",
      "<",
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 60 }), (parts) => {
        const { body } = declarationOf(parts.join(""), "x");
        for (const { text, line } of body) expect(parts.join("").split("\n")[line]).toBe(text);
      }),
      { numRuns: 500 },
    );
    const spent = processorTimer();
    declarationOf(`/*${" *".repeat(20_000)}\n${"(".repeat(20_000)}${"'\"".repeat(20_000)}`, "x");
    expect(spent()).toBeLessThan(1000);
  });
});
