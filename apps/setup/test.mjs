// npm test: sets up, then builds, type-checks, lints and tests every package, and counts
// npm run test:long (--long) does the same with the counts and sizes that take long (`countOf` and `isLong` of the testkit)
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { descendantsSeconds } from "./processor-time.mjs";
import { countLine, processorTimeLine, readReport, table } from "./report.mjs";
import { environment, hasHnsw, main, root, say, setup, turbo, workspaces } from "./setup.mjs";

const long = process.argv.includes("--long");
const runs = join(root, ".turbo", "runs");

/** What decides, besides the sources, which tests can run here: a result of another state of the machine is not reused. */
function machine() {
  const has = (program) => process.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, program)));
  const present = ["chromium", "bwrap", "python3", "psql"].filter(has);
  if (hasHnsw()) present.push("hnswlib");
  if (existsSync("/opt/tessera/pgvector") || existsSync(join(homedir(), ".cache", "tessera", "pgvector")))
    present.push("pgvector");
  if (existsSync(join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tessera", "lavapipe")))
    present.push("lavapipe");
  if (existsSync(join(root, "..", "shared", "data"))) present.push("data");
  if (long) present.push("long");
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
    {
      cwd: root,
      env: { ...environment(), TESSERA_MACHINE: machine(), TESSERA_LONG: long ? "1" : "" },
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  const summary = existsSync(runs) && readdirSync(runs).find((name) => name.endsWith(".json"));
  return { status, tasks: summary ? JSON.parse(readFileSync(join(runs, summary), "utf8")).tasks : [] };
}

/** What a task printed. */
function logOf(folder, task) {
  const path = join(folder, ".turbo", `turbo-${task}.log`);
  return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n").slice(-60).join("\n") : "";
}

const failed = (task) => task?.execution !== undefined && task.execution.exitCode !== 0;

await main(() => {
  setup({ built: false });
  say("building, checking and testing every package …");
  const { status, tasks } = runTasks();

  const rows = [];
  const failures = [];
  const skips = [];
  for (const folder of workspaces()) {
    const { name: place, scripts } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    if (!scripts?.test) continue;
    const task = tasks.find(({ taskId }) => taskId === `${place}#test`);
    const report = readReport(folder) ?? { passed: 0, failures: [], skips: [], missing: true };
    if (report.missing || (failed(task) && report.failures.length === 0))
      report.failures.push({
        name: report.missing ? "its tests left no report" : "its tests ended with an error",
        message: logOf(folder, "test"),
      });
    failures.push(...report.failures.map((failure) => ({ place, ...failure })));
    skips.push(...report.skips.map((skip) => ({ place, ...skip })));
    const kept = task?.cache?.status === "HIT";
    const { startTime = 0, endTime = 0 } = task?.execution ?? {};
    rows.push({
      package: place,
      passed: report.passed,
      failed: report.failures.length,
      skipped: report.skips.length,
      seconds: kept ? "kept" : ((endTime - startTime) / 1000).toFixed(1),
      "processor seconds": kept ? "kept" : (report.processorSeconds?.toFixed(1) ?? "unknown"),
    });
  }
  for (const task of tasks)
    if (task.task !== "test" && failed(task))
      failures.push({ place: task.package, name: task.task, message: logOf(join(root, task.directory), task.task) });
  if (tasks.length === 0 || (status !== 0 && failures.length === 0))
    failures.push({ place: "turbo", name: "the run", message: `It ended with status ${status}.` });

  console.log(`\n${table(rows)}`);
  for (const { place, name, reason } of skips) console.log(`\nskipped  ${place}: ${name}: ${reason}`);
  for (const { place, name, message } of failures)
    console.log(`\nFAILED  ${place}: ${name}\n${message.replace(/^/gm, "    ")}`);
  const passed = rows.reduce((sum, row) => sum + row.passed, 0);
  console.log(`\n${processorTimeLine(descendantsSeconds())}`);
  console.log(`\n${countLine(passed, failures.length, skips.length)}`);
  if (failures.length > 0) process.exitCode = 1;
});
