// public: DriverName
// internal: CaseResult, checkCases, driverOf
import { TesseraError } from "@tessera/core";
import { z } from "zod";
import { bwrap } from "./bwrap.js";
import { docker } from "./docker.js";
import type { Driver } from "./driver.js";
import { language } from "./language.js";
import { quickjs } from "./quickjs.js";
import { remote } from "./remote.js";
import { type Reason, type Sandbox, tests } from "./sandbox.js";

/** A candidate and its tests: a line of `cases.jsonl`. */
const codeCase = z.object({ id: z.string(), code: z.string(), tests, language: language.optional() });
export type CodeCase = z.infer<typeof codeCase>;

/** What became of a case. */
export interface CaseResult {
  readonly id: string;
  readonly passed: boolean;
  readonly assertions: number;
  readonly reason: Reason;
  readonly detail?: string | undefined;
  readonly ms: number;
}

/**
 * Runs cases, several at once, and gives their results in order. A line that is no case has the reason "error" and its
 * line number as id; the others still run.
 */
export async function* checkCases(
  sandbox: Sandbox,
  lines: Iterable<string> | AsyncIterable<string>,
  { concurrency = 4, signal }: { concurrency?: number; signal?: AbortSignal } = {},
): AsyncGenerator<CaseResult> {
  const running: Promise<CaseResult>[] = [];
  let number = 0;
  for await (const line of lines) {
    number += 1;
    if (line.trim() === "") continue;
    const result = checkLine(sandbox, line, number, signal);
    // one that is aborted while another is awaited is heard of when its turn comes
    result.catch(() => undefined);
    running.push(result);
    if (running.length >= concurrency) yield await running.shift()!;
  }
  for (const result of running) yield await result;
}

async function checkLine(
  sandbox: Sandbox,
  line: string,
  number: number,
  signal: AbortSignal | undefined,
): Promise<CaseResult> {
  const parsed = parseCase(line);
  if (typeof parsed === "string")
    return { id: `line ${number}`, passed: false, assertions: 0, reason: "error", detail: parsed, ms: 0 };
  const { passed, assertions, reason, detail, ms } = await sandbox.judge(
    parsed.code,
    parsed.tests,
    parsed.language,
    signal,
  );
  return { id: parsed.id, passed, assertions, reason, ...(detail !== undefined && { detail }), ms: Math.round(ms) };
}

function parseCase(line: string): CodeCase | string {
  try {
    const parsed = codeCase.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : `not a case: ${z.prettifyError(parsed.error)}`;
  } catch {
    return "the line is not JSON";
  }
}

/** The drivers by name. "docker" and "remote" are bridges; "remote" needs the address of a server. */
const driverNames = ["quickjs", "bwrap", "docker", "remote"] as const;
/** The name of a driver of the sandbox. */
export type DriverName = (typeof driverNames)[number];

/**
 * The driver of a name.
 * @throws TesseraError BAD_ARGUMENT where there is none, or "remote" is asked for without an address.
 */
export function driverOf(name: string, { url, workers }: { url?: string; workers?: number } = {}): Driver {
  switch (name as DriverName) {
    case "quickjs":
      return quickjs(workers === undefined ? {} : { workers });
    case "bwrap":
      return bwrap();
    case "docker":
      return docker();
    case "remote":
      if (url) return remote({ url });
      throw new TesseraError("BAD_ARGUMENT", 'the driver "remote" needs the address of a server');
    default:
      throw new TesseraError("BAD_ARGUMENT", `there is no driver "${name}"`, {
        hint: `known: ${driverNames.join(", ")}`,
      });
  }
}
