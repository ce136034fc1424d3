// public: bwrap
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { limitConcurrency } from "./concurrency.js";
import { admit, type Driver, type Limits, type Program, type Runnable } from "./driver.js";
import { namespaces, seccompFilter } from "./isolation.js";
import { admitPresent, commandOf, runProcess } from "./process.js";

const python = "/usr/bin/python3";
const mebibyte = 1024 * 1024;

/**
 * Python and Node under bubblewrap: own namespaces without a network, the system read-only, no new processes (seccomp),
 * memory, file size and processor time by resource limits. Memory is RLIMIT_DATA, since V8 reserves far more address
 * space than it uses; Node itself needs about 100 MiB of it, so a lower limit counts as that.
 */
export function bwrap({
  path = "bwrap",
  workers = availableParallelism(),
}: {
  path?: string;
  /** Processes at once. */
  workers?: number;
} = {}): Driver {
  const lane = limitConcurrency(workers);
  const languages: Runnable[] = existsSync(python) ? ["javascript", "python"] : ["javascript"];
  const filter = seccompFilter();
  let reason: Promise<string | undefined> | undefined;
  let codeRangeMb = 0; // what V8 reserves for compiled code, where it counts as data: found out by `missing`

  const start = (program: Program, limits: Limits, signal?: AbortSignal) => {
    const memoryMb =
      program.language === "javascript" ? Math.max(limits.memoryMb, 128) + codeRangeMb : Math.max(limits.memoryMb, 32);
    const limiters = [
      `--data=${memoryMb * mebibyte}`,
      `--cpu=${Math.ceil(limits.wallMs / 1000) + 1}`,
      `--fsize=${16 * mebibyte}`,
      "--nofile=64",
      "--core=0",
    ];
    const inside = commandOf(program, limits, "/run/node", python);
    const args = [...limiters, path, ...namespaces, "--info-fd", "4", "--", ...inside];
    const command = { path: "prlimit", args, input: program.input ?? "", extra: filter, tellsChild: true };
    return runProcess(command, limits, signal);
  };

  const driver: Driver = {
    name: "bwrap",
    languages,
    async missing() {
      reason ??= (async () => {
        if (process.platform !== "linux") return "bubblewrap needs Linux";
        if (!filter) return `no system call filter is known for ${process.arch}`;
        const limits = { wallMs: 10_000, memoryMb: 128, outputBytes: 4096 };
        try {
          let said = "";
          // the code range of Node 24 is 512 MiB of RLIMIT_DATA, that of Node 20 is none; a program cannot use it as memory
          for (codeRangeMb of [0, 512]) {
            const probe = await start({ language: "javascript", source: "console.log(1)" }, limits);
            if (probe.output === "1\n") return undefined;
            said ||= probe.errors.split("\n").find((line) => /\w/.test(line)) ?? "";
          }
          return `bubblewrap does not work here: ${said}`;
        } catch {
          return "bubblewrap or prlimit is not installed";
        }
      })();
      return reason;
    },
    async run(program, limits, signal) {
      const hint = "install the package bubblewrap and allow unprivileged user namespaces";
      await admitPresent(driver, program, { hint, signal });
      return lane(async () => {
        admit(driver, program, signal);
        return start(program, limits, signal);
      });
    },
    close: async () => undefined,
  };
  return driver;
}
