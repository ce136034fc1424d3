import { type ErrorCode, TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import type { Output } from "@tessera/eval";
import cliProgress from "cli-progress";
import Table from "cli-table3";
import { colors } from "./colors.js";

/** Thrown for what the caller got wrong on the command line; exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface TerminalOptions {
  /** One JSON value on standard output, and nothing else. */
  readonly json: boolean;
  /** Show stack traces of errors. */
  readonly stack: boolean;
  /** The config file that was named; `false` where none is to be read. */
  readonly config?: string | false | undefined;
}

const every = 5_000; // milliseconds between two lines of progress

/** Where the commands print: tables and colours for people, JSON for machines, progress only on a terminal. */
export class Terminal implements Output {
  readonly style = colors;
  private bar: cliProgress.SingleBar | undefined;
  private stage = "";
  private told: number | undefined; // when a line of progress was last due

  constructor(
    readonly options: TerminalOptions,
    private readonly out: NodeJS.WritableStream & { isTTY?: boolean; columns?: number } = process.stdout,
    private readonly err: NodeJS.WritableStream & { isTTY?: boolean } = process.stderr,
    private readonly now: () => number = () => performance.now(),
  ) {}

  get json(): boolean {
    return this.options.json;
  }

  /** For people; nothing under --json. */
  say(text = ""): void {
    if (!this.json) this.out.write(`${text}\n`);
  }

  /** A part of a line, as it comes. */
  write(text: string): void {
    if (!this.json) this.out.write(text);
  }

  /** A remark beside the result: on standard error, so that results can be piped. */
  note(text: string): void {
    this.clear();
    if (!this.json) this.err.write(`${colors.dim(text)}\n`);
  }

  /** A line on standard output, under --json too. */
  print(text: string): void {
    this.out.write(`${text}\n`);
  }

  /** A line on standard error, under --json too: what is missing must not be missed. */
  alert(text: string): void {
    this.err.write(`${text}\n`);
  }

  /** For machines; nothing without --json. */
  result(value: unknown): void {
    if (this.json) this.out.write(`${JSON.stringify(value, undefined, 2)}\n`);
  }

  /** One of several values for machines, on a line of its own; nothing without --json. */
  line(value: object): void {
    if (this.json) this.out.write(`${JSON.stringify(value)}\n`);
  }

  /** A table; what its last column has beyond the terminal's width (or 100 columns) is cut. */
  table(head: string[], rows: (string | number)[][]): void {
    if (this.json) return;
    const last = head.length - 1;
    const widths = head
      .slice(0, last)
      .map((name, column) => Math.max(name.length, ...rows.map((row) => String(row[column]).length)) + 2);
    const room = Math.max(
      20,
      widths.reduce((left, width) => left - width, this.out.columns || 100),
    );
    const plain = {
      top: "",
      "top-mid": "",
      "top-left": "",
      "top-right": "",
      bottom: "",
      "bottom-mid": "",
      "bottom-left": "",
      "bottom-right": "",
      left: "",
      "left-mid": "",
      mid: "",
      "mid-mid": "",
      right: "",
      "right-mid": "",
      middle: "  ",
    };
    const table = new Table({
      head: head.map((name) => colors.bold(name)),
      chars: plain,
      style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
    });
    table.push(
      ...rows.map((row) => row.map((cell, column) => (column === last ? cut(String(cell), room) : String(cell)))),
    );
    this.say(table.toString().replace(/[ \t]+$/gm, ""));
  }

  /** Shows how far long work is: a bar, or where there is no terminal a line every few seconds. */
  progress(stage: string, done: number, total: number | undefined): void {
    if (this.json || !this.err.isTTY) return this.progressLine(stage, done, total);
    if (stage !== this.stage) {
      this.clear();
      this.stage = stage;
      this.bar = new cliProgress.SingleBar(
        {
          format: `${stage.padEnd(8)} {bar} {value}${total === undefined ? "" : "/{total}"}`,
          stream: this.err,
          clearOnComplete: true,
          hideCursor: true,
        },
        cliProgress.Presets.shades_classic,
      );
      this.bar.start(total ?? done, done);
    }
    if (total !== undefined) this.bar?.setTotal(total);
    this.bar?.update(done);
  }

  private progressLine(stage: string, done: number, total: number | undefined): void {
    const now = this.now();
    this.told ??= now;
    if (now - this.told < every) return;
    this.told = now;
    this.err.write(`${stage} ${done}${total === undefined ? "" : ` of ${total}`}\n`);
  }

  clear(): void {
    this.bar?.stop();
    this.bar = undefined;
    this.stage = "";
  }

  /** Prints an error: its code, place and hint; never a stack unless it was asked for. */
  error(error: unknown): void {
    this.clear();
    if (this.json) {
      const { code, ...rest } = jsonOf(error);
      this.out.write(`${JSON.stringify({ error: { code, ...rest } }, undefined, 2)}\n`);
      return;
    }
    this.err.write(`${describe(error)}\n`);
    if (this.options.stack && error instanceof Error) this.err.write(`${error.stack}\n`);
  }
}

const cut = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

const jsonOf = (error: unknown): { code: ErrorCode | "USAGE" | "FAILED"; message: string } =>
  TesseraError.is(error)
    ? error.toJSON()
    : { code: error instanceof UsageError ? "USAGE" : "FAILED", message: messageOf(error) };

function describe(error: unknown): string {
  if (!TesseraError.is(error)) return `${colors.red("error")} ${messageOf(error)}`;
  const lines = error.findings.length > 0 ? error.findings.map(one) : [one(error)];
  return lines.join("\n");
}

const one = ({ code, path, message, hint }: TesseraError): string =>
  [
    `${colors.red(code)}${path ? ` ${colors.bold(path)}` : ""}: ${message}`,
    ...(hint ? [`  ${colors.dim("hint:")} ${hint}`] : []),
  ].join("\n");

// what a document names may fail without a fault of the document
const outside = new Set(["DEPENDENCY_MISSING", "MODEL_FAILED", "STORE_FAILED", "TOOL_FAILED"]);

/** Whether a flow was only refused because something that it names cannot be opened. */
const onlyOutside = ({ findings }: TesseraError): boolean =>
  findings.length > 0 && findings.every(({ code }) => outside.has(code));

/** 2 for a wrong call or a wrong document, 1 for what failed while it ran. */
export const exitCodeOf = (error: unknown): 1 | 2 =>
  error instanceof UsageError ||
  (TesseraError.is(error) &&
    !onlyOutside(error) &&
    [
      "BAD_JSON",
      "BAD_DOCUMENT",
      "DOCUMENT_TOO_LARGE",
      "INVALID_FLOW",
      "BAD_INPUT",
      "BAD_ARGUMENT",
      "BAD_SOURCE",
    ].includes(error.code))
    ? 2
    : 1;
