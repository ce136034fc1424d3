// npm test: sets up, then builds, type-checks, lints and tests every package, and counts

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { environment, hasHnsw, main, root, say, setup, turbo, workspaces } from "./setup.mjs";

const runs = join(root, ".turbo", "runs");

/** What decides, besides the sources, which tests can run here: a result kept from another machine state is not reused. */
function machine() {
  const has = (program) => process.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, program)));
  const present = ["chromium", "bwrap", "python3", "psql"].filter(has);
  if (hasHnsw()) present.push("hnswlib");
  if (existsSync(join(root, "..", "shared", "data"))) present.push("data");
  return [process.version, process.platform, process.arch, ...present].join(" ");
}

/** Runs all tasks to their end, and returns what turbo says of each. */
function runTasks() {
  for (const folder of workspaces()) rmSync(join(folder, ".test", "report.json"), { force: true });
  rmSync(runs, { recursive: true, force: true });
  const tasks = ["build", "typecheck", "lint", "test"];
  const { status } = spawnSync(
    process.execPath,
    [...turbo, "run", ...tasks, "--continue=always", "--concurrency=2", "--summarize", "--output-logs=hash-only"],
    { cwd: root, env: { ...environment(), TESSERA_MACHINE: machine() }, stdio: ["ignore", "inherit", "inherit"] },
  );
  const summary = existsSync(runs) && readdirSync(runs).find((name) => name.endsWith(".json"));
  return { status, tasks: summary ? JSON.parse(readFileSync(join(runs, summary), "utf8")).tasks : [] };
}

const read = (path) => (existsSync(path) ? readFileSync(path, "utf8").trimEnd() : "");
const indented = (text) => text.replace(/^/gm, "    ");

/** The reason that a skipped test gives: a message of its own, or the end of its name, "… (no database)". */
const reasonOf = ({ failureMessages, fullName }) => failureMessages?.[0] || /\(([^()]+)\)$/.exec(fullName)?.[1];

/** Reads a report of a package (the shape of `jest --json`). */
function readReport(folder) {
  const path = join(folder, ".test", "report.json");
  if (!existsSync(path)) return undefined;
  const report = JSON.parse(readFileSync(path, "utf8"));
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const failures = tests
    .filter(({ status }) => status === "failed")
    .map(({ fullName, failureMessages }) => ({ name: fullName, message: failureMessages?.join("\n") ?? "" }));
  for (const file of report.testResults)
    if (file.status === "failed" && !file.assertionResults.some(({ status }) => status === "failed"))
      failures.push({ name: file.name.replace(root, ""), message: file.message || "The file could not be run." });
  const skips = tests
    .filter(({ status }) => status !== "passed" && status !== "failed")
    .map((test) => ({ name: test.fullName, reason: reasonOf(test) }));
  for (const { name, reason } of skips)
    if (!reason)
      failures.push({ name, message: "Skipped without a reason: end its name with the reason in (parentheses)." });
  return { passed: report.numPassedTests, failures, skips: skips.filter(({ reason }) => reason) };
}

await main(() => {
  setup({ built: false });
  say("building, checking and testing every package …");
  const { status, tasks } = runTasks();

  const rows = [];
  const failures = [];
  const skips = [];
  for (const folder of workspaces()) {
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    if (!manifest.scripts?.test) continue;
    const task = tasks.find(({ taskId }) => taskId === `${manifest.name}#test`);
    const report = readReport(folder);
    const found = report?.failures ?? [];
    const failed = task?.execution && task.execution.exitCode !== 0;
    if (!report || (failed && found.length === 0))
      found.push({
        name: "its tests",
        message: `${report ? "They ended with an error." : "They left no report."}\n${read(
          join(folder, ".turbo", "turbo-test.log"),
        )
          .split("\n")
          .slice(-30)
          .join("\n")}`,
      });
    failures.push(...found.map((failure) => ({ ...failure, place: manifest.name })));
    skips.push(...(report?.skips ?? []).map((skip) => ({ ...skip, place: manifest.name })));
    const { startTime = 0, endTime = 0 } = task?.execution ?? {};
    rows.push({
      package: manifest.name,
      passed: report?.passed ?? 0,
      failed: found.length,
      skipped: report?.skips.length ?? 0,
      seconds: task?.cache?.status === "HIT" ? "cached" : ((endTime - startTime) / 1000).toFixed(1),
    });
  }
  for (const { taskId, task, execution, directory } of tasks)
    if (task !== "test" && execution && execution.exitCode !== 0)
      failures.push({ place: taskId, name: task, message: read(join(root, directory, ".turbo", `turbo-${task}.log`)) });
  if (tasks.length === 0 || (status !== 0 && failures.length === 0))
    failures.push({ place: "turbo", name: "the run", message: `It ended with status ${status}.` });

  console.log();
  const columns = ["package", "passed", "failed", "skipped", "seconds"];
  const widths = columns.map((column) =>
    Math.max(...[{ [column]: column }, ...rows].map((row) => String(row[column]).length)),
  );
  for (const row of [Object.fromEntries(columns.map((column) => [column, column])), ...rows])
    console.log(columns.map((column, i) => String(row[column])[i === 0 ? "padEnd" : "padStart"](widths[i])).join("  "));
  for (const { place, name, reason } of skips) console.log(`\nskipped  ${place}: ${name}: ${reason}`);
  for (const { place, name, message } of failures) console.log(`\nFAILED  ${place}: ${name}\n${indented(message)}`);

  const passed = rows.reduce((sum, row) => sum + row.passed, 0);
  if (failures.length > 0) process.exitCode = 1;
  console.log(`\n${passed} passed, ${failures.length} failed${skips.length > 0 ? `, ${skips.length} skipped` : ""}`);
});
