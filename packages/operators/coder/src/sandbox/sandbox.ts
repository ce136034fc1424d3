// public: Language, Sandbox, openSandbox
import { randomUUID } from "node:crypto";
import { type Json, type Resource, TesseraError } from "@tessera/core";
import { z } from "zod";
import { admitSize, type Driver, defaultLimits, type Execution, type Limits, type Runnable } from "./driver.js";
import { javascriptHarness, pythonHarness } from "./harness.js";
import { type Translation, toJavaScript } from "./typescript.js";
import { checkEntry, equalValues, identifierPattern } from "./values.js";

export const language = z.enum(["javascript", "typescript", "python"]);
export type Language = z.infer<typeof language>;

/** A test: a call whose result must equal `expected`, or what the program must print when it reads `input`. */
export const test = z.union([
  z.strictObject({ call: z.string().regex(identifierPattern), arguments: z.array(z.json()), expected: z.json() }),
  z.strictObject({ input: z.string(), output: z.string() }),
]);
export type Test = z.infer<typeof test>;

/** Tests in the program's own language (with `assert`), or a list of them as data. */
export const tests = z.union([z.string(), z.array(test)]);
export type Tests = z.infer<typeof tests>;

/** Why a case failed; "passed" where it did not. */
export const reason = z.enum([
  "passed",
  "failed",
  "error",
  "timeout",
  "memory",
  "output",
  "unfinished",
  "no-assertions",
  "no-code",
  "refused",
]);
export type Reason = z.infer<typeof reason>;

export const verdict = z.object({
  passed: z.boolean(),
  /** How many checks were made. A case that makes none has not passed. */
  assertions: z.number(),
  reason,
  /** What went wrong, in the program's or the test's own words; at most 2,000 characters. */
  detail: z.string().optional(),
  ms: z.number(),
});
export type Verdict = z.infer<typeof verdict>;

/** What a call gave: its value (JSON, what JSON lacks under "$"), or its error. */
export const outcome = z.union([z.object({ value: z.json() }), z.object({ error: z.string() })]);
export type Outcome = z.infer<typeof outcome>;

/** Runs untrusted code and says what it did. Nothing that the code does makes a method reject. */
export interface Sandbox extends Resource {
  readonly languages: readonly Language[];
  /** Runs code against tests. */
  judge(code: string, tests: Tests, language?: Language, signal?: AbortSignal): Promise<Verdict>;
  /** Calls a function of the code on lists of arguments; what was not reached has an error. */
  call(
    code: string,
    entry: string,
    argumentLists: readonly (readonly Json[])[],
    language?: Language,
    signal?: AbortSignal,
  ): Promise<Outcome[]>;
}

type Task =
  | { code: string; entry: string; calls: readonly (readonly Json[])[] }
  | { code: string; tests: string; names: string[] };

const report = z.object({
  done: z.literal(true),
  assertions: z.number(),
  failed: z.boolean(),
  error: z.string().nullable(),
});
type Report = z.infer<typeof report>;
const record = z.union([report, outcome]);

/**
 * A sandbox over a driver.
 * @throws TesseraError SANDBOX_REFUSED where the driver cannot run here. Nothing is tried in its place.
 */
