// internal: WriterLock
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { TesseraError } from "../errors.js";

const schema = z.object({ token: z.string(), pid: z.number(), host: z.string(), started: z.string().nullable() });
type Owner = z.infer<typeof schema>;

const beatEvery = 30_000; // milliseconds
const staleAfter = 600_000;
const unreadableFor = 10_000; // a lock without content is one being made, or one whose maker was killed

type Files = typeof import("node:fs");

/**
 * When a process started, in the kernel's ticks: tells it from a later one of the same number. Linux only.
 * @returns "ended" of one that was killed and that its parent has not noticed yet.
 */
const startOf = (fs: Files, pid: number): Promise<string | null> =>
  fs.promises.readFile(`/proc/${pid}/stat`, "utf8").then(
    (text) => {
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      return fields[0] === "Z" || fields[0] === "X" ? "ended" : (fields[19] ?? null);
    },
    () => null,
  );

/** The right to write a folder, of an index or of a service: one file, made by one process, that says whose it is. */
export class WriterLock {
  readonly #beat: NodeJS.Timeout;
  #seen: import("node:fs").BigIntStats | undefined;

  private constructor(
    private readonly fs: Files,
    private readonly path: string,
    private readonly token: string,
  ) {
    this.#beat = setInterval(() => fs.utimes(path, new Date(), new Date(), () => {}), beatEvery);
    this.#beat.unref();
  }

  /**
   * Takes the lock of a folder; one whose owner is gone is taken over.
   * @throws TesseraError INDEX_LOCKED where another writer holds it.
   */
  static async acquire(folder: string): Promise<WriterLock> {
    const fs = await import("node:fs");
    const { writeFile, rm } = fs.promises;
    const host = (await import("node:os")).hostname();
    const path = `${folder}/lock`;
    const token = randomUUID();
    const owner: Owner = { token, pid: process.pid, host, started: await startOf(fs, process.pid) };
    for (let attempt = 0; ; attempt++) {
      try {
        await writeFile(path, JSON.stringify(owner), { flag: "wx" });
        return new WriterLock(fs, path, token);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
          if ((error as NodeJS.ErrnoException).code === "ENOSPC") await rm(path, { force: true }).catch(() => {});
          throw error;
        }
      }
      const holder = await WriterLock.#read(fs, path);
      const state = await WriterLock.#stateOf(fs, path, holder, host);
      if (attempt >= 3 || state === "held")
        throw new TesseraError(
          "INDEX_LOCKED",
          `process ${holder?.pid ?? "?"} on ${holder?.host ?? "?"} is writing it`,
          {
            path: folder,
            hint: `wait for it to end; if no such process runs, remove ${path}`,
          },
        );
      if (state === "stale") await WriterLock.#removeStale(fs, path, holder, host);
    }
  }

  /**
   * Removes a lock whose owner is gone. Of several who see it one does, under a file of its own, after a second look:
   * between a look and a removal another could have removed it and locked anew.
   */
  static async #removeStale(fs: Files, path: string, seen: Owner | undefined, host: string): Promise<void> {
    const { writeFile, stat, rm } = fs.promises;
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
      const holder = await WriterLock.#read(fs, path);
      if (holder?.token === seen?.token && (await WriterLock.#stateOf(fs, path, holder, host)) === "stale")
        await rm(path, { force: true });
    } finally {
      await rm(claim, { force: true });
    }
  }

  static async #read(fs: Files, path: string): Promise<Owner | undefined> {
    try {
      return schema.parse(JSON.parse(await fs.promises.readFile(path, "utf8")));
    } catch {
      return undefined;
    }
  }

  /** "gone" where it was released since it was seen. */
  static async #stateOf(
    fs: Files,
    path: string,
    holder: Owner | undefined,
    host: string,
  ): Promise<"held" | "stale" | "gone"> {
    const found = await fs.promises.stat(path).catch(() => undefined);
    if (!found) return "gone";
    const age = Date.now() - found.mtimeMs;
    if (age > (holder ? staleAfter : unreadableFor)) return "stale";
    if (!holder || holder.host !== host) return "held";
    try {
      process.kill(holder.pid, 0);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ESRCH" ? "stale" : "held";
    }
    const started = await startOf(fs, holder.pid);
    return started === "ended" || (holder.started !== null && holder.started !== started) ? "stale" : "held";
  }

  /**
   * Looks whether the lock is still ours; as long as nobody touched its file that takes some microseconds.
   * @throws TesseraError INDEX_LOCKED where the lock was lost, as after a long sleep.
   */
  assertHeld(): void {
    const found = this.fs.statSync(this.path, { bigint: true, throwIfNoEntry: false });
    const seen = this.#seen;
    if (found && seen && found.ino === seen.ino && found.ctimeNs === seen.ctimeNs && found.size === seen.size) return;
    if (!this.#isOurs())
      throw new TesseraError("INDEX_LOCKED", "another process took the index over", {
        path: this.path,
        hint: "run it again",
      });
    this.#seen = found;
  }

  #isOurs(): boolean {
    try {
      return schema.parse(JSON.parse(this.fs.readFileSync(this.path, "utf8"))).token === this.token;
    } catch {
      return false;
    }
  }

  async release(): Promise<void> {
    clearInterval(this.#beat);
    if (this.#isOurs()) await this.fs.promises.rm(this.path, { force: true });
  }
}
