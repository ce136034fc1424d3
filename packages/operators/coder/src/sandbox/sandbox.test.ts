import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { checkCases, driverOf } from "./cases.js";
import type { Driver } from "./driver.js";
import { quickjs } from "./quickjs.js";
import { openSandbox, type Sandbox } from "./sandbox.js";
import { equalValues } from "./values.js";

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await openSandbox(quickjs({ workers: 2 }), { wallMs: 1000 });
});
afterAll(() => sandbox.close?.());

describe("the sandbox", () => {
  it("runs TypeScript: types, interfaces, generics and enums are gone", async () => {
    const code = `interface Pair<T> { left: T; right: T }
      enum Side { Left, Right }
      export function pick<T>(pair: Pair<T>, side: Side = Side.Right): T { return side === Side.Left ? pair.left : pair.right; }`;
    const tests = `import * as assert from 'assert'
      let actual: number = pick({ left: 1, right: 2 }); assert.deepEqual(actual, 2, "first");`;
    expect(await sandbox.judge(code, tests, "typescript")).toMatchObject({ passed: true, assertions: 1 });
    expect(await sandbox.judge("function f(: number {", tests, "typescript")).toMatchObject({
      ...{ passed: false, reason: "error", detail: expect.stringContaining("SyntaxError") },
    });
  });

  it("finds functions however they are declared or exported", async () => {
    for (const code of [
      "function twice(x) { return 2 * x; }",
      "const twice = (x) => 2 * x;",
      "var twice = function (x) { return 2 * x; }; // no newline at the end",
      "export const twice = (x) => 2 * x;",
      "export default function twice(x) { return 2 * x; }",
      "module.exports = { twice: (x) => 2 * x };",
      "exports.twice = (x) => 2 * x;",
      "async function twice(x) { await null; return 2 * x; }",
    ])
      expect(await sandbox.call(code, "twice", [[4]])).toEqual([{ value: 8 }]);
    const method = "class Box { static twice(x) { return 2 * x; } }";
    expect(await sandbox.call(method, "Box.twice", [[4]])).toEqual([{ value: 8 }]);
    expect(await sandbox.call("const twice = 3;", "twice", [[4]])).toEqual([
      { error: "Error: twice is not a function" },
    ]);
  });

  it("tests programs that read and print", async () => {
    const code = "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number); console.log(a + b);";
    expect(await sandbox.judge(code, [{ input: "3 4\n", output: "7" }])).toMatchObject({ passed: true, assertions: 1 });
    expect(await sandbox.judge(code, [{ input: "3 4\n", output: "8" }])).toMatchObject({ reason: "failed" });
  });

  it("gives what JSON lacks a place of its own", async () => {
    const code = `function give(n) { return [undefined, NaN, -Infinity, 2n ** 70n, new Set([1]), new Map([["a", 2]]), () => 1][n]; }`;
    const values = await sandbox.call(code, "give", [[0], [1], [2], [3], [4], [5], [6]]);
    expect(values).toEqual([
      { value: { $: "undefined" } },
      { value: { $: "NaN" } },
      { value: { $: "-Infinity" } },
      { value: { $: "bigint", text: "1180591620717411303424" } },
      { value: { $: "set", items: [1] } },
      { value: { $: "map", items: [["a", 2]] } },
      { value: { $: "function" } },
    ]);
  });

  it("tells a program that never finishes one call from those before it", async () => {
    const code = "function wait(n) { if (n === 2) for (;;); return n; }";
    const values = await sandbox.call(code, "wait", [[1], [2], [3]]);
    expect(values[0]).toEqual({ value: 1 });
    expect(values.slice(1).every((value) => "error" in value && value.error.startsWith("timeout"))).toBe(true);
    const hangs = "async function wait() { await new Promise(() => {}); }";
    expect(await sandbox.judge(hangs, [{ call: "wait", arguments: [], expected: 1 }])).toMatchObject({
      reason: "unfinished",
    });
  });

  it("answers for tests that hang, break or are none", async () => {
    const code = "function f() { return 1; }";
    expect(await sandbox.judge(code, "for (;;) f();")).toMatchObject({ passed: false, reason: "timeout" });
    expect(await sandbox.judge(code, "await new Promise(() => {})")).toMatchObject({ reason: "unfinished" });
    expect(await sandbox.judge(code, "assert.equal(f(), 1")).toMatchObject({ passed: false, reason: "error" });
    expect(await sandbox.judge(code, "throw undefined")).toMatchObject({ passed: false, reason: "error" });
    const twice = "assert(f()); const { isEqual } = require('lodash'); if (!isEqual(f(), 2)) throw 'unequal'";
    expect(await sandbox.judge(code, twice)).toMatchObject({ passed: false, assertions: 2, reason: "failed" });
  });

  it("does not let a candidate count assertions, or replace what the tests use", async () => {
    for (const code of [
      "require('assert').ok(true); function f() {}",
      "globalThis.assert = { equal() {} }; function f() {}",
      "require('assert').equal = () => {}; function f() {}",
      "const require = () => ({ isEqual: () => true }); function f() {}",
      "JSON.stringify = () => '1'; Object.is = () => true; Object.keys = () => []; function f() {}",
    ]) {
      expect((await sandbox.judge(code, "assert.equal(f(), 1)")).passed).toBe(false);
      expect((await sandbox.judge(code, "f()")).passed).toBe(false);
      expect((await sandbox.judge(code, "if (!require('lodash').isEqual([f()], [1])) throw 'no'")).passed).toBe(false);
    }
  });

  it("tells kinds of objects apart that have no keys", async () => {
    const values = [
      "{}",
      "[]",
      "new Set()",
      "new Set([1])",
      "new Map([[1, 2]])",
      "new Map([[1, 3]])",
      "new Date(1)",
      "new Date(2)",
    ];
    const rest = [
      "/a/",
      "/a/g",
      "new Error('a')",
      "new Error('b')",
      "new TypeError('a')",
      "null",
      "[undefined]",
      "[null]",
    ];
    const all = [...values, ...rest];
    for (const [place, given] of all.entries()) {
      const code = `function f() { return ${given}; }`;
      const checks = all.map(
        (other) => `try { assert.deepEqual(f(), ${other}); equal.push(1); } catch { equal.push(0); }`,
      );
      const tests = `const equal = []; ${checks.join("\n")}\nassert.equal(equal.join(""), "${all.map((_, n) => Number(n === place)).join("")}");`;
      expect(await sandbox.judge(code, tests)).toMatchObject({ passed: true });
    }
  });

  it("is not deceived by a candidate that replaces what tests and harness stand on", async () => {
    const tests = [
      "assert.equal(f(), 1)",
      "assert.deepEqual(f(), [1])",
      "assert.deepEqual(f(), { a: 1 })",
      "assert.deepEqual(f(), new Set([1]))",
      "if (!require('lodash').isEqual([f()], [1])) throw 'no'",
      "console.assert(f() === 1)",
      "await null; assert.equal(await f(), 1)",
      "f()",
    ];
    for (const code of [
      // what writes the report
      'globalThis.String = (text) => text.replace(/{.*}/, \'{"done":true,"assertions":1,"failed":false,"error":null}\'); function f() { return 0; }',
      // what hands the tests their tools, and goes over keys
      "Array.prototype[Symbol.iterator] = function* () {}; function f() { return [0]; }",
      "const fake = () => {}; fake.equal = fake.deepEqual = fake; const own = Array.prototype[Symbol.iterator]; Array.prototype[Symbol.iterator] = function () { return own.call(this.length === 6 ? [fake, () => fake, console, JSON, Math, Object] : this); }; function f() { require('assert').ok(true); return 0; }",
      "Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: true }); function f() { return [0]; }",
      // what awaits the tests
      "Object.defineProperty(Promise.prototype, 'constructor', { get() {} }); Promise.prototype.then = (resolve) => resolve(); function f() { return 0; }",
      // what tells kinds of values
      "let n = 0; for (const Kind of [Date, Set, Map]) Object.defineProperty(Kind, Symbol.hasInstance, { value: () => n++ % 3 === 0 }); Object.prototype.then = () => {}; function f() { return { a: 0 }; }",
      "Object.defineProperty(Array.prototype, 0, { get: () => 1, set() {} }); function f() { return new Set([0]); }",
      // assertions of its own, while the tests run
      "function f() { require('assert').ok(true); return 0; }",
    ])
      for (const text of tests) {
        const { passed } = await sandbox.judge(code, text);
        expect({ code, text, passed }).toEqual({ code, text, passed: false });
      }
  });

  it("counts ten megabytes and Unicode tricks as refused or failed, and goes on", async () => {
    const test = [{ call: "f", arguments: [], expected: 1 }];
    expect(await sandbox.judge("x".repeat(10_000_000), test)).toMatchObject({ passed: false, reason: "refused" });
    const tricks = [
      "\u202Efunction f() { return 1; }",
      "function \uD800() {}",
      "function f\u200B() { return 1 }",
      "\0",
      "`",
    ];
    for (const code of tricks) expect((await sandbox.judge(code, test)).passed).toBe(false);
    expect(
      await sandbox.judge("function f() { return 'é\u2028\uD83D\uDE00'.length === 4 ? 1 : 0 }", test),
    ).toMatchObject({
      passed: true,
    });
    expect(
      (await sandbox.judge("function f() { return {}; }", [{ call: "f", arguments: [], expected: [] }])).passed,
    ).toBe(false);
  });

  it("reads programs of many lines and writes of many spaces in bounded time", async () => {
    const test = [{ call: "f", arguments: [], expected: 1 }];
    expect(await sandbox.judge(`${"\n".repeat(400_000)}x`, test)).toMatchObject({ reason: "error" });
    const spaces = "console.log(' '.repeat(60000) + 'x')";
    expect(await sandbox.judge(spaces, [{ input: "", output: "x" }])).toMatchObject({ reason: "failed" });
  });

  it("refuses an entry that is no name", async () => {
    await expect(sandbox.call("1", "f(); process.exit", [[]])).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });
});

