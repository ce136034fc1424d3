import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import { countLine, processorTimeLine, readReport, table } from "./report.mjs";

const folder = mkdtempSync(join(tmpdir(), "report-"));
afterAll(() => rmSync(folder, { recursive: true }));

const read = (report: unknown) => {
  mkdirSync(join(folder, ".test"), { recursive: true });
  writeFileSync(join(folder, ".test", "report.json"), JSON.stringify(report));
  return readReport(folder);
};
const test = (fullName: string, status: string, failureMessages: string[] = []) => ({
  fullName,
  status,
  failureMessages,
});
const file = (status: string, assertionResults: object[], message = "") => ({
  name: join(folder, "src/a.test.ts"),
  status,
  message,
  assertionResults,
});

describe("a report", () => {
  it("that is not there is no report", () => {
    expect(readReport(join(folder, "nowhere"))).toBeUndefined();
  });

  it("counts what passed, with every failure and its message", () => {
    const testResults = [file("failed", [test("a holds", "passed"), test("b holds", "failed", ["1 is not 2"])])];
    expect(read({ numPassedTests: 1, testResults })).toEqual({
      passed: 1,
      failures: [{ name: "b holds", message: "1 is not 2" }],
      skips: [],
    });
  });

  it("counts a file that could not be run as a failure", () => {
    const testResults = [file("failed", [], "Cannot find module"), file("failed", [test("a", "passed")], "")];
    expect(read({ numPassedTests: 1, testResults })?.failures).toEqual([
      { name: "src/a.test.ts", message: "Cannot find module" },
      { name: "src/a.test.ts", message: "The file could not be run." },
    ]);
  });

  it("says what the tests took of the processors, where it was counted", () => {
    mkdirSync(join(folder, ".test"), { recursive: true });
    writeFileSync(join(folder, ".test", "processor-time.json"), "12.5");
    expect(read({ numPassedTests: 0, testResults: [] })?.processorSeconds).toBe(12.5);
    rmSync(join(folder, ".test", "processor-time.json"));
    expect(read({ numPassedTests: 0, testResults: [] })).not.toHaveProperty("processorSeconds");
  });

  it("takes a reason for each skip, and counts one without as a failure", () => {
    const testResults = [
      file("passed", [
        test("stores rows (no DATABASE_URL)", "pending"),
        test("trains", "skipped", ["no torch"]),
        test("sleeps", "pending"),
        test("waits", "todo"),
      ]),
    ];
    const report = read({ numPassedTests: 0, testResults });
    expect(report?.skips).toEqual([
      { name: "stores rows (no DATABASE_URL)", reason: "no DATABASE_URL" },
      { name: "trains", reason: "no torch" },
    ]);
    expect(report?.failures.map((failure: { name: string }) => failure.name)).toEqual(["sleeps", "waits"]);
  });
});

describe("what is printed", () => {
  it("ends with one plain line", () => {
    expect([countLine(3, 0, 0), countLine(3, 1, 2)]).toEqual(["3 passed, 0 failed", "3 passed, 1 failed, 2 skipped"]);
  });

  it("says the processor time, or that it is not counted", () => {
    expect(processorTimeLine(61.6)).toContain(" 62 seconds of processor time");
    expect(processorTimeLine(undefined)).toContain("does not count");
  });

  it("aligns columns", () => {
    expect(
      table([
        { name: "a", passed: 10 },
        { name: "long", passed: 1 },
      ]),
    ).toBe("name  passed\na         10\nlong       1");
  });
});
