import { randomUUID } from "node:crypto";
import { readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
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
      const state = await WriterLock.#stateOf(path, holder);
      if (attempt >= 3 || state === "held")
        throw new TesseraError(
          "INDEX_LOCKED",
          `process ${holder?.pid ?? "?"} on ${holder?.host ?? "?"} is writing it`,
          {
            path: folder,
            hint: `wait for it to end; if no such process runs, remove ${path}`,
          },
        );
      if (state === "stale") await WriterLock.#removeStale(path, holder);
    }
  }

  /**
   * Removes a lock whose owner is gone. Of several who see it one does, under a file of its own, after a second look:
   * between a look and a removal another could have removed it and locked anew.
   */
  static async #removeStale(path: string, seen: Owner | undefined): Promise<void> {
    const claim = `${path}.takeover`;
    try {
      await writeFile(claim, "", { flag: "wx" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const age =
        Date.now() -
        (await stat(claim).then(
          ({ mtimeMs }) => mtimeMs,
          () => Date.now(),
        ));
      if (age > unreadableFor) await rm(claim, { force: true });
      return;
    }
    try {
      const holder = await WriterLock.#read(path);
      if (holder?.token === seen?.token && (await WriterLock.#stateOf(path, holder)) === "stale")
        await rm(path, { force: true });
    } finally {
      await rm(claim, { force: true });
    }
  }

  static async #read(path: string): Promise<Owner | undefined> {
    try {
      return schema.parse(JSON.parse(await readFile(path, "utf8")));
    } catch {
      return undefined;
    }
  }

  /** "gone" where it was released since it was seen. */
  static async #stateOf(path: string, holder: Owner | undefined): Promise<"held" | "stale" | "gone"> {
    const found = await stat(path).catch(() => undefined);
    if (!found) return "gone";
    const age = Date.now() - found.mtimeMs;
    if (age > (holder ? staleAfter : unreadableFor)) return "stale";
    if (!holder || holder.host !== hostname()) return "held";
    try {
      process.kill(holder.pid, 0);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ESRCH" ? "stale" : "held";
    }
    return holder.started !== null && holder.started !== (await startOf(holder.pid)) ? "stale" : "held";
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
