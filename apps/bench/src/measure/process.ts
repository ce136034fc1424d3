import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What a system of a bench can do; every method may be called from the process that compares. */
export type System = Record<string, (argument: never) => unknown>;

/** A system in a process of its own: its heap, its collector and its crashes are nobody else's. */
export class SystemProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /**
   * Starts `systems[name]()` of a module.
   * @throws Error with the reason, where it cannot be set up
   */
  static async start(module: string, name: string): Promise<SystemProcess> {
    const child = fork(fileURLToPath(import.meta.url), [module, name], {
      execArgv: process.execArgv,
      serialization: "advanced",
    });
    const system = new SystemProcess(child);
    try {
      await system.#reply();
    } catch (error) {
      await system.close(); // one that cannot be set up is not left behind
      throw error;
    }
    return system;
  }

  async call<T>(method: string, argument?: unknown): Promise<T> {
    this.#child.send({ method, argument });
    return (await this.#reply()) as T;
  }

  /** Lets it end; it is killed where it has not after some seconds. */
  async close(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = new Promise((resolve) => child.once("exit", resolve));
    if (child.connected) child.disconnect();
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
    await exit;
    clearTimeout(timer);
  }

  #reply(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null) => reject(new Error(`its process ended with ${code}`));
      this.#child.once("exit", ended);
      this.#child.once("message", ({ value, error }: { value?: unknown; error?: string }) => {
        this.#child.off("exit", ended);
        if (error === undefined) resolve(value);
        else reject(new Error(error));
      });
    });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.send) {
  // not by a flag of the process, which the worker threads of a system would not take
  setFlagsFromString("--expose-gc");
  Object.assign(globalThis, { gc: runInNewContext("gc") });
  const [module, name] = process.argv.slice(2) as [string, string];
  const reply = async (work: () => unknown) => {
    try {
      process.send!({ value: await work() });
    } catch (error) {
      process.send!({ error: (error as Error).message });
    }
  };
  // a system has two seconds to close; then it ends, lest it outlive the process that compares
  process.once("disconnect", () => setTimeout(() => process.exit(), 2000).unref());
  let system: Record<string, (argument: unknown) => unknown> = {};
  process.on("message", ({ method, argument }: { method: string; argument: unknown }) => {
    void reply(() => system[method]!(argument));
  });
  void reply(async () => {
    const { systems } = (await import(module)) as { systems: Record<string, () => Promise<typeof system>> };
    system = await systems[name]!();
  });
}

/** Megabytes that this process holds after a collection: JavaScript's memory, and all of it. */
export function memory(): { heap: number; resident: number } {
  for (let i = 0; i < 3; i++) (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: (heapUsed + external) / 1e6, resident: rss / 1e6 };
}

/** The number that a program, a module given as a text, prints in a process of its own. @throws Error where it prints none above 0 */
export function inNewProcess(program: string): number {
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  const printed = Number(stdout);
  if (!(printed > 0)) throw new Error(`a program failed: ${stderr.split("\n")[0]}`);
  return printed;
}
