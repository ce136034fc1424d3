#!/usr/bin/env node
// runs the tests of the package it is called in, on the sources; leaves the counts in .test/report.json, and the seconds
// of processor time in .test/processor-time.json where the system counts them
import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { descendantsSeconds } from "./processor-time.mjs";

const require = createRequire(import.meta.url);
const report = ".test/report.json";
const processorTime = ".test/processor-time.json";
for (const file of [report, processorTime]) rmSync(file, { force: true });
mkdirSync(".test", { recursive: true });

const child = spawn(
  process.execPath,
  [
    "--experimental-vm-modules",
    "--disable-warning=ExperimentalWarning",
    // jest reads the sources by its own means; these are for the threads and processes that tests start
    "--conditions=@tessera/source",
    `--import=${new URL("sources.mjs", import.meta.url).href}`,
    `--import=${new URL("quick-exit.mjs", import.meta.url).href}`,
    require.resolve("jest/bin/jest"),
    "--config",
    fileURLToPath(new URL("jest.config.mjs", import.meta.url)),
    "--rootDir",
    process.cwd(),
    "--json",
    "--outputFile",
    report,
    "--passWithNoTests",
    ...process.argv.slice(2),
  ],
  { stdio: ["inherit", "ignore", "inherit"] },
);
child.on("exit", (code, signal) => {
  const seconds = descendantsSeconds();
  if (seconds !== undefined) writeFileSync(processorTime, JSON.stringify(seconds));
  process.exit(signal ? 1 : (code ?? 1));
});
