// public: ReadersSettings, Readers
// internal: sharedReaders
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { type Resource, TesseraError } from "@tessera/core";
import { messageOf, sha256, Thread, ThreadQueue } from "@tessera/core/internal";
import { builtinReaders, fallback } from "./builtin.js";
import { ChildWorker } from "./child-worker.js";
import { type ReaderFile, type ReaderLimits, readerLimits } from "./reader.js";
import { extensionsOf, Reading, type ReadResult, readerOf } from "./reading.js";

/** Which readers of documents there are, and their limits of time and memory. */
export interface ReadersSettings {
  /** Modules that export further readers, as paths or `file:` addresses; they come before the built-in ones. */
  readonly modules?: readonly string[] | undefined;
  readonly limits?: Partial<ReaderLimits> | undefined;
}

/** What is known of a reader without running it. */
interface ReaderFacts {
  readonly name: string;
  readonly version: number;
  readonly extensions: readonly string[];
  readonly binary: boolean;
}

/** What a thread is asked: its added readers, or to read a file. */
export type ReadingJob = "readers" | ReaderFile;
export type ReadingAnswer = ReadResult | readonly ReaderFacts[];

/** Raised when the same blocks become other passages. */
const layoutVersion = 1;
const factsOf = ({ name, version }: Pick<ReaderFacts, "name" | "version">): string => `${name}:${version}`;

/**
 * Reads files into documents, each kind by its reader, in processes of their own. A file that takes more than the limits
 * allow, or on which its reader fails, gives the reason, and does not touch the next one. They start when there is a
 * file that is no plain text, and keep no process alive.
 */
export class Readers implements Resource {
  private readonly inline: Reading;
  private readonly queue: ThreadQueue<ReadingJob, ReadingAnswer>;
  private readonly documents: ReadonlySet<string>;

  private constructor(
    readonly limits: ReaderLimits,
    /** Changes when the same file may be read otherwise. */
    readonly revision: string,
    private readonly modules: readonly string[],
    added: readonly ReaderFacts[],
    queue: ThreadQueue<ReadingJob, ReadingAnswer>,
  ) {
    this.queue = queue;
    this.inline = new Reading([], limits);
    this.documents = new Set(
      [...added, ...builtinReaders].flatMap(({ binary, extensions }) => (binary ? extensions : [])),
    );
  }

  /**
   * @throws TesseraError BAD_ARGUMENT where a module cannot be loaded or exports no reader, with its path
   */
  static async open({ modules = [], limits: asked = {} }: ReadersSettings = {}): Promise<Readers> {
    const limits = { ...readerLimits, ...asked };
    const queue = queueOf(modules, limits);
    const added = modules.length === 0 ? [] : ((await queue.run("readers")) as readonly ReaderFacts[]);
    const texts = await Promise.all(modules.map(contentOf));
    const revision = sha256(
      JSON.stringify([layoutVersion, [...added, ...builtinReaders, fallback].map(factsOf), texts, limits]),
    ).slice(0, 16);
    return new Readers(limits, revision, modules, added, queue);
  }

  /** Whether a file is of a kind that is no text, by its name: such files may be larger than texts. */
  isDocument(path: string): boolean {
    return extensionsOf(path).some((extension) => this.documents.has(extension));
  }

  /** What a file says, or why it says nothing. @throws what the signal says; CLOSED */
  async read(file: ReaderFile, signal?: AbortSignal): Promise<ReadResult> {
    signal?.throwIfAborted();
    if (this.modules.length === 0 && readerOf(file, builtinReaders) === fallback) return this.inline.file(file);
    return (await this.queue.run(file, { signal })) as ReadResult;
  }

  async close(): Promise<void> {
    await this.queue.close(new TesseraError("CLOSED", "the readers were closed"));
  }
}

let shared: Promise<Readers> | undefined;
/** The built-in readers with the usual limits, opened once for the process. */
export function sharedReaders(): Promise<Readers> {
  shared ??= Readers.open();
  return shared;
}

async function contentOf(specifier: string): Promise<string> {
  const path = specifier.startsWith("file:") ? fileURLToPath(specifier) : specifier;
  const bytes = await readFile(path).catch(() => undefined); // a package: its name has to do
  return bytes ? createHash("sha256").update(bytes).digest("hex") : specifier;
}

function queueOf(modules: readonly string[], limits: ReaderLimits): ThreadQueue<ReadingJob, ReadingAnswer> {
  const path = modules.join(", ") || undefined;
  return new ThreadQueue<ReadingJob, ReadingAnswer>({
    threads: Math.min(4, availableParallelism()),
    start: () =>
      new Thread(
        ChildWorker.start(new URL("./reading-process.js", import.meta.url), { modules, limits }, limits.memory),
        {
          name: "the process that reads it",
          code: "SETUP_FAILED",
          ...(path && { path }),
        },
      ),
    limitMs: () => limits.time,
    late: () => ({ reason: "limit", detail: `reading it takes longer than ${limits.time / 1000} s` }),
    failed(error) {
      const message = messageOf(error);
      if (TesseraError.is(error) && error.code === "BAD_ARGUMENT") throw error;
      // by the watch beside it, or by its own full heap
      if (!/ended with code (?:SIGKILL|SIGABRT|134)$/.test(message)) return { reason: "damaged", detail: message };
      return { reason: "limit", detail: `reading it takes more than ${Math.round(limits.memory / 1e6)} MB of memory` };
    },
  });
}
