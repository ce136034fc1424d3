import { afterAll, beforeAll, describe, expect, it, jest } from "@jest/globals";
import { runOperator } from "@tessera/testkit";

const core = await import("@tessera/core/internal");
jest.unstable_mockModule("@tessera/core/internal", () => ({
  ...core,
  readingThreads: (script: URL) => {
    const parses = !script.pathname.includes("typescript");
    const languages = new Map<string, never>();
    const threads = core.readingThreads(new URL("./unread.fixture.js", import.meta.url), 1500);
    return (language: string) => {
      if (!languages.has(language)) languages.set(language, { parses, language } as never);
      return threads(languages.get(language)!);
    };
  },
}));
const { extract } = await import("./extract.js");
const { openSandbox } = await import("./sandbox/sandbox.js");
const { quickjs } = await import("./sandbox/quickjs.js");

const problem = { id: "p", text: "q", language: "javascript", entry: "solve", tests: [] };
const sampleOf = (id: string, code: string) => ({ id, text: code, code, headers: [] });
const right = sampleOf("a", "function evens(list) { return list; }\nfunction solve(list) { return evens(list); }");
const names = (output: Record<string, unknown>) => (output.modules as { name: string }[]).map(({ name }) => name);

describe("coder.extract with a parser that fails", () => {
  it.each(["loop", "throw", "damage"])(
    "counts what it could not read (%s), and reads what comes with it and after it",
    async (failure) => {
      const fails = sampleOf("x", `// stand-in: ${failure}`);
      const first = await runOperator(extract, {}, { problem, samples: [fails, right, fails] });
      expect([names(first), first.unread]).toEqual([["evens"], 2]);
      const next = await runOperator(extract, {}, { problem, samples: [right, fails, right] });
      expect([names(next), next.unread]).toEqual([["evens", "evens"], 1]);
    },
  );
});

describe("a sandbox whose translation fails", () => {
  let sandbox: Awaited<ReturnType<typeof openSandbox>>;
  beforeAll(async () => {
    sandbox = await openSandbox(quickjs({ workers: 1 }), { wallMs: 2000 });
  });
  afterAll(() => sandbox.close?.());

  it.each([
    ["loop", "timeout"],
    ["throw", "memory"],
    ["damage", "memory"],
  ])("says so (%s), holds up nobody, and judges the next program rightly", async (failure, reason) => {
    const test = [{ call: "f", arguments: [], expected: 1 }];
    let turns = 0;
    const clock = setInterval(() => turns++, 20);
    const judged = await sandbox.judge(`// stand-in: ${failure}`, test, "typescript");
    clearInterval(clock);
    expect(judged).toMatchObject({ passed: false, reason });
    if (failure === "loop") expect(turns).toBeGreaterThan(10);
    expect(await sandbox.judge("function f(): number { return 1; }", test, "typescript")).toMatchObject({
      passed: true,
    });
  });
});
