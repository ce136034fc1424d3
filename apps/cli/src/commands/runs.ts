import { type ErrorCode, errorCodes, TesseraError } from "@tessera/core";
import type { ErrorBody } from "@tessera/core/internal";
import { type Terminal, UsageError } from "../terminal.js";

/** A service, and a key of it. */
export interface ServiceOptions {
  readonly url: string;
  /** Given by the environment alone: what is typed stands in lists of processes. */
  readonly key?: string;
  readonly signal?: AbortSignal;
}

const isCode = (code: unknown): code is ErrorCode => typeof code === "string" && Object.hasOwn(errorCodes, code);

/** What a service said, where it refused something, as the error that it is. */
function refusalOf(body: Partial<ErrorBody>, status: number): TesseraError {
  const { code, message = `the service answered ${status}`, path, hint } = body;
  return new TesseraError(isCode(code) ? code : "INTERNAL", message, { path, hint });
}

/** Asks a service. @throws TesseraError as the service says; NOT_READY where none answers */
async function ask<T>({ url, key, signal }: ServiceOptions, path: string, body?: object): Promise<T> {
  const headers = {
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
    ...(body && { "content-type": "application/json" }),
  };
  const request = { method: body ? "POST" : "GET", headers, ...(signal && { signal }) };
  const answer = await fetch(new URL(path, url), body ? { ...request, body: JSON.stringify(body) } : request).catch(
    (cause) => {
      throw new TesseraError("NOT_READY", `no service answers at ${url}`, {
        path: url,
        hint: "start one by `tessera serve`, or say where it is: --url, or TESSERA_URL",
        cause,
      });
    },
  );
  const said = (await answer.json().catch(() => ({}))) as T & Partial<ErrorBody>;
  if (!answer.ok) throw refusalOf(said, answer.status);
  return said;
}

/** A value as it is typed: JSON, or else the text itself. */
function typedValue(typed: string): unknown {
  try {
    return JSON.parse(typed);
  } catch {
    return typed;
  }
}

function objectOf(typed: string, option: string): object {
  const value = typedValue(typed);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new UsageError(`${option} is a JSON object`);
}

interface Wait {
  readonly path: string;
  readonly payload?: unknown;
}

interface Run {
  readonly id: string;
  readonly flow: string;
  readonly status: string;
  readonly started?: string;
  readonly about?: string;
  readonly output?: unknown;
  readonly waits?: readonly Wait[];
}

const short = (value: unknown): string =>
  (typeof value === "string" ? value : JSON.stringify(value ?? "")).replace(/[\s\p{Cc}\p{Cf}]+/gu, " ");

/** Says what a run came to, and how to answer what it waits for. */
function tell(terminal: Terminal, run: Run): number {
  terminal.result(run);
  terminal.say(`${run.id}: ${run.status}`);
  if (run.output) terminal.say(JSON.stringify(run.output, undefined, 2));
  for (const { path, payload } of run.waits ?? []) {
    terminal.say(`waits at ${path}${payload === undefined ? "" : `: ${short(payload)}`}`);
    terminal.say(`  tessera answer ${run.id} ${path} <answer>`);
  }
  return 0;
}

export interface ListOptions extends ServiceOptions {
  readonly state?: string;
  readonly limit: string;
}

/** Lists the latest runs of a service, or those that wait with what they ask. */
export async function listRuns(terminal: Terminal, { state, limit, ...service }: ListOptions): Promise<number> {
  const query = new URLSearchParams({ limit, ...(state !== undefined && { state }) });
  const { runs } = await ask<{ runs: Run[] }>(service, `/runs?${query}`);
  terminal.result(runs);
  if (state === "waiting")
    terminal.table(
      ["run", "waits at", "asks"],
      runs.flatMap(({ id, waits = [] }) => waits.map(({ path, payload }) => [id, path, short(payload)])),
    );
  else
    terminal.table(
      ["run", "flow", "status", "started", "about"],
      runs.map(({ id, flow, status, started = "", about }) => [id, flow, status, started.slice(0, 19), short(about)]),
    );
  return 0;
}

/** Answers what a run waits for, and says what it comes to. */
export async function answer(
  terminal: Terminal,
  { run, path, value }: { readonly run: string; readonly path: string; readonly value: string },
  service: ServiceOptions,
): Promise<number> {
  const address = `/runs/${encodeURIComponent(run)}/waits/${encodeURIComponent(path)}`;
  return tell(terminal, await ask<Run>(service, address, { answer: typedValue(value) }));
}

/** Sends a signal to a run. */
export async function signal(
  terminal: Terminal,
  { run, name, value }: { readonly run: string; readonly name: string; readonly value?: string | undefined },
  service: ServiceOptions,
): Promise<number> {
  const address = `/runs/${encodeURIComponent(run)}/signals/${encodeURIComponent(name)}`;
  return tell(terminal, await ask<Run>(service, address, value === undefined ? {} : { value: typedValue(value) }));
}

export interface ForkOptions extends ServiceOptions {
  readonly answer?: string;
  readonly output?: string;
  readonly settings?: string;
  readonly operator?: string;
}

/** Runs once more with one change. */
export async function fork(terminal: Terminal, run: string, at: string, options: ForkOptions): Promise<number> {
  const { answer, output, settings, operator, ...service } = options;
  const change = {
    at,
    ...(answer !== undefined && { answer: typedValue(answer) }),
    ...(output !== undefined && { output: objectOf(output, "--output") }),
    ...(settings !== undefined && { config: objectOf(settings, "--settings") }),
    ...(operator !== undefined && { operator }),
  };
  return tell(terminal, await ask<Run>(service, `/runs/${encodeURIComponent(run)}/fork`, change));
}

interface Difference {
  readonly same: number;
  readonly moved: number;
  readonly steps: readonly { readonly path: string; readonly change: string; readonly because?: readonly string[] }[];
}

/** Shows the steps in which two runs differ. */
export async function diff(terminal: Terminal, run: string, other: string, service: ServiceOptions): Promise<number> {
  const address = `/runs/${encodeURIComponent(run)}/diff/${encodeURIComponent(other)}`;
  const difference = await ask<Difference>(service, address);
  terminal.result(difference);
  terminal.say(
    `${difference.same} steps are the same${difference.moved > 0 ? `, ${difference.moved} of them moved` : ""}`,
  );
  terminal.table(
    ["step", "change", "because of"],
    difference.steps.map(({ path, change, because = [] }) => [path, change, because.join(", ")]),
  );
  return 0;
}
