import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import type { Report } from "./report.js";
import { interleave, medianInterval, percentile } from "./rounds.js";

/** What one piece of work took: seconds by the clock, and of all processors of this process. */
interface Taken {
  readonly clock: number;
  readonly processor: number;
}

const took = async (work: () => Promise<unknown>): Promise<Taken> => {
  const [start, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { clock: (performance.now() - start) / 1000, processor: (user + system) / 1e6 };
};

/** A row that was measured: by system, round by round. */
interface Row {
  readonly key: string;
  readonly load: number;
  readonly taken: Readonly<Record<string, readonly Taken[]>>;
}

/** One piece of work by several systems, the first of which is ours. */
export interface Work {
  readonly name: string;
  /** Tokens or texts that it gives; undefined where only its time counts. */
  readonly units?: { readonly count: number; readonly of: string } | undefined;
  readonly rounds: number;
  /** By system, for a round. */
  readonly systems: Readonly<Record<string, (round: number) => Promise<unknown>>>;
}

/**
 * Rows that are kept in a file as they are measured: what was measured on this kind of processor is not measured again, so a bench
 * that was cut off goes on. Systems take turns within a round; ratios are of a round, with the interval of their median.
 */
export class ResumedRows {
  private readonly known = new Map<string, Row>();

  constructor(
    private readonly report: Report,
    private readonly file: string,
  ) {
    if (!existsSync(file)) return;
    for (const line of readFileSync(file, "utf8").split("\n"))
      if (line.endsWith("}")) {
        const row = JSON.parse(line) as Row;
        this.known.set(row.key, row);
      }
    if (this.known.size > 0) report.say(`${this.known.size} rows are taken from ${file}: delete it to measure anew`);
  }

  /** Whether all these rows are there, so that nothing needs to be opened. */
  has(system: string, names: readonly string[]): boolean {
    return names.every((name) => this.known.has(this.key(system, name)));
  }

  private key(system: string, name: string): string {
    return `${cpus()[0]?.model}, ${process.version}: ${system}: ${name}`;
  }

  /** Measures a row, unless it is there, and reports it. */
  async row(system: string, { name, units, rounds, systems }: Work): Promise<void> {
    const key = this.key(system, name);
    let row = this.known.get(key);
    if (!row) {
      const counts: Record<string, number> = {};
      const timed = Object.entries(systems).map(([who, work]) => {
        counts[who] = 0;
        return [who, () => took(() => work(counts[who]!++))] as const;
      });
      row = { key, load: loadavg()[0]!, taken: await interleave(Object.fromEntries(timed), rounds) };
      appendFileSync(this.file, `${JSON.stringify(row)}\n`);
    }
    const [ours, ...others] = Object.keys(row.taken);
    this.report.add(system, `${name}: load of the machine`, row.load, "");
    for (const [who, taken] of Object.entries(row.taken)) {
      const processor = percentile(
        taken.map((one) => one.processor),
        0.5,
      );
      if (units) this.report.add(system, `${name}, ${who}`, units.count / processor, `${units.of} a processor second`);
      else this.report.add(system, `${name}, ${who}`, processor, "processor seconds");
    }
    for (const other of others)
      for (const time of ["processor", "clock"] as const) {
        const ratios = row.taken[ours!]!.map((one, i) => row.taken[other]![i]![time] / one[time]);
        const [from, to] = medianInterval(ratios);
        const against = `${name}: ours against ${other}, ${time === "clock" ? "by the clock" : "processor time"}`;
        this.report.add(system, against, percentile(ratios, 0.5), "times");
        this.report.add(system, `${against}, interval from`, from, "times");
        this.report.add(system, `${against}, interval to`, to, "times");
      }
  }
}