export async function openSandbox(driver: Driver, settings: Partial<Limits> = {}): Promise<Sandbox> {
  const missing = await driver.missing();
  if (missing)
    throw new TesseraError("SANDBOX_REFUSED", missing, {
      path: driver.name,
      hint: 'the driver "quickjs" needs nothing installed',
    });
  const limits: Limits = { ...defaultLimits, ...settings };

  /** Runs the harness; gives its records and how the run ended. */
  async function perform(
    task: Task,
    language: Language,
    signal: AbortSignal | undefined,
  ): Promise<{ outcomes: Outcome[]; report: Report | undefined; execution: Execution }> {
    const nonce = randomUUID().replaceAll("-", "");
    const runnable: Runnable = language === "python" ? "python" : "javascript";
    const source = runnable === "python" ? pythonHarness : javascriptHarness;
    const input = JSON.stringify({ ...task, nonce });
    const execution = await driver.run({ language: runnable, source, input }, limits, signal);
    const outcomes: Outcome[] = [];
    let report: Report | undefined;
    for (const line of execution.output.split("\n")) {
      if (!line.startsWith(nonce)) continue;
      const record = parseRecord(line.slice(nonce.length));
      if (record && "done" in record) report = record;
      else if (record) outcomes.push(record);
    }
    return { outcomes, report, execution };
  }

  async function call(
    code: string,
    entry: string,
    argumentLists: readonly (readonly Json[])[],
    language: Language = "javascript",
    signal?: AbortSignal,
  ): Promise<Outcome[]> {
    checkEntry(entry);
    if (argumentLists.length === 0) return [];
    const prepared = await prepare(code, language, signal);
    if ("error" in prepared) return argumentLists.map(() => prepared);
    const task = { code: prepared.code, entry, calls: argumentLists };
    const { outcomes, report, execution } = await perform(task, language, signal);
    const rest = report?.error ?? describe(execution, report);
    return argumentLists.map((_, index) => outcomes[index] ?? { error: rest });
  }

  async function checkCalls(code: string, list: readonly Test[], language: Language, signal?: AbortSignal) {
    const start = performance.now();
    const calls = list.filter((one) => "call" in one);
    const streams = list.filter((one) => "input" in one);
    let assertions = 0;
    const verdictOf = (reason: Reason, detail?: string): Verdict => ({
      ...{ passed: reason === "passed", assertions, reason, ms: performance.now() - start },
      ...(detail !== undefined && { detail: detail.slice(0, 2000) }),
    });
    for (const entry of new Set(calls.map((one) => one.call))) {
      const own = calls.filter((one) => one.call === entry);
      const outcomes = await call(
        code,
        entry,
        own.map((one) => one.arguments),
        language,
        signal,
      );
      for (const [index, { arguments: given, expected }] of own.entries()) {
        const got = outcomes[index]!;
        const written = `${entry}(${given.map((value) => JSON.stringify(value)).join(", ")})`;
        if ("error" in got) return verdictOf(reasonOf(got.error), `${written} threw ${got.error}`);
        assertions += 1;
        if (!equalValues(got.value, expected))
          return verdictOf("failed", `${written} gave ${JSON.stringify(got.value)}, not ${JSON.stringify(expected)}`);
      }
    }
    const prepared = streams.length > 0 ? await prepare(code, language, signal) : { code: "" };
    if ("error" in prepared) return verdictOf(reasonOf(prepared.error), prepared.error);
    for (const { input, output } of streams) {
      const runnable = language === "python" ? "python" : "javascript";
      const execution = await driver.run({ language: runnable, source: prepared.code, input }, limits, signal);
      if (execution.status !== "exited") return verdictOf(execution.status, describe(execution, undefined));
      if (execution.exitCode !== 0) return verdictOf("error", execution.errors || `exit code ${execution.exitCode}`);
      assertions += 1;
      if (tidy(execution.output) !== tidy(output))
        return verdictOf("failed", `on ${JSON.stringify(input)} it printed ${JSON.stringify(execution.output)}`);
    }
    return verdictOf(assertions > 0 ? "passed" : "no-assertions");
  }

  async function checkSource(code: string, text: string, language: Language, signal?: AbortSignal): Promise<Verdict> {
    const start = performance.now();
    const verdictOf = (reason: Reason, assertions: number, detail?: string | null): Verdict => ({
      ...{ passed: reason === "passed", assertions, reason, ms: performance.now() - start },
      ...(detail && { detail: detail.slice(0, 2000) }),
    });
    const prepared = await prepare(code, language, signal);
    if ("error" in prepared) return verdictOf(reasonOf(prepared.error), 0, prepared.error);
    const preparedTests = await prepare(text, language, signal);
    if ("error" in preparedTests) return verdictOf("error", 0, `in the tests: ${preparedTests.error}`);
    const task = { code: prepared.code, tests: preparedTests.code, names: sharedNames(code, text) };
    const { report, execution } = await perform(task, language, signal);
    if (!report)
      return verdictOf(
        execution.status !== "exited" ? execution.status : execution.exitCode ? "error" : "unfinished",
        0,
        describe(execution, report),
      );
    const { assertions, failed, error } = report;
    if (error !== null) return verdictOf(failed ? "failed" : reasonOf(error), assertions, error);
    return assertions > 0 ? verdictOf("passed", assertions) : verdictOf("no-assertions", 0);
  }

  return {
    revision: `${driver.name}:1:${limits.wallMs}:${limits.memoryMb}:${limits.outputBytes}`,
    languages: driver.languages.flatMap((one): Language[] =>
      one === "javascript" ? ["javascript", "typescript"] : [one],
    ),
    async judge(code, given, language = "javascript", signal) {
      const start = performance.now();
      const refuse = (reason: Reason, detail: string): Verdict => ({
        ...{ passed: false, assertions: 0, reason, detail, ms: performance.now() - start },
      });
      if (code.trim() === "") return refuse("no-code", "there is no code");
      try {
        return typeof given === "string"
          ? await checkSource(code, given, language, signal)
          : await checkCalls(code, given, language, signal);
      } catch (error) {
        if (TesseraError.is(error) && error.code === "SANDBOX_REFUSED") return refuse("refused", error.message);
        throw error;
      }
    },
    async call(code, entry, argumentLists, language, signal) {
      try {
        return await call(code, entry, argumentLists, language, signal);
      } catch (error) {
        if (!TesseraError.is(error) || error.code !== "SANDBOX_REFUSED") throw error;
        return argumentLists.map(() => ({ error: error.message }));
      }
    },
    close: () => driver.close(),
  };
}

