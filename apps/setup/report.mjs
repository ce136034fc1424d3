// reads what a package's tests left behind, and prints it as a table
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** The reason that a skipped test gives: a message of its own, or the end of its name, "… (no database)". */
const reasonOf = ({ failureMessages, fullName }) => failureMessages?.[0] || /\(([^()]+)\)$/.exec(fullName)?.[1];

/**
 * The counts of a package from its `.test/report.json` (the shape of `jest --json`). A file that could not be run and
 * a test that is skipped without a reason count as failures.
 * @returns undefined where there is no report.
 */
export function readReport(folder) {
  const path = join(folder, ".test", "report.json");
  if (!existsSync(path)) return undefined;
  const report = JSON.parse(readFileSync(path, "utf8"));
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const failures = tests
    .filter(({ status }) => status === "failed")
    .map(({ fullName, failureMessages }) => ({ name: fullName, message: failureMessages?.join("\n") ?? "" }));
  for (const file of report.testResults)
    if (file.status === "failed" && !file.assertionResults.some(({ status }) => status === "failed"))
      failures.push({ name: relative(folder, file.name), message: file.message || "The file could not be run." });
  const skips = [];
  for (const test of tests.filter(({ status }) => status !== "passed" && status !== "failed")) {
    const reason = reasonOf(test);
    if (reason) skips.push({ name: test.fullName, reason });
    else
      failures.push({
        name: test.fullName,
        message: "Skipped without a reason: end its name with the reason in (parentheses).",
      });
  }
  return { passed: report.numPassedTests, failures, skips, ...processorSecondsOf(folder) };
}

/** What the tests of a package took of the processors, where the system counts it. */
function processorSecondsOf(folder) {
  const path = join(folder, ".test", "processor-time.json");
  return existsSync(path) ? { processorSeconds: JSON.parse(readFileSync(path, "utf8")) } : {};
}

/** Rows of equal keys as aligned columns: the first to the left, the others to the right. */
export function table(rows) {
  const lines = [Object.keys(rows[0]), ...rows.map((row) => Object.values(row).map(String))];
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) => line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "))
    .join("\n");
}

/** What a whole run took of the processors. */
export const processorTimeLine = (seconds) =>
  seconds === undefined
    ? "This system does not count the processor time of descendants."
    : `Build, checks and tests took ${Math.round(seconds)} seconds of processor time, all descendants counted.`;

/** The last line of a run. */
export const countLine = (passed, failed, skipped) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
