// internal
import { spawn } from "node:child_process";
import { TesseraError } from "@tessera/core";
import { admit, type Driver, type Execution, type Limits, type Program } from "./driver.js";

export interface Command {
  readonly path: string;
  readonly args: readonly string[];
  readonly input: string;
  /** Bytes that the child reads from descriptor 3. */
  readonly extra?: Buffer | undefined;
  /** Called when the limits end the run, besides killing the process. */
  readonly onKill?: () => void;
}

// what the runtimes say when memory runs out; 137 is what a container says after the kernel killed it
const exhausted =
  /heap out of memory|Array buffer allocation failed|^MemoryError|Cannot allocate memory|std::bad_alloc/m;

/**
 * Runs a command to its end, or until it has used its time or written its bytes.
 * @throws TesseraError ABORTED, SANDBOX_REFUSED where the command cannot be started.
 */
export function runProcess(command: Command, limits: Limits, signal?: AbortSignal): Promise<Execution> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command.path, command.args, {
      stdio: ["pipe", "pipe", "pipe", command.extra ? "pipe" : "ignore"],
      env: { PATH: process.env.PATH },
    });
    const written = { output: [] as Buffer[], errors: [] as Buffer[] };
    let room = limits.outputBytes;
    let ended: "timeout" | "output" | undefined;

    const kill = (): void => {
      child.kill("SIGKILL");
      command.onKill?.();
      for (const stream of child.stdio) stream?.destroy();
    };
    const end = (reason: "timeout" | "output"): void => {
      ended ??= reason;
      kill();
    };
    const timer = setTimeout(() => end("timeout"), limits.wallMs);
    const abort = (): void => {
      kill();
      finish();
      reject(new TesseraError("ABORTED", "the run was aborted", { path: command.path }));
    };
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    signal?.addEventListener("abort", abort, { once: true });

    for (const name of ["output", "errors"] as const) {
      const stream = name === "output" ? child.stdout! : child.stderr!;
      stream.on("data", (chunk: Buffer) => {
        if (room > 0) written[name].push(chunk.subarray(0, room));
        room -= chunk.length;
        if (room < 0) end("output");
      });
    }
    // a program that ends without reading closes the pipe
    child.stdin!.on("error", () => undefined);
    child.stdin!.end(command.input);
    const extra = child.stdio[3];
    if (extra && "end" in extra) {
      extra.on("error", () => undefined);
      extra.end(command.extra);
    }

    child.on("error", (cause) => {
      finish();
      reject(new TesseraError("SANDBOX_REFUSED", `${command.path} cannot be started`, { cause, path: command.path }));
    });
    child.on("close", (code, killedBy) => {
      finish();
      const output = Buffer.concat(written.output).toString();
      const errors = Buffer.concat(written.errors).toString();
      const exitCode = code ?? (killedBy ? 137 : 1);
      const memory = exitCode === 137 || (exitCode !== 0 && exhausted.test(errors));
      const status = ended ?? (memory ? "memory" : "exited");
      const ms = performance.now() - start;
      resolve({ status, exitCode: status === "exited" ? exitCode : null, output, errors, ms });
    });
  });
}

/** How a runtime is started on a program's text. */
export function commandOf({ language, source }: Program, limits: Limits, node: string, pythonPath: string): string[] {
  return language === "python"
    ? [pythonPath, "-I", "-c", source]
    : [node, `--max-old-space-size=${Math.ceil(limits.memoryMb * 0.75)}`, "-e", source];
}

/** The longest text that a process takes as one argument (MAX_ARG_STRLEN). */
const longestArgument = 131_000;

/** Refuses a program that cannot be passed to a process; tests pass theirs through its input. */
export function admitArgument(driver: Driver, program: Program, signal?: AbortSignal): void {
  admit(driver, program, signal);
  if (Buffer.byteLength(program.source) > longestArgument)
    throw new TesseraError("SANDBOX_REFUSED", "the program is longer than a process takes", {
      path: driver.name,
      hint: `${longestArgument} bytes are the most`,
    });
}
