// public: Sandbox, openSandbox
import { randomUUID } from "node:crypto";
import { type Json, type Resource, TesseraError } from "@tessera/core";
import { z } from "zod";
import { admitSize, type Driver, defaultLimits, type Execution, type Limits, type Runnable } from "./driver.js";
import { harnessOf } from "./harness.js";
import type { Language } from "./language.js";
import { type Translation, toJavaScript } from "./typescript.js";
import { checkEntry, equalValues, identifierPattern } from "./values.js";

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
 * @throws TesseraError SANDBOX_REFUSED where the driver cannot run here, DEPENDENCY_MISSING where a package lacks. Nothing is tried in its place.
 */
export async function openSandbox(driver: Driver, settings: Partial<Limits> = {}): Promise<Sandbox> {
  const missing = await driver.missing();
  if (missing)
    throw new TesseraError("SANDBOX_REFUSED", missing, {
      path: driver.name,
      hint: 'the driver "quickjs" runs on every system',
    });
  return new DriverSandbox(driver, { ...defaultLimits, ...settings });
}

/** A program that is judged or called. */
interface Code {
  readonly code: string;
  readonly language: Language;
  readonly signal: AbortSignal | undefined;
}

type VerdictMaker = (reason: Reason, assertions: number, detail?: string | null) => Verdict;

/** Makes the verdict of a check that begins now. */
function startVerdict(): VerdictMaker {
  const start = performance.now();
  return (reason, assertions, detail) => ({
    ...{ passed: reason === "passed", assertions, reason, ms: performance.now() - start },
    ...(detail && { detail: detail.slice(0, 2000) }),
  });
}

const runnableOf = (language: Language): Runnable => (language === "python" ? "python" : "javascript");

class DriverSandbox implements Sandbox {
  readonly revision: string;
  readonly languages: readonly Language[];
  readonly #driver: Driver;
  readonly #limits: Limits;

  constructor(driver: Driver, limits: Limits) {
    this.#driver = driver;
    this.#limits = limits;
    this.revision = `${driver.name}:1:${limits.wallMs}:${limits.memoryMb}:${limits.outputBytes}`;
    this.languages = driver.languages.flatMap((one): Language[] =>
      one === "javascript" ? ["javascript", "typescript"] : [one],
    );
  }

  async judge(code: string, given: Tests, language: Language = "javascript", signal?: AbortSignal): Promise<Verdict> {
    const verdictOf = startVerdict();
    if (code.trim() === "") return verdictOf("no-code", 0, "there is no code");
    const judged = { code, language, signal };
    try {
      return typeof given === "string"
        ? await this.#checkSource(judged, given, verdictOf)
        : await this.#checkList(judged, given, verdictOf);
    } catch (error) {
      if (TesseraError.is(error) && error.code === "SANDBOX_REFUSED") return verdictOf("refused", 0, error.message);
      throw error;
    }
  }

  async call(
    code: string,
    entry: string,
    argumentLists: readonly (readonly Json[])[],
    language: Language = "javascript",
    signal?: AbortSignal,
  ): Promise<Outcome[]> {
    try {
      return await this.#call({ code, language, signal }, entry, argumentLists);
    } catch (error) {
      if (!TesseraError.is(error) || error.code !== "SANDBOX_REFUSED") throw error;
      return argumentLists.map(() => ({ error: error.message }));
    }
  }

  close(): Promise<void> {
    return this.#driver.close();
  }

