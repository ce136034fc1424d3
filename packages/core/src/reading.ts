// internal: Reading, readingThreads
import { availableParallelism } from "node:os";
import { messageOf } from "./errors.js";
import { Thread } from "./thread.js";
import { ThreadQueue } from "./thread-queue.js";

/** What reading a text came to: `late` and `broken` where the parser did not end in time, or failed on it. */
export type Reading<Value> =
  | { readonly value: Value }
  | { readonly unread: "late" | "broken"; readonly detail: string };

/** Threads that parse texts of one language. */
type ReadingThreads<Value> = ThreadQueue<string, Reading<Value>>;

/**
 * Threads that parse texts, some for each language, started on first use. `script` is given the language as its
 * `workerData`. Parsers backtrack for ever on
 * some texts (nested type arguments, brackets that are never closed), and those in WebAssembly are damaged for good where
 * their stack runs out, so that only the end of their thread helps. A thread ends with a text that it could not read; the
 * next text has another.
 * @param limitMs How long a parser may take for one text, in milliseconds.
 */
export function readingThreads<Value, Language extends string = string>(
  script: URL,
  limitMs: number,
): (language: Language) => ReadingThreads<Value> {
  const started = new Map<Language, ReadingThreads<Value>>();
  return (language) => {
    const known = started.get(language);
    if (known) return known;
    const threads = threadsOf<Value>(script, language, limitMs);
    started.set(language, threads);
    return threads;
  };
}

function threadsOf<Value>(script: URL, language: string, limitMs: number): ReadingThreads<Value> {
  // loaded where a thread starts: to import this package costs less without it
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  return new ThreadQueue<string, Reading<Value>>({
    threads: Math.min(4, availableParallelism()),
    start: () =>
      new Thread(
        new Worker(script, {
          workerData: language,
          env: {},
          resourceLimits: { maxOldGenerationSizeMb: 256 },
          // what Node was given to run is not what a thread runs
          execArgv: process.execArgv.filter((flag) => !flag.startsWith("--input-type")),
        }),
        { name: `a thread that reads ${language}`, code: "DEPENDENCY_MISSING", path: language },
      ),
    limitMs: () => limitMs,
    late: () => ({ unread: "late", detail: `it cannot be read in ${limitMs} ms` }),
    failed: (error) => ({ unread: "broken", detail: messageOf(error) }),
    reusable: (reading) => "value" in reading,
  });
}
