// internal: LogFile, LogFiles
/** A file of a log. Positions and lengths are bytes. */
export interface LogFile {
  size(): Promise<number>;
  /** What lies there; less than `length` where the file ends. */
  read(position: number, length: number): Promise<Buffer>;
  write(bytes: Buffer, position: number): Promise<void>;
  /** Writes a few bytes within this turn of the event loop. */
  writeNow(bytes: Buffer, position: number): void;
  truncate(length: number): Promise<void>;
  /** Resolves once everything that was written would survive a crash of the machine. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What a log does with files. A test gives its own to see the calls, or to lose what was not synced. */
export interface LogFiles {
  /** Makes a folder, readable by its owner alone, where there is none. */
  makeFolder(path: string): Promise<void>;
  /** The names of the files in a folder. */
  list(folder: string): Promise<string[]>;
  /** Opens a file to read and write it: an empty new one ("create"), or one that is there. */
  open(path: string, how: "create" | "existing"): Promise<LogFile>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Resolves once the names in a folder would survive a crash of the machine. */
  syncFolder(path: string): Promise<void>;
}

/** The files of this machine. `node:fs` is loaded with the first call. */
export async function diskFiles(): Promise<LogFiles> {
  const fs = await import("node:fs");
  const { mkdir, readdir, rename, rm, open } = fs.promises;
  const called = <T>(call: (done: (error: Error | null, value: T) => void) => void): Promise<T> =>
    new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))));

  const fileOf = (descriptor: number): LogFile => ({
    size: async () => (await called<import("node:fs").Stats>((done) => fs.fstat(descriptor, done))).size,
    async read(position, length) {
      const bytes = Buffer.allocUnsafe(length);
      let filled = 0;
      while (filled < length) {
        const read = await called<number>((done) =>
          fs.read(descriptor, bytes, filled, length - filled, position + filled, done),
        );
        if (read === 0) break;
        filled += read;
      }
      return bytes.subarray(0, filled);
    },
    async write(bytes, position) {
      for (let written = 0; written < bytes.length; )
        written += await called<number>((done) =>
          fs.write(descriptor, bytes, written, bytes.length - written, position + written, done),
        );
    },
    writeNow(bytes, position) {
      for (let written = 0; written < bytes.length; )
        written += fs.writeSync(descriptor, bytes, written, bytes.length - written, position + written);
    },
    truncate: (length) => called<void>((done) => fs.ftruncate(descriptor, length, (error) => done(error))),
    sync: () => called<void>((done) => fs.fdatasync(descriptor, (error) => done(error))),
    close: () => called<void>((done) => fs.close(descriptor, (error) => done(error ?? null))),
  });

  return {
    async makeFolder(path) {
      await mkdir(path, { recursive: true, mode: 0o700 });
    },
    list: (folder) => readdir(folder),
    open: async (path, how) =>
      fileOf(await called<number>((done) => fs.open(path, how === "create" ? "w+" : "r+", 0o600, done))),
    rename,
    remove: (path) => rm(path, { force: true }),
    async syncFolder(path) {
      if (process.platform === "win32") return; // a folder cannot be synced there
      const folder = await open(path, "r");
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    },
  };
}
