import type { Output } from "./output.js";

const plain = (text: string): string => text;

/** An output that keeps what is printed, for people or for machines, without colours. */
export class KeptOutput implements Output {
  readonly style = { bold: plain, red: plain, green: plain, yellow: plain };
  /** What was printed on standard output, and on standard error. */
  out = "";
  err = "";

  constructor(readonly json: boolean) {}

  /** The values that were printed for machines. */
  get lines(): Record<string, unknown>[] {
    return this.out
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  say(text = ""): void {
    if (!this.json) this.out += `${text}\n`;
  }

  line(value: object): void {
    if (this.json) this.out += `${JSON.stringify(value)}\n`;
  }

  table(head: string[], rows: (string | number)[][]): void {
    for (const row of [head, ...rows]) this.say(row.join("  ").trimEnd());
  }

  alert(text: string): void {
    this.err += `${text}\n`;
  }

  progress(): void {}

  clear(): void {}
}
