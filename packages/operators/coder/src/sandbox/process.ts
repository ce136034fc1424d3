import { type StdioOptions, spawn } from "node:child_process";
import { openSync, readdirSync, readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { TesseraError } from "@tessera/core";
import { systemClock } from "@tessera/core/internal";
import { admit, type Driver, type Execution, type Limits, type Program } from "./driver.js";

export interface Command {
  readonly path: string;
  readonly args: readonly string[];
  readonly input: string;
  /** Bytes that the child reads from descriptor 3. */
  readonly extra?: Buffer | undefined;
  /**
   * Whether the command writes `{"child-pid": …}` to descriptor 4 before the program runs, as bubblewrap's --info-fd does.
   * Such a command is killed together with that process, and not before it has told which one it is: killed in between, it
   * would leave a process that nobody knows.
   */
  readonly tellsChild?: boolean;
  /** What the command itself finds in its environment, beside PATH. */
  readonly env?: Readonly<Record<string, string | undefined>>;
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
      stdio: descriptors(command),
      env: { PATH: process.env.PATH, ...command.env },
    });
    const written = { output: [] as Buffer[], errors: [] as Buffer[] };
    let room = limits.outputBytes;
    let ended: "timeout" | "output" | undefined;

    const told = command.tellsChild ? childOf(child.stdio[4] as Readable) : undefined;
    let running = true;
    const kill = (): void => {
      const strike = (inner?: number): void => {
        if (inner !== undefined && running) strikeDown(inner);
        child.kill("SIGKILL");
        command.onKill?.();
        for (const stream of child.stdio) stream?.destroy();
      };
      if (told) void told.then(strike);
      else strike();
    };
    const end = (reason: "timeout" | "output"): void => {
      ended ??= reason;
      kill();
    };
    const forget = systemClock.after(limits.wallMs, () => end("timeout"));
    const abort = (): void => {
      kill();
      forgetLimits();
      reject(new TesseraError("ABORTED", "the run was aborted", { path: command.path }));
    };
    const forgetLimits = (): void => {
      forget();
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
      forgetLimits();
      reject(new TesseraError("SANDBOX_REFUSED", `${command.path} cannot be started`, { cause, path: command.path }));
    });
    child.on("close", (code, killedBy) => {
      running = false;
      forgetLimits();
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

const closesOnExec = 0o2000000; // O_CLOEXEC
let inherited: number[] | undefined;
let nothing: number | undefined;

/** The descriptors that this process inherited and its children would too: a service manager's sockets, a shell's pipes. */
function inheritable(): number[] {
  const isPassedOn = (descriptor: number): boolean => {
    try {
      const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))?.[1] ?? "0";
      return (Number.parseInt(flags, 8) & closesOnExec) === 0;
    } catch {
      return false; // it was the one that listed the folder
    }
  };
  try {
    return readdirSync("/proc/self/fdinfo").map(Number).filter(isPassedOn);
  } catch {
    return []; // not Linux
  }
}

/** The pipes of a command, and /dev/null in the place of each descriptor that it would inherit. */
function descriptors({ extra, tellsChild }: Command): StdioOptions {
  const used: (number | "pipe" | "ignore")[] = [
    ...(["pipe", "pipe", "pipe"] as const),
    ...[extra, tellsChild].map((piped) => (piped ? "pipe" : "ignore") as "pipe" | "ignore"),
  ];
  const own = used.length;
  inherited ??= inheritable();
  for (const descriptor of inherited) {
    if (descriptor < own) continue;
    while (used.length < descriptor) used.push("ignore");
    nothing ??= openSync("/dev/null", "r");
    used[descriptor] = nothing;
  }
  return used;
}

/**
 * How long a command that is to be killed may take to tell its child: it does so at once, but a busy machine gave it no
 * turn for two seconds, and what it left ran on.
 */
const patienceMs = 30_000;

/** The process that a command tells; `undefined` where it ends or is silent before that. */
async function childOf(info: Readable): Promise<number | undefined> {
  return new Promise((resolve) => {
    let text = "";
    const timer = setTimeout(() => resolve(undefined), patienceMs);
    const done = (): void => {
      clearTimeout(timer);
      resolve(Number(/"child-pid":\s*(\d+)/.exec(text)?.[1]) || undefined);
    };
    info.setEncoding("utf8");
    info.on("data", (chunk: string) => {
      text += chunk;
      if (/"child-pid":\s*\d+\D/.test(text)) done();
    });
    for (const event of ["end", "close", "error"]) info.on(event, done);
  });
}

function strikeDown(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended by itself
  }
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
/** @throws TesseraError SANDBOX_REFUSED where the driver cannot run here, or the program is too large for it. */
export async function admitPresent(
  driver: Driver,
  program: Program,
  { hint, signal }: { hint: string; signal: AbortSignal | undefined },
): Promise<void> {
  admitArgument(driver, program, signal);
  const missing = await driver.missing();
  if (missing) throw new TesseraError("SANDBOX_REFUSED", missing, { path: driver.name, hint });
}

function admitArgument(driver: Driver, program: Program, signal?: AbortSignal): void {
  admit(driver, program, signal);
  if (Buffer.byteLength(program.source) > longestArgument)
    throw new TesseraError("SANDBOX_REFUSED", "the program is longer than a process takes", {
      path: driver.name,
      hint: `${longestArgument} bytes are the most`,
    });
}
