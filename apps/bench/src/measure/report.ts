import { cpus } from "node:os";

/** One measured figure; printed as a line of JSON as soon as it is known. */
export interface Figure {
  readonly bench: string;
  readonly system: string;
  readonly metric: string;
  /** `null` where the system could not be measured; the unit then says why. */
  readonly value: number | null;
  readonly unit: string;
}

const rounded = (value: number): number => Number(value.toPrecision(4));

/** The figures of a bench. */
export class Report {
  readonly #figures: Figure[] = [];
  readonly #parts: Report[] = [];

  constructor(readonly bench: string) {}

  /** A report within this one, with a table of its own. */
  part(bench: string): Report {
    const part = new Report(bench);
    this.#parts.push(part);
    return part;
  }

  get figures(): readonly Figure[] {
    return [...this.#figures, ...this.#parts.flatMap(({ figures }) => figures)];
  }

  add(system: string, metric: string, value: number | null, unit: string): void {
    const figure = { bench: this.bench, system, metric, value: value === null ? null : rounded(value), unit };
    this.#figures.push(figure);
    console.log(JSON.stringify(figure));
  }

  /** Says loudly that a system could not be measured. */
  miss(system: string, reason: string): void {
    console.error(`NOT MEASURED: ${system}: ${reason}`);
    this.add(system, "missing", null, reason);
  }

  /** Progress, for people. */
  say(line: string): void {
    console.error(`${this.bench}: ${line}`);
  }

  get missing(): Figure[] {
    return this.figures.filter(({ value }) => value === null);
  }

  /** A Markdown table, one row a metric and one column a system, with the machine above it. */
  table(): string {
    if (this.#parts.length > 0) return this.#parts.map((part) => part.table()).join("\n\n");
    const measured = this.figures.filter(({ value }) => value !== null);
    const systems = [...new Set(measured.map(({ system }) => system))];
    const metrics = [...new Map(measured.map(({ metric, unit }) => [metric, unit]))];
    const cell = (metric: string, system: string) =>
      measured.find((figure) => figure.metric === metric && figure.system === system)?.value ?? "";
    const rows = [
      ["", "unit", ...systems],
      ["---", "---", ...systems.map(() => "---:")],
      ...metrics.map(([metric, unit]) => [metric, unit, ...systems.map((system) => cell(metric, system))]),
    ].map((cells) => `| ${cells.join(" | ")} |`);
    const missing = this.missing.map(
      ({ system, metric, unit }) => `Not measured: ${system}${metric === "missing" ? "" : `, ${metric}`} (${unit}).`,
    );
    return [`${this.bench} (${machine()})`, "", ...rows, ...(missing.length > 0 ? ["", ...missing] : [])].join("\n");
  }
}

/** The machine that figures are taken on. */
export const machine = (): string =>
  `${cpus().length} × ${cpus()[0]?.model.trim() ?? "unknown"}, Node ${process.versions.node}, ${process.platform} ${process.arch}`;
