import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { faultOf, mbxpCases, mbxpTasks, readMbxp, reportMbxp } from "./mbxp.js";
import { type CaseResult, checkCases } from "./sandbox/cases.js";
import { quickjs } from "./sandbox/quickjs.js";
import { openSandbox } from "./sandbox/sandbox.js";

const root = new URL("../../../../", import.meta.url).pathname;
const path = join(process.env.TESSERA_DATA ?? join(root, "../shared/data"), "mbxp/mbjsp.jsonl");

describe("MBXP JavaScript", () => {
  if (!existsSync(path)) {
    process.stderr.write(`\nNOT TESTED: the published solutions of MBXP: there is no ${path} (set TESSERA_DATA)\n`);
    it("is not there", () => expect(existsSync(path)).toBe(false));
    return;
  }
  const problems = readMbxp(readFileSync(path, "utf8"));

  it("passes every published solution but those named as faulty, and none of those", async () => {
    const sandbox = await openSandbox(quickjs({ workers: 2 }), { wallMs: 5000 });
    const results: CaseResult[] = [];
    for await (const result of checkCases(
      sandbox,
      mbxpCases(problems).map((one) => JSON.stringify(one)),
    ))
      results.push(result);
    await sandbox.close?.();
    const { passed, faulty, unexplained, passedThough } = reportMbxp(problems, results);
    process.stderr.write(`MBXP JavaScript: ${passed} of ${results.length} pass, ${faulty.length} are faulty\n`);
    expect(unexplained).toEqual([]);
    expect(passedThough).toEqual([]);
    expect(passed + faulty.length).toBe(results.length);
  });

  it("tasks show the first example alone, and their public test is a part of the hidden ones", () => {
    for (const { text, tests, hidden, entry } of mbxpTasks(problems)) {
      expect(text.match(/^ \* > /gm) ?? []).toHaveLength(Math.min(1, text.split(" * > ").length - 1));
      expect(hidden.toString().startsWith(tests as string)).toBe(true);
      expect(tests).toContain(`${entry}(`);
    }
    const shown = mbxpTasks(problems).filter(({ text }) => text.includes(" * > "));
    expect(shown.length).toBeGreaterThan(900);
    expect(shown.filter(({ tests, hidden }) => tests.length < hidden.length / 1.5).length).toBeGreaterThan(900);
  });

  it("a solution that misspells its parameter passes once the parameter is spelt as it spells it", async () => {
    const sandbox = await openSandbox(quickjs({ workers: 2 }), { wallMs: 5000 });
    const spelling = /^the solution reads `(\w+)`, the prompt spells the parameter `(\w+)`$/;
    const repaired = problems.flatMap((problem) => {
      if (!problem.canonical_solution) return [];
      let { prompt } = problem;
      let changed = false;
      for (let fault = faultOf({ ...problem, prompt }); fault; fault = faultOf({ ...problem, prompt })) {
        const found = spelling.exec(fault);
        if (!found) return [];
        changed = true;
        prompt = prompt.replace(new RegExp(`(function.*\\(.*)\\b${found[2]}\\b`), `$1${found[1]}`);
      }
      return changed ? mbxpCases([{ ...problem, prompt }]) : [];
    });
    const results: CaseResult[] = [];
    for await (const result of checkCases(
      sandbox,
      repaired.map((one) => JSON.stringify(one)),
    ))
      results.push(result);
    await sandbox.close?.();
    const failing = results.filter(({ passed }) => !passed);
    process.stderr.write(`MBXP JavaScript: ${results.length} of the faulty only misspell a parameter\n`);
    expect(failing).toEqual([]);
  });
});
