import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bwrap, type Driver, docker, openSandbox, quickjs } from "@tessera/coder";
import {
  type CaseResult,
  checkCases,
  defaultLimits,
  mbxpCases,
  type Runnable,
  readMbxp,
  reportMbxp,
} from "@tessera/coder/internal";
import type { Report } from "./measure/report.js";
import { percentile } from "./measure/rounds.js";

const rounds = 5;
const runsPerRound = 1000;
const singleRuns = 30;
const small: Record<Runnable, string> = {
  javascript: "const square = (x) => x * x; console.log([1, 2, 3].map(square).join());",
  python: "print(','.join(str(x * x) for x in [1, 2, 3]))",
};

/** Runs a second, and the time of a run alone, of every driver that works here; then the published MBXP solutions. */
export default async function sandbox(report: Report): Promise<void> {
  for (const driver of [quickjs({ workers: 2 }), bwrap(), docker()]) {
    const missing = await driver.missing();
    if (missing) report.miss(driver.name, missing);
    else for (const language of driver.languages) await measure(report, driver, language);
    await driver.close();
  }
  await solutions(report);
}

async function measure(report: Report, driver: Driver, language: Runnable): Promise<void> {
  const system = `${driver.name} ${language}`;
  const run = async (): Promise<number> => {
    const start = performance.now();
    const { output } = await driver.run({ language, source: small[language] }, defaultLimits);
    if (output !== "1,4,9\n") throw new Error(`${system} printed ${JSON.stringify(output)}`);
    return performance.now() - start;
  };
  report.add(system, "first run", await run(), "ms");
  const alone: number[] = [];
  for (let n = 0; n < singleRuns; n++) alone.push(await run());
  report.add(system, "run p50", percentile(alone, 0.5), "ms");
  report.add(system, "run p95", percentile(alone, 0.95), "ms");
  const count = driver.name === "quickjs" ? runsPerRound : 20;
  const rates: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    if (driver.name === "quickjs") await Promise.all(Array.from({ length: count }, run));
    else {
      // a process a run: two at a time, as there are cores
      let left = count;
      const lane = async () => {
        while (left-- > 0) await run();
      };
      await Promise.all([lane(), lane()]);
    }
    rates.push((count * 1000) / (performance.now() - start));
  }
  report.add(system, "runs a second", percentile(rates, 0.5), "1/s");
}

async function solutions(report: Report): Promise<void> {
  const path = join(process.env.TESSERA_DATA ?? "../shared/data", "mbxp/mbjsp.jsonl");
  if (!existsSync(path)) return report.miss("MBXP", `there is no ${path}; set TESSERA_DATA`);
  const problems = readMbxp(readFileSync(path, "utf8"));
  const opened = await openSandbox(quickjs({ workers: 2 }), { wallMs: 5000 });
  const results: CaseResult[] = [];
  const start = performance.now();
  for await (const result of checkCases(
    opened,
    mbxpCases(problems).map((one) => JSON.stringify(one)),
  ))
    results.push(result);
  const seconds = (performance.now() - start) / 1000;
  await opened.close?.();
  const { passed, faulty, unexplained, passedThough } = reportMbxp(problems, results);
  const system = "MBXP JavaScript, published solutions";
  report.add(system, "solutions", results.length, "");
  report.add(system, "pass", passed, "");
  report.add(system, "faulty, with a reason", faulty.length, "");
  report.add(system, "fail without a reason", unexplained.length, "");
  report.add(system, "time", seconds, "s");
  for (const { id, fault } of faulty) report.say(`${id}: ${fault}`);
  for (const { id, detail } of unexplained) report.say(`UNEXPLAINED ${id}: ${detail}`);
  for (const { id } of passedThough) report.say(`${id} passes, though it is named as faulty`);
}
