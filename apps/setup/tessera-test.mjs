#!/usr/bin/env node
// runs the tests of the package it is called in, on the sources, and leaves the counts in .test/report.json
import { spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const report = ".test/report.json";
rmSync(report, { force: true });
mkdirSync(".test", { recursive: true });

const child = spawn(
  process.execPath,
  [
    "--experimental-vm-modules",
    "--disable-warning=ExperimentalWarning",
    // jest reads the sources by its own means; these are for the threads and processes that tests start
    "--conditions=@tessera/source",
    `--import=${new URL("sources.mjs", import.meta.url).href}`,
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
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