/** What the driver can run of a text in a language, or why it cannot be read. @throws TesseraError SANDBOX_REFUSED */
async function prepare(text: string, language: Language, signal: AbortSignal | undefined): Promise<Translation> {
  admitSize(language, text.length);
  return language === "python" ? { code: text } : toJavaScript(text, language, signal);
}

/** A line of the harness; `undefined` for one that the limit of output cut off, or the program wrote itself. */
function parseRecord(text: string): Outcome | Report | undefined {
  try {
    return record.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function describe(execution: Execution, report: Report | undefined): string {
  if (execution.status === "timeout") return "timeout: the time limit was reached";
  if (execution.status === "memory") return "memory: the memory limit was reached";
  if (execution.status === "output") return "output: the output limit was reached";
  if (report) return "unfinished: the call was not reached";
  const words = execution.errors.trim().split("\n").slice(-3).join("\n");
  return execution.exitCode ? words || `exit code ${execution.exitCode}` : "unfinished: it ended before its result";
}

/** The reason that an error's text stands for. */
function reasonOf(error: string): Reason {
  if (/^(timeout|memory|output|unfinished):/.test(error)) return error.slice(0, error.indexOf(":")) as Reason;
  if (/^(InternalError: out of memory|MemoryError|RangeError: Array buffer allocation)/.test(error)) return "memory";
  return "error";
}

/** A text without white space at the ends of its lines. */
const tidy = (text: string): string =>
  text
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")
    .trimEnd();

const reserved = new Set(
  "await break case catch class const continue debugger default delete do else enum export extends false finally for function if implements import in instanceof interface let new null package private protected public return static super switch this throw true try typeof undefined var void while with yield arguments eval assert require console JSON Math Object".split(
    " ",
  ),
);

/** The identifiers that tests have in common with the code: what the tests may use of it. */
function sharedNames(code: string, text: string): string[] {
  const identifiers = /[\p{ID_Start}$_][\p{ID_Continue}$_]*/gu;
  const known = new Set(code.match(identifiers));
  return [...new Set(text.match(identifiers))].filter((name) => known.has(name) && !reserved.has(name));
}
