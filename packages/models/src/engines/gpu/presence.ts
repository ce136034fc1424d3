import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { homedir, release } from "node:os";
import { dirname, join } from "node:path";

/** The part of a machine that tells whether it has a GPU; tests have their own. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  /** Where device files are. */
  readonly devices: string;
  /** Where Vulkan's drivers are described. */
  readonly drivers: readonly string[];
  /** Where verdicts are kept. */
  readonly cache: string;
}

export const thisMachine = (): Machine => ({
  platform: process.platform,
  devices: "/dev",
  drivers: ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"],
  cache: join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tessera"),
});

/** A GPU's files on Linux: NVIDIA's, the kernel's render nodes, and the one of Windows' subsystem. */
const ofGpus = /^(nvidia\d+|dxg)$/;

/** Why there can be no GPU here, without asking any driver; undefined where there may be one. Takes less than a millisecond. */
export async function withoutGpu({ platform, devices }: Machine): Promise<string | undefined> {
  if (platform !== "linux") return undefined;
  const list = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
  if ((await list(devices)).some((name) => ofGpus.test(name))) return undefined;
  if ((await list(join(devices, "dri"))).some((name) => name.startsWith("renderD"))) return undefined;
  return "this machine has no GPU";
}

/** A refusal is believed for a day. */
const believedFor = 86_400_000;

interface Verdict {
  readonly reason: string;
  readonly at: number;
}

/**
 * Why the GPU was refused, kept for a day, so that a machine whose GPU cannot be used starts no process to learn it again.
 * What would change the verdict is in the name: Node, the kernel, the drivers and what is known of them.
 */
export class RefusalCache {
  private constructor(private readonly path: string) {}

  static async of(machine: Machine, environment: NodeJS.ProcessEnv = process.env): Promise<RefusalCache> {
    const known = [process.version, process.arch, machine.platform, release()];
    for (const name of ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "LD_LIBRARY_PATH"]) known.push(environment[name] ?? "");
    known.push(await readFile("/proc/driver/nvidia/version", "utf8").catch(() => ""));
    for (const folder of machine.drivers)
      for (const name of (await readdir(folder).catch(() => [])).sort()) {
        const path = join(folder, name);
        known.push(path, String((await stat(path).catch(() => undefined))?.mtimeMs));
      }
    const key = createHash("sha256").update(known.join("\n")).digest("hex").slice(0, 16);
    return new RefusalCache(join(machine.cache, `gpu-refused-${key}.json`));
  }

  async get(): Promise<string | undefined> {
    try {
      const { reason, at } = JSON.parse(await readFile(this.path, "utf8")) as Verdict;
      const age = Date.now() - at;
      return typeof reason === "string" && age >= 0 && age < believedFor ? reason : undefined;
    } catch {
      return undefined;
    }
  }

  /** Keeps a reason; where nothing can be written, the next process asks again. */
  async keep(reason: string): Promise<void> {
    const partial = `${this.path}.${process.pid}`;
    try {
      await mkdir(dirname(this.path), { recursive: true });
      await writeFile(partial, JSON.stringify({ reason, at: Date.now() } satisfies Verdict));
      await rename(partial, this.path);
    } catch {
      // a read-only machine
    }
  }
}
