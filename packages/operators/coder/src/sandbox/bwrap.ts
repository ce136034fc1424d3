import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { TesseraError } from "@tessera/core";
import { admit, type Driver, type Limits, type Program, type Runnable } from "./driver.js";
import { namespaces, seccompFilter } from "./isolation.js";
import { lanes } from "./lanes.js";
import { admitArgument, commandOf, runProcess } from "./process.js";

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
  const lane = lanes(workers);
  const languages: Runnable[] = existsSync(python) ? ["javascript", "python"] : ["javascript"];
  const filter = seccompFilter();
  let reason: Promise<string | undefined> | undefined;

  const start = (program: Program, limits: Limits, signal?: AbortSignal) => {
    const memoryMb = Math.max(limits.memoryMb, program.language === "javascript" ? 128 : 32);
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
          const probe = await start({ language: "javascript", source: "console.log(1)" }, limits);
          return probe.output === "1\n" ? undefined : `bubblewrap does not work here: ${probe.errors.trim()}`;
        } catch {
          return "bubblewrap or prlimit is not installed";
        }
      })();
      return reason;
    },
    async run(program, limits, signal) {
      admitArgument(driver, program, signal);
      const missing = await driver.missing();
      if (missing)
        throw new TesseraError("SANDBOX_REFUSED", missing, {
          path: "bwrap",
          hint: "install the package bubblewrap and allow unprivileged user namespaces",
        });
      return lane(async () => {
        admit(driver, program, signal);
        return start(program, limits, signal);
      });
    },
    close: async () => undefined,
  };
  return driver;
}
