import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { openSandbox } from "@tessera/coder";
import { checkCases, driverOf } from "@tessera/coder/internal";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import type { Terminal } from "../terminal.js";

export interface CoderRunOptions {
  readonly driver: string;
  readonly url?: string;
  readonly input: string;
  readonly signal?: AbortSignal;
}

/** Runs the cases of a file in the sandbox and prints {id, passed, assertions, reason, ms}, a line each. */
export async function runCases(terminal: Terminal, { driver, url, input, signal }: CoderRunOptions): Promise<number> {
  const stream = createReadStream(input, "utf8");
  await new Promise<void>((resolve, reject) => {
    stream.once("open", () => resolve());
    stream.once("error", (cause) =>
      reject(new TesseraError("BAD_SOURCE", `the cases cannot be read: ${messageOf(cause)}`, { path: input, cause })),
    );
  });
  const sandbox = await openSandbox(driverOf(driver, { url }));
  try {
    let failed = 0;
    for await (const result of checkCases(
      sandbox,
      createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }),
      { signal },
    )) {
      if (!result.passed) failed++;
      terminal.print(JSON.stringify(result));
    }
    return failed === 0 ? 0 : 1;
  } finally {
    await sandbox.close?.();
  }
}