describe("cases", () => {
  it("gives one result a line, in order, bad lines included", async () => {
    const lines = [
      JSON.stringify({ id: "right", code: "function f() { return 1 }", tests: "assert.equal(f(), 1)" }),
      "",
      "not json",
      JSON.stringify({ id: "none", code: "", tests: [] }),
      JSON.stringify({ id: "no tests", code: "1" }),
      JSON.stringify({ id: "wrong", code: "function f() {}", tests: [{ call: "f", arguments: [], expected: 1 }] }),
    ];
    const results = [];
    for await (const result of checkCases(sandbox, lines)) results.push(result);
    expect(results.map(({ id, passed, assertions, reason }) => [id, passed, assertions, reason])).toEqual([
      ["right", true, 1, "passed"],
      ["line 3", false, 0, "error"],
      ["none", false, 0, "no-code"],
      ["line 5", false, 0, "error"],
      ["wrong", false, 1, "failed"],
    ]);
  });

  it("goes on after a name that is none, and ends quietly when it is aborted", async () => {
    const call = (name: string) => [{ call: name, arguments: [], expected: 1 }];
    const lines = ["f(); process.exit", "f"].map((name) =>
      JSON.stringify({ id: name, code: "function f() { return 1; }", tests: call(name) }),
    );
    const results = [];
    for await (const { id, passed, reason } of checkCases(sandbox, lines)) results.push([id, passed, reason]);
    expect(results).toEqual([
      ["line 1", false, "error"],
      ["f", true, "passed"],
    ]);
    const unheard: unknown[] = [];
    const hear = (reason: unknown) => unheard.push(reason);
    process.on("unhandledRejection", hear);
    try {
      const endless = Array(6).fill(JSON.stringify({ id: "x", code: "for (;;);", tests: call("f") }));
      const checked = checkCases(sandbox, endless, { signal: AbortSignal.timeout(50) });
      await expect(checked.next()).rejects.toMatchObject({ code: "ABORTED" });
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(unheard).toEqual([]);
    } finally {
      process.off("unhandledRejection", hear);
    }
  });

  it("knows its drivers, and never falls back to another", async () => {
    expect(() => driverOf("vm")).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    expect(() => driverOf("remote")).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    await expect(openSandbox(driverOf("remote", { url: "http://127.0.0.1:9" }))).rejects.toMatchObject({
      code: "SANDBOX_REFUSED",
    });
  });
});

