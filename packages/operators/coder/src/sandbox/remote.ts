// public: remote
import { TesseraError } from "@tessera/core";
import { abortAfter } from "@tessera/core/internal";
import { z } from "zod";
import { limitConcurrency } from "./concurrency.js";
import { admit, type Driver, type Execution, type Limits, type Program, type Runnable } from "./driver.js";

/** The answer of a Piston server (github.com/engineer-man/piston, API v2). */
const answer = z.object({
  run: z.object({
    stdout: z.string(),
    stderr: z.string(),
    code: z.number().nullable(),
    signal: z.string().nullable(),
    message: z.string().nullish(),
    status: z.string().nullish(),
  }),
});

/**
 * A bridge to a server that speaks Piston's API; which isolation it gives is the server's affair.
 * The limits are sent with each run, and the time limit is enforced here as well.
 */
export function remote({
  url,
  versions = { javascript: "*", python: "*" },
  headers = {},
  graceMs = 2000,
  workers = 8,
}: {
  /** The address of the API: "http://localhost:2000/api/v2". */
  url: string;
  /** The runtimes to ask for, as version ranges. */
  versions?: Partial<Record<Runnable, string>>;
  headers?: Record<string, string>;
  /** How long the server may take beyond the limit of the run. */
  graceMs?: number;
  /** Requests at once. */
  workers?: number;
}): Driver {
  const lane = limitConcurrency(workers);
  let reason: Promise<string | undefined> | undefined;
  const driver: Driver = {
    name: "remote",
    languages: Object.keys(versions) as Runnable[],
    async missing() {
      reason ??= fetch(`${url}/runtimes`, { headers, signal: AbortSignal.timeout(5000) }).then(
        (response) => (response.ok ? undefined : `${url} answers ${response.status}`),
        () => `${url} does not answer`,
      );
      return reason;
    },
    async run(program, limits, signal) {
      admit(driver, program, signal);
      const missing = await driver.missing();
      if (missing) throw new TesseraError("SANDBOX_REFUSED", missing, { path: "remote" });
      return lane(() => execute(program, limits, signal));
    },
    close: async () => undefined,
  };

  async function execute(program: Program, limits: Limits, signal?: AbortSignal): Promise<Execution> {
    admit(driver, program, signal);
    const start = performance.now();
    const timer = abortAfter(limits.wallMs + graceMs);
    const ended = (status: Execution["status"]): Execution => ({
      ...{ status, exitCode: null, output: "", errors: "", ms: performance.now() - start },
    });
    try {
      const response = await fetch(`${url}/execute`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        signal: signal ? AbortSignal.any([signal, timer]) : timer,
        body: JSON.stringify({
          language: program.language,
          version: versions[program.language],
          files: [{ name: program.language === "python" ? "program.py" : "program.js", content: program.source }],
          stdin: program.input ?? "",
          run_timeout: limits.wallMs,
          run_memory_limit: limits.memoryMb * 1024 * 1024,
        }),
      });
      if (!response.ok) throw new Error(`the server answers ${response.status}`);
      const { run } = answer.parse(await readAtMost(response, limits.outputBytes * 8 + 65_536));
      const bytes = Buffer.byteLength(run.stdout) + Buffer.byteLength(run.stderr);
      const ms = performance.now() - start;
      const status =
        run.status === "TO" || (run.signal === "SIGKILL" && ms >= limits.wallMs)
          ? "timeout"
          : run.status === "OL" || run.status === "EL" || bytes > limits.outputBytes
            ? "output"
            : run.signal === "SIGKILL" || run.status === "ML"
              ? "memory"
              : "exited";
      return {
        status,
        exitCode: status === "exited" ? (run.code ?? 1) : null,
        output: run.stdout.slice(0, limits.outputBytes),
        errors: run.stderr.slice(0, limits.outputBytes),
        ms,
      };
    } catch (cause) {
      if (signal?.aborted) throw new TesseraError("ABORTED", "the run was aborted", { path: "remote" });
      if (timer.aborted) return ended("timeout");
      if (cause instanceof RangeError) return ended("output");
      throw new TesseraError("SANDBOX_REFUSED", "the server did not run the program", { path: url, cause });
    }
  }
  return driver;
}

/** Reads JSON of a bounded size. @throws RangeError */
async function readAtMost(response: Response, bytes: number): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > bytes) throw new RangeError("the answer is too large");
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}
