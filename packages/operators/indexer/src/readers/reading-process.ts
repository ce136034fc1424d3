import { Socket as Datagrams } from "node:dgram";
import { Socket } from "node:net";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { TesseraError } from "@tessera/core";
import { messageOf, type ThreadReply } from "@tessera/core/internal";
import { builtinReaders } from "./builtin.js";
import type { Reader, ReaderLimits } from "./reader.js";
import type { ReadingAnswer, ReadingJob } from "./readers.js";
import { Reading } from "./reading.js";

// A process that reads files, one at a time: what breaks it breaks nothing else. Nothing that it reads reaches a network.

const refuse = (): never => {
  throw new Error("a reader reaches no network");
};
Socket.prototype.connect = refuse;
Datagrams.prototype.send = refuse;
Datagrams.prototype.bind = refuse;
Datagrams.prototype.connect = refuse;

const isReader = (value: unknown): value is Reader =>
  typeof value === "object" && value !== null && "name" in value && "extensions" in value && "read" in value;

/** The readers that a module exports. */
async function readersIn(specifier: string): Promise<Reader[]> {
  const url = /^[a-z][a-z0-9+.-]+:/i.test(specifier) ? specifier : pathToFileURL(specifier).href;
  let module: Record<string, unknown>;
  try {
    module = await import(url);
  } catch (cause) {
    throw new TesseraError("BAD_ARGUMENT", `the reader cannot be loaded: ${messageOf(cause)}`, { path: specifier });
  }
  const readers = [...new Set(Object.values(module))].filter(isReader);
  if (readers.length === 0)
    throw new TesseraError("BAD_ARGUMENT", "the module exports no reader", {
      path: specifier,
      hint: "a reader has name, version, extensions and read (docs/documents.md)",
    });
  return readers;
}

const send = (reply: ThreadReply<ReadingAnswer>): void => void process.send?.(reply);
const fail = (error: unknown): void =>
  send({
    kind: "failed",
    message: messageOf(error),
    ...(TesseraError.is(error) && { code: error.code, hint: error.hint }),
  });

try {
  const { modules, limits } = JSON.parse(process.argv[2]!) as { modules: readonly string[]; limits: ReaderLimits };
  process.on("disconnect", () => process.exit());
  new Worker(new URL("./reading-watch.js", import.meta.url), {
    workerData: { memory: limits.memory, parent: process.ppid },
  }).unref();
  const added = (await Promise.all(modules.map(readersIn))).flat();
  const facts = added.map(({ name, version = 1, extensions, binary = false }) => ({
    name,
    version,
    extensions,
    binary,
  }));
  const reading = new Reading([...added, ...builtinReaders], limits);
  process.on("message", async (job: ReadingJob) => {
    try {
      send({ kind: "answer", answer: job === "readers" ? facts : await reading.file(job) });
    } catch (error) {
      fail(error);
    }
  });
  send({ kind: "ready" });
} catch (error) {
  fail(error);
}
