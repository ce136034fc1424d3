import { randomUUID } from "node:crypto";
import { readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import { z } from "zod";

const schema = z.object({ token: z.string(), pid: z.number(), host: z.string(), started: z.string().nullable() });
type Owner = z.infer<typeof schema>;

const beatEvery = 30_000; // milliseconds
const staleAfter = 600_000;
const unreadableFor = 10_000; // a lock without content is one being made, or one whose maker was killed

/** When a process started, in the kernel's ticks: tells it from a later one of the same number. Linux only. */
const startOf = (pid: number): Promise<string | null> =>
  readFile(`/proc/${pid}/stat`, "utf8").then(
    (text) => text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? null,
    () => null,
  );

/** The right to write a folder, of an index or of a service: one file, made by one process, that says whose it is. */
export class WriterLock {
  readonly #path: string;
  readonly #token: string;
  readonly #beat: NodeJS.Timeout;

  private constructor(path: string, token: string) {
    this.#path = path;
    this.#token = token;
    this.#beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), beatEvery);
    this.#beat.unref();
  }

  /**
   * Takes the lock of a folder; one whose owner is gone is taken over.
   * @throws TesseraError INDEX_LOCKED where another writer holds it.
   */
  static async acquire(folder: string): Promise<WriterLock> {
    const path = join(folder, "lock");
    const token = randomUUID();
    const owner: Owner = { token, pid: process.pid, host: hostname(), started: await startOf(process.pid) };
    for (let attempt = 0; ; attempt++) {
      try {
        await writeFile(path, JSON.stringify(owner), { flag: "wx" });
        return new WriterLock(path, token);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
          if ((error as NodeJS.ErrnoException).code === "ENOSPC") await rm(path, { force: true }).catch(() => {});
          throw error;
        }
      }
      const holder = await WriterLock.#read(path);
      if (attempt >= 3 || !(await WriterLock.#isStale(path, holder)))
        throw new TesseraError(
          "INDEX_LOCKED",
          `process ${holder?.pid ?? "?"} on ${holder?.host ?? "?"} is writing it`,
          {
            path: folder,
            hint: `wait for it to end; if no such process runs, remove ${path}`,
          },
        );
      // of several who see a stale lock one moves it away; whoever moves a new one by mistake puts it back
      const aside = `${path}.${token}`;
      await rename(path, aside).catch(() => {});
      const moved = await WriterLock.#read(aside);
      if (moved?.token !== holder?.token && moved) await rename(aside, path).catch(() => {});
      else await rm(aside, { force: true });
    }
  }

  static async #read(path: string): Promise<Owner | undefined> {
    try {
      return schema.parse(JSON.parse(await readFile(path, "utf8")));
    } catch {
      return undefined;
    }
  }

  static async #isStale(path: string, holder: Owner | undefined): Promise<boolean> {
    const found = await stat(path).catch(() => undefined);
    if (!found) return true;
    const age = Date.now() - found.mtimeMs;
    if (!holder) return age > unreadableFor;
    if (age > staleAfter) return true;
    if (holder.host !== hostname()) return false;
    try {
      process.kill(holder.pid, 0);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ESRCH";
    }
    return holder.started !== null && holder.started !== (await startOf(holder.pid));
  }

  /** @throws TesseraError INDEX_LOCKED where the lock was lost, as after a long sleep. */
  async assertHeld(): Promise<void> {
    if ((await WriterLock.#read(this.#path))?.token !== this.#token)
      throw new TesseraError("INDEX_LOCKED", "another process took the index over", {
        path: this.#path,
        hint: "run it again",
      });
  }

  async release(): Promise<void> {
    clearInterval(this.#beat);
    if ((await WriterLock.#read(this.#path))?.token === this.#token) await rm(this.#path, { force: true });
  }
}
