import { EventSourceParserStream } from "eventsource-parser/stream";
import { texts } from "../texts.js";
import type { Finding, Json, RunEvent, RunState, WaitingRun } from "./types.js";

/** An error of the service, with its code, place and hint. */
export class ServiceError extends Error {
  constructor(
    readonly finding: Finding,
    readonly status: number,
  ) {
    super(finding.message);
  }
}

export const findingOf = (thrown: unknown): Finding =>
  thrown instanceof ServiceError
    ? thrown.finding
    : {
        code: "UNREACHABLE",
        message: thrown instanceof Error ? thrown.message : String(thrown),
        hint: texts.unreachable,
      };

// the key of a link ends with the process that gave it; one that somebody typed stays in this tab alone
const lentAt = "tessera.studio.key";
let key = readKey();

function readKey(): string | undefined {
  return sessionStorage.getItem(lentAt) ?? localStorage.getItem(lentAt) ?? undefined;
}

const listeners = new Set<() => void>();
export const onKey = (listener: () => void): (() => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
export const hasKey = (): boolean => key !== undefined;

export function setKey(next: string | undefined, { typed = false } = {}): void {
  key = next;
  sessionStorage.removeItem(lentAt);
  localStorage.removeItem(lentAt);
  if (next !== undefined) (typed ? sessionStorage : localStorage).setItem(lentAt, next);
  for (const listener of listeners) listener();
}

interface Asked {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

async function request(path: string, { method = "GET", body, headers, signal }: Asked): Promise<Response> {
  const response = await fetch(path, {
    method,
    headers: {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  });
  if (response.ok) return response;
  const finding = (await response.json().catch(() => undefined)) as Finding | undefined;
  if (response.status === 401) setKey(undefined);
  throw new ServiceError(finding ?? { code: "INTERNAL", message: response.statusText }, response.status);
}

/** Asks a route of the service, and gives its JSON. @throws ServiceError */
export async function ask<T>(path: string, asked: Asked = {}): Promise<T> {
  const response = await request(path, asked);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Exchanges the token of a link for a key. */
export async function openSession(token: string): Promise<void> {
  const { key } = await ask<{ key: string }>("/studio/session", { method: "POST", body: { token } });
  setKey(key);
}

/** What comes of a run: its events, and at the end its state. */
export interface RunListener {
  event(event: RunEvent): void;
  ended(state: RunState): void;
}

/** Follows the events of a run after the event `after`, until it has ended. */
export async function follow(id: string, after: number, listener: RunListener, signal: AbortSignal): Promise<void> {
  const headers = { accept: "text/event-stream", ...(after > 0 && { "last-event-id": String(after) }) };
  const response = await request(`/runs/${id}/events`, { headers, signal });
  const events = response.body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  const reader = events.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const { event = "", data, id: sequence } = part.value;
    if (event === "run") listener.ended(JSON.parse(data) as RunState);
    else listener.event({ sequence: Number(sequence), type: event, data: JSON.parse(data) as Json });
  }
}

export const startRun = (flow: string, input: Readonly<Record<string, Json>>, seed?: number): Promise<RunState> =>
  ask(`/flows/${flow}/runs`, {
    method: "POST",
    body: { input, ...(seed !== undefined && { seed }) },
    headers: { prefer: "respond-async" },
  });

/** Runs a run once more with one change: only what follows from it. */
export const forkRun = (
  id: string,
  change: { readonly at: string; readonly [what: string]: Json },
): Promise<RunState> => ask(`/runs/${id}/fork`, { method: "POST", body: change, headers: { prefer: "respond-async" } });

export const cancelRun = (id: string): Promise<RunState> => ask(`/runs/${id}/cancel`, { method: "POST" });

/** The runs that wait for something that the key may answer. */
export const waitingRuns = async (): Promise<readonly WaitingRun[]> =>
  (await ask<{ runs: WaitingRun[] }>("/runs?state=waiting")).runs;

const values = new Map<string, Promise<Json>>();

/** A long value that an event names by its hash. */
export function longValue(run: string, hash: string): Promise<Json> {
  let known = values.get(hash);
  if (!known) {
    known = ask<Json>(`/runs/${run}/values/${hash}`);
    known.catch(() => values.delete(hash));
    if (values.size > 300) values.clear();
    values.set(hash, known);
  }
  return known;
}

let routes: Promise<ReadonlySet<string>> | undefined;

/** Whether the service has a route, such as "POST /runs/{id}/fork". */
export async function hasRoute(route: string): Promise<boolean> {
  routes ??= ask<{ paths: Readonly<Record<string, object>> }>("/openapi.json").then(
    ({ paths }) =>
      new Set(
        Object.entries(paths).flatMap(([path, methods]) =>
          Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
        ),
      ),
  );
  return (await routes).has(route);
}
