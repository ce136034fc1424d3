import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import { root, tessera } from "../program.fixture.js";

const folder = mkdtempSync(join(tmpdir(), "tessera-cases-"));
afterAll(() => rmSync(folder, { recursive: true }));

const file = (name: string, lines: readonly unknown[]): string => {
  const path = join(folder, name);
  writeFileSync(path, lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"));
  return path;
};
const call = [{ call: "f", arguments: [2], expected: 4 }];

describe("coder run", () => {
  it("prints a result a case, in order, whatever the cases are", async () => {
    const input = file("cases.jsonl", [
      { id: "right", code: "const f = (x) => x * 2;", tests: "assert.equal(f(2), 4); assert.equal(f(0), 0);" },
      { id: "wrong", code: "const f = (x) => x;", tests: call },
      { id: "hangs", code: "const f = () => { for (;;); };", tests: call },
      "{",
      { id: "empty", code: " ", tests: call },
      { id: "asserts nothing", code: "const f = (x) => x * 2;", tests: "f(2);" },
      { id: "huge", code: "1;".repeat(5_000_000), tests: call },
      { id: "typed", language: "typescript", code: "const f = (x: number): number => x * 2;", tests: call },
      { id: "foreign", language: "python", code: "def f(x): return x * 2", tests: call },
    ]);
    const { code, out, err } = await tessera(["coder", "run", "--driver", "quickjs", "--input", input], root);
    expect([code, err]).toEqual([1, ""]);
    const results = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(results.map(({ id, passed, assertions, reason }) => [id, passed, assertions, reason])).toEqual([
      ["right", true, 2, "passed"],
      ["wrong", false, 1, "failed"],
      ["hangs", false, 0, "timeout"],
      ["line 4", false, 0, "error"],
      ["empty", false, 0, "no-code"],
      ["asserts nothing", false, 0, "no-assertions"],
      ["huge", false, 0, "refused"],
      ["typed", true, 1, "passed"],
      ["foreign", false, 0, "refused"],
    ]);
    for (const { ms } of results) expect(Number.isSafeInteger(ms)).toBe(true);
  });

  it("ends with 0 where all pass, and with an error where nothing can be run: another driver is never taken", async () => {
    const input = file("right.jsonl", [{ id: "right", code: "const f = (x) => x * 2;", tests: call }]);
    expect(await tessera(["coder", "run", "--input", input], root)).toMatchObject({ code: 0 });
    const nowhere = ["--driver", "remote", "--url", "http://127.0.0.1:9"];
    const refused = await tessera(["coder", "run", ...nowhere, "--input", input], root);
    expect(refused).toMatchObject({ code: 1, out: "", err: expect.stringContaining("SANDBOX_REFUSED") });
    const unknown = await tessera(["coder", "run", "--driver", "vm", "--input", input], root);
    expect(unknown).toMatchObject({ code: 2, out: "" });
    const missing = await tessera(["coder", "run", "--input", join(folder, "none.jsonl")], root);
    expect(missing).toMatchObject({ code: 2, out: "", err: expect.stringContaining("BAD_SOURCE") });
  });
});

describe("a budget of a run", () => {
  const problem = join(root, "packages/flows/src/codechain/samples/list-program/problem.json");
  it.each([
    ["--most-calls", "50", { calls: 40 }],
    ["--most-tokens", "200000", { calls: 20 }],
  ])("%s ends codechain with what was reached", async (option, most, spends) => {
    const run = await tessera(["run", "codechain", "--input", problem, option, most, "--json"], root);
    expect(run.code).toBe(0);
    const { status, output, spent } = JSON.parse(run.out);
    expect(status).toBe("budget");
    expect(spent).toMatchObject(spends);
    expect(spent.tokens).toBeLessThanOrEqual(200_000);
    expect(output.rounds.length).toBeLessThan(6);
  });

  it("is a whole number", async () => {
    const given = ["run", "codechain", "--input", problem, "--most-calls", "many"];
    expect(await tessera(given, root)).toMatchObject({ code: 2, err: expect.stringContaining("whole number") });
  });
});

describe("--trace", () => {
  it("shows what a model wrote without letting it speak to the terminal", async () => {
    const document = {
      ...{ version: 1, name: "shown", input: { answer: "text" }, output: { text: "show.text" } },
      nodes: { show: { run: "text.template", with: { template: "{answer}" }, in: { answer: "input.answer" } } },
    };
    const flow = file("shown.json", [document]);
    const input = JSON.stringify({ answer: "\u001b]0;owned\u0007\u001b[31mred\u202e\u009b2J" });
    const { code, out, err } = await tessera(["run", flow, "--input", input, "--trace"], root);
    expect(code).toBe(0);
    expect(err + out).toContain("]0;owned [31mred 2J");
    for (const control of ["\u001b", "\u0007"]) expect(err + out).not.toContain(control);
  });
});