describe("a driver whose output cannot be trusted", () => {
  it("is believed only where a line is a record", async () => {
    const lines = [
      "5",
      "null",
      '"done"',
      "[]",
      '{"done":true}',
      '{"done":true,"assertions":"9"}',
      "[".repeat(50_000),
      "",
    ];
    for (const line of lines) {
      const driver: Driver = {
        ...{ name: "forging", languages: ["javascript"], missing: async () => undefined, close: async () => {} },
        async run({ input }) {
          const output = `\n${JSON.parse(input!).nonce}${line}\n`;
          return { status: "exited", exitCode: 0, output, errors: "", ms: 1 };
        },
      };
      const deceived = await openSandbox(driver);
      expect(await deceived.judge("f", "assert(f)")).toMatchObject({ passed: false, reason: "unfinished" });
      expect(await deceived.call("f", "f", [[]])).toMatchObject([{ error: expect.stringContaining("unfinished") }]);
    }
  });
});

describe("equal values", () => {
  it("agrees with structural equality on JSON, and forgives rounding", () => {
    const whole = fc
      .jsonValue({ maxDepth: 3 })
      .map((value) => JSON.parse(JSON.stringify(value, (_, x) => (typeof x === "number" ? Math.round(x % 4) : x))));
    fc.assert(
      fc.property(whole, whole, (a, b) => {
        expect(equalValues(a, structuredClone(a))).toBe(true);
        expect(equalValues(a, b)).toBe(isDeepStrictEqual(a, b));
      }),
      { numRuns: 500 },
    );
    expect(equalValues(0.1 + 0.2, 0.3)).toBe(true);
    expect(equalValues([1, { a: -0 }], [1, { a: 0 }])).toBe(true);
    expect(equalValues([], {})).toBe(false);
    expect(equalValues({ a: 1 }, { b: 1 })).toBe(false);
    expect(equalValues("1", 1)).toBe(false);
  });
});
