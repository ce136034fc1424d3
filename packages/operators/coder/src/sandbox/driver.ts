// public: Limits, Driver
// internal: Runnable, defaultLimits
import { TesseraError } from "@tessera/core";

/** What a driver can run. TypeScript is turned into JavaScript before it reaches a driver. */
export type Runnable = "javascript" | "python";

/** A whole untrusted program: its text, and what it reads from its standard input. */
export interface Program {
  readonly language: Runnable;
  readonly source: string;
  readonly input?: string;
}

/** The most that one run may use. Every driver enforces each of them from outside the program. */
export interface Limits {
  /** Milliseconds by the clock. */
  readonly wallMs: number;
  /** Mebibytes that the program may write to. */
  readonly memoryMb: number;
  /** Bytes of standard output and standard error together. */
  readonly outputBytes: number;
}

/** The public-test limits of the reference note, section 4.2: 2 s, 64 MB, 64 kB. */
export const defaultLimits: Limits = { wallMs: 2000, memoryMb: 64, outputBytes: 65_536 };

/** How a run ended. Only "exited" has an exit code of the program's own making. */
export interface Execution {
  readonly status: "exited" | "timeout" | "memory" | "output";
  /** 0 where the program ended by itself, 1 where it threw, or what it passed to `exit`; `null` where it was ended. */
  readonly exitCode: number | null;
  readonly output: string;
  readonly errors: string;
  /** Milliseconds by the clock, of the run alone. */
  readonly ms: number;
}

/**
 * Runs untrusted programs in isolation: no file of the host, no network, no process of the host, and hard limits.
 * Whatever the program does, `run` resolves to an `Execution`; it rejects only where nothing was run.
 */
export interface Driver {
  readonly name: string;
  readonly languages: readonly Runnable[];
  /**
   * Why this driver cannot run here, or `undefined` where it can.
   * @throws TesseraError DEPENDENCY_MISSING, with the command that installs what it needs
   */
  missing(): Promise<string | undefined>;
  /** @throws TesseraError SANDBOX_REFUSED, ABORTED, CLOSED. */
  run(program: Program, limits: Limits, signal?: AbortSignal): Promise<Execution>;
  close(): Promise<void>;
}

/** The largest program and input, in characters: ten megabytes of model output are refused, not parsed. */
const largestProgram = 1_000_000;

/** @throws TesseraError SANDBOX_REFUSED for more characters than a program may have. */
export function admitSize(path: string, size: number): void {
  if (size > largestProgram)
    throw new TesseraError("SANDBOX_REFUSED", `the program has ${size} characters`, {
      path,
      hint: `${largestProgram} are the most`,
    });
}

/**
 * Refuses what no driver should be given.
 * @throws TesseraError SANDBOX_REFUSED, ABORTED.
 */
export function admit(driver: Driver, program: Program, signal?: AbortSignal): void {
  if (signal?.aborted) throw new TesseraError("ABORTED", "the run was aborted before it began", { path: driver.name });
  if (!driver.languages.includes(program.language))
    throw new TesseraError("SANDBOX_REFUSED", `the driver does not run ${program.language}`, {
      path: driver.name,
      hint: `it runs ${driver.languages.join(", ") || "nothing"} here`,
    });
  admitSize(driver.name, program.source.length + (program.input?.length ?? 0));
}
