import { messageOf } from "@tessera/core/internal";

/** A figure must be at least or at most this. */
export interface Pass {
  readonly least?: number;
  readonly most?: number;
}

/** What the experiments print, one JSON line a figure; sizes that are tiny show that everything runs, and pass nothing. */
export class Report {
  failed = false;

  constructor(
    readonly tiny: boolean,
    private readonly print: (line: string) => void = console.log,
  ) {}

  figure(experiment: string, name: string, value: number | string | boolean, unit: string, pass: Pass = {}): void {
    const { least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY } = pass;
    const bounded = typeof value === "number" && !this.tiny && (pass.least !== undefined || pass.most !== undefined);
    const passed = bounded && value >= least && value <= most;
    this.line({
      experiment,
      name,
      value,
      unit,
      ...pass,
      ...(bounded && { passed }),
      ...(this.tiny && { tiny: true }),
    });
  }

  missing(experiment: string, name: string, reason: string): void {
    this.line({ experiment, name, missing: reason.split("\n", 1)[0] });
  }

  /** An experiment that fails is a line too, and the next one runs. */
  async experiment(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.failed = true;
      this.line({ experiment: name, error: messageOf(error) });
    }
  }

  line(value: object): void {
    this.print(JSON.stringify(value));
  }
}

/** Median seconds of `work` over `rounds`, after one that is not counted. */
export async function median(rounds: number, work: () => Promise<unknown>): Promise<number> {
  await work();
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    await work();
    times.push((performance.now() - start) / 1000);
  }
  return times.sort((a, b) => a - b)[Math.floor(rounds / 2)]!;
}