  /** Runs the harness; gives its records and how the run ended. */
  async #perform(
    task: Task,
    { language, signal }: Code,
  ): Promise<{ outcomes: Outcome[]; report: Report | undefined; execution: Execution }> {
    const nonce = randomUUID().replaceAll("-", "");
    const runnable = runnableOf(language);
    const source = harnessOf(runnable);
    const input = JSON.stringify({ ...task, nonce });
    const execution = await this.#driver.run({ language: runnable, source, input }, this.#limits, signal);
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

  async #call(called: Code, entry: string, argumentLists: readonly (readonly Json[])[]): Promise<Outcome[]> {
    checkEntry(entry);
    if (argumentLists.length === 0) return [];
    const prepared = await prepare(called);
    if ("error" in prepared) return argumentLists.map(() => prepared);
    const task = { code: prepared.code, entry, calls: argumentLists };
    const { outcomes, report, execution } = await this.#perform(task, called);
    const rest = report?.error ?? describe(execution, report);
    return argumentLists.map((_, index) => outcomes[index] ?? { error: rest });
  }

  /** Checks code against tests as data: first its calls, then what it prints. */
  async #checkList(judged: Code, list: readonly Test[], verdictOf: VerdictMaker): Promise<Verdict> {
    const calls = list.filter((one) => "call" in one);
    const streams = list.filter((one) => "input" in one);
    const called = await this.#checkCalls(judged, calls, verdictOf);
    if (called) return called;
    const printed = await this.#checkStreams(judged, streams, (reason, assertions, detail) =>
      verdictOf(reason, calls.length + assertions, detail),
    );
    if (printed) return printed;
    return verdictOf(list.length > 0 ? "passed" : "no-assertions", list.length);
  }

  /** The verdict of the first call that does not give what it must, if there is one. */
  async #checkCalls(
    judged: Code,
    calls: readonly Extract<Test, { call: string }>[],
    verdictOf: VerdictMaker,
  ): Promise<Verdict | undefined> {
    let assertions = 0;
    for (const entry of new Set(calls.map((one) => one.call))) {
      const own = calls.filter((one) => one.call === entry);
      const outcomes = await this.#call(
        judged,
        entry,
        own.map((one) => one.arguments),
      );
      for (const [index, { arguments: given, expected }] of own.entries()) {
        const got = outcomes[index]!;
        const written = `${entry}(${given.map((value) => JSON.stringify(value)).join(", ")})`;
        if ("error" in got) return verdictOf(reasonOf(got.error), assertions, `${written} threw ${got.error}`);
        assertions += 1;
        if (equalValues(got.value, expected)) continue;
        const wrong = `${written} gave ${JSON.stringify(got.value)}, not ${JSON.stringify(expected)}`;
        return verdictOf("failed", assertions, wrong);
      }
    }
    return undefined;
  }

  /** The verdict of the first input on which the program does not print what it must, if there is one. */
  async #checkStreams(
    judged: Code,
    streams: readonly Extract<Test, { input: string }>[],
    verdictOf: VerdictMaker,
  ): Promise<Verdict | undefined> {
    if (streams.length === 0) return undefined;
    const prepared = await prepare(judged);
    if ("error" in prepared) return verdictOf(reasonOf(prepared.error), 0, prepared.error);
    const language = runnableOf(judged.language);
    for (const [assertions, { input, output }] of streams.entries()) {
      const program = { language, source: prepared.code, input };
      const execution = await this.#driver.run(program, this.#limits, judged.signal);
      const { status, exitCode, errors } = execution;
      if (status !== "exited") return verdictOf(status, assertions, describe(execution, undefined));
      if (exitCode !== 0) return verdictOf("error", assertions, errors || `exit code ${exitCode}`);
      if (tidy(execution.output) === tidy(output)) continue;
      const wrong = `on ${JSON.stringify(input)} it printed ${JSON.stringify(execution.output)}`;
      return verdictOf("failed", assertions + 1, wrong);
    }
    return undefined;
  }

  /** Checks code against tests in its own language. */
  async #checkSource(judged: Code, text: string, verdictOf: VerdictMaker): Promise<Verdict> {
    const prepared = await prepare(judged);
    if ("error" in prepared) return verdictOf(reasonOf(prepared.error), 0, prepared.error);
    const preparedTests = await prepare({ ...judged, code: text });
    if ("error" in preparedTests) return verdictOf("error", 0, `in the tests: ${preparedTests.error}`);
    const task = { code: prepared.code, tests: preparedTests.code, names: sharedNames(judged.code, text) };
    const { report, execution } = await this.#perform(task, judged);
    if (!report) {
      const { status, exitCode } = execution;
      const reason = status !== "exited" ? status : exitCode ? "error" : "unfinished";
      return verdictOf(reason, 0, describe(execution, report));
    }
    const { assertions, failed, error } = report;
    if (error !== null) return verdictOf(failed ? "failed" : reasonOf(error), assertions, error);
    return verdictOf(assertions > 0 ? "passed" : "no-assertions", assertions);
  }
}

/** What the driver can run of a program, or why it cannot be read. @throws TesseraError SANDBOX_REFUSED */
async function prepare({ code, language, signal }: Code): Promise<Translation> {
  admitSize(language, code.length);
  return language === "python" ? { code } : toJavaScript(code, language, signal);
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
