import { baselineCommit } from "./measure/baseline.js";
import { importCost, mostImportRatio } from "./measure/import-cost.js";
import type { Report } from "./measure/report.js";

/** What the import of our packages costs beside an earlier commit: processor time, in new processes that take turns. */
export default async function imports(report: Report): Promise<void> {
  for (const name of ["core", "graph", "tessera"] as const) {
    report.say(`importing ${name} beside ${baselineCommit} …`);
    const { name: system, today, baseline, ratio, interval } = await importCost(name);
    report.add(system, "import, processor time", today, "ms");
    report.add(system, `import at ${baselineCommit}`, baseline, "ms");
    report.add(system, `times ${baselineCommit} (interval ends below ${mostImportRatio})`, ratio, "×");
    report.add(system, "the interval of 95 % from", interval[0], "×");
    report.add(system, "the interval of 95 % to", interval[1], "×");
  }
}
