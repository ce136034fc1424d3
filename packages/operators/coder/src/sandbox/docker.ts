// public: docker
import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { limitConcurrency } from "./concurrency.js";
import { admit, type Driver, type Runnable } from "./driver.js";
import { admitPresent, commandOf, runProcess } from "./process.js";

/** Where the command line finds its daemon: a rootless one, one elsewhere, Podman's. No container gets any of it. */
const surroundings = (): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => /^(HOME|XDG_RUNTIME_DIR|DOCKER_\w+)$/.test(name)));

/**
 * A bridge to Docker (or a program with its command line): one container a run, with no network, a read-only file
 * system, no capabilities, an unprivileged user, and limits of memory and processes. Its images have to be there.
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
  const lane = limitConcurrency(workers);
  let reason: Promise<string | undefined> | undefined;
  const quiet = { wallMs: 10_000, memoryMb: 0, outputBytes: 65_536 };

  /** `undefined` where a command succeeds, else what it says. */
  const complaint = async (...args: string[]): Promise<string | undefined> => {
    const { status, exitCode, errors } = await runProcess({ path, args, input: "", env: surroundings() }, quiet);
    return status === "exited" && exitCode === 0 ? undefined : errors.trim();
  };
  async function lacking(): Promise<string | undefined> {
    try {
      const server = await complaint("version", "--format", "{{.Server.Version}}");
      if (server !== undefined) return `${path} has no server: ${server}`;
      // one that is fetched during a run would use up the run's time
      for (const image of Object.values(images))
        if ((await complaint("image", "inspect", "--format", "{{.Id}}", image)) !== undefined)
          return `the image ${image} is not there: docker pull ${image}`;
      return undefined;
    } catch {
      return `${path} is not installed`;
    }
  }

  const driver: Driver = {
    name: "docker",
    languages: Object.keys(images) as Runnable[],
    async missing() {
      reason ??= lacking();
      return reason;
    },
    async run(program, limits, signal) {
      await admitPresent(driver, program, { hint: "start the daemon", signal });
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
        void runProcess({ path, args: ["kill", name], input: "", env: surroundings() }, quiet).catch(() => undefined);
      };
      const within = { ...limits, wallMs: limits.wallMs + startMs };
      return lane(async () => {
        admit(driver, program, signal);
        const command = { path, args, input: program.input ?? "", env: surroundings(), onKill };
        return runProcess(command, within, signal);
      });
    },
    close: async () => undefined,
  };
  return driver;
}
