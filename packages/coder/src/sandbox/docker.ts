import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { TesseraError } from "@tessera/core";
import { admit, type Driver, type Runnable } from "./driver.js";
import { lanes } from "./lanes.js";
import { admitArgument, commandOf, runProcess } from "./process.js";

/**
 * A bridge to Docker (or a program with its command line): one container a run, with no network, a read-only file
 * system, no capabilities, an unprivileged user, and limits of memory and processes.
 * `startMs` is added to the time limit, since a container starts slowly.
 */
export function docker({
  path = "docker",
  images = { javascript: "node:20-slim", python: "python:3.12-slim" },
  startMs = 2000,
  workers = availableParallelism(),
}: {
  path?: string;
  images?: Partial<Record<Runnable, string>>;
  startMs?: number;
  /** Containers at once. */
  workers?: number;
} = {}): Driver {
  const lane = lanes(workers);
  let reason: Promise<string | undefined> | undefined;
  const driver: Driver = {
    name: "docker",
    languages: Object.keys(images) as Runnable[],
    async missing() {
      reason ??= runProcess(
        { path, args: ["version", "--format", "{{.Server.Version}}"], input: "" },
        { wallMs: 10_000, memoryMb: 0, outputBytes: 65_536 },
      ).then(
        ({ status, exitCode, errors }) =>
          status === "exited" && exitCode === 0 ? undefined : `${path} has no server: ${errors.trim()}`,
        () => `${path} is not installed`,
      );
      return reason;
    },
    async run(program, limits, signal) {
      admitArgument(driver, program, signal);
      const missing = await driver.missing();
      if (missing) throw new TesseraError("SANDBOX_REFUSED", missing, { path: "docker", hint: "start the daemon" });
      const name = `tessera-${randomUUID()}`;
      const memory = `${Math.max(limits.memoryMb, 64)}m`;
      const args = [
        ...["run", "--rm", "--interactive", "--name", name, "--network", "none", "--read-only"],
        ...["--tmpfs", "/tmp:size=16m", "--workdir", "/tmp", "--user", "65534:65534", "--cap-drop", "ALL"],
        ...["--security-opt", "no-new-privileges", "--memory", memory, "--memory-swap", memory],
        ...["--pids-limit", "32", "--cpus", "1", "--log-driver", "none", images[program.language]!],
        ...commandOf(program, limits, "node", "python3"),
      ];
      const onKill = (): void => {
        const quiet = { wallMs: 10_000, memoryMb: 0, outputBytes: 65_536 };
        void runProcess({ path, args: ["kill", name], input: "" }, quiet).catch(() => undefined);
      };
      const within = { ...limits, wallMs: limits.wallMs + startMs };
      return lane(async () => {
        admit(driver, program, signal);
        return runProcess({ path, args, input: program.input ?? "", onKill }, within, signal);
      });
    },
    close: async () => undefined,
  };
  return driver;
}
