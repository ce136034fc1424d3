#!/usr/bin/env node
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Report } from "./measure/report.js";

const benches = readdirSync(fileURLToPath(new URL(".", import.meta.url)))
  .map((file) => /^([a-z-]+)\.[jt]s$/.exec(file)?.[1])
  .filter((name) => name !== undefined && name !== "main") as string[];

const names = process.argv.slice(2);
const unknown = names.filter((name) => !benches.includes(name));
if (names.length === 0 || unknown.length > 0) {
  for (const name of unknown) console.error(`There is no bench "${name}".`);
  console.error(`npm run bench -- <name> …, where a name is one of: ${benches.join(", ")}`);
  process.exitCode = 2;
} else {
  const reports = names.map((name) => new Report(name));
  for (const report of reports) {
    const { default: run } = (await import(`./${report.bench}.js`)) as { default: (report: Report) => Promise<void> };
    await run(report);
  }
  for (const report of reports) console.log(`\n${report.table()}`);
  // a peer that is missing was said loudly; a bench that measured nothing has failed
  if (reports.some(({ figures }) => figures.every(({ value }) => value === null))) process.exitCode = 1;
}
