import { baselineModule } from "./baseline.js";
import { inNewProcess } from "./process.js";
import { interleave, medianInterval, percentile } from "./rounds.js";

/** What the import of a package costs beside the baseline. */
interface ImportCost {
  readonly name: string;
  /** Milliseconds of processor time, medians. */
  readonly today: number;
  readonly baseline: number;
  /** The median of today's time over that of the baseline, round by round, and the interval that holds it in 95 of 100 cases. */
  readonly ratio: number;
  readonly interval: readonly [from: number, to: number];
}

/** What the ratio's interval must end below. */
export const mostImportRatio = 1.05;

/** Milliseconds of processor time that an import takes in a new process, without the start of Node. */
const processorTimeOf = (url: string): number =>
  inNewProcess(
    `const before = process.cpuUsage(); await import(${JSON.stringify(url)}); const { user, system } = process.cpuUsage(before); console.log((user + system) / 1000)`,
  );

/** The import of a built package beside the baseline's, in new processes that take turns. */
export async function importCost(name: "tessera" | "core" | "graph", rounds = 21): Promise<ImportCost> {
  const urls = { today: import.meta.resolve(`@tessera/${name}`), baseline: baselineModule(`packages/${name}`) };
  if (urls.today.endsWith(".ts")) throw new Error("import times are those of the build: npm run figures");
  const samples = await interleave(
    { today: () => processorTimeOf(urls.today), baseline: () => processorTimeOf(urls.baseline) },
    rounds,
  );
  const ratios = samples.today!.map((ms, round) => ms / samples.baseline![round]!);
  return {
    name: `@tessera/${name}`,
    today: percentile(samples.today!, 0.5),
    baseline: percentile(samples.baseline!, 0.5),
    ratio: percentile(ratios, 0.5),
    interval: medianInterval(ratios),
  };
}
