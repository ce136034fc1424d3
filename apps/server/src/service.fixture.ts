// for tests only: a service on a folder of its own, with scripted operators
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "@jest/globals";
import { type AnyOperator, type FlowDocument, flow, operator, text } from "@tessera/core";
import { sparse } from "@tessera/retriever";
import { createTessera, type Resources } from "@tessera/tessera";
import { z } from "zod";
import { openFolder } from "./backend.js";
import { EmbeddedRuns } from "./embedded-runs.js";
import { IndexFolder, mergedResources } from "./indexes.js";
import { type KeyRequest, KeyRing } from "./keys.js";
import { Library } from "./library.js";
import { LocalBudgets } from "./local-budgets.js";
import { Meter } from "./meter.js";
import { createServer, type ServerOptions } from "./server.js";

const about = { module: "data", submodule: "test", summary: "For tests." } as const;
const port = { input: { query: text }, output: { text } };

/** How often each step ran, by what it was given. */
export const ran: string[] = [];

export const echo = operator({
  name: "test.echo",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: port,
  setup:
    () =>
    ({ query }, { emit, principal }) => {
      ran.push(query);
      emit("text", "said ");
      return { text: `said ${query} to ${principal?.id}` };
    },
});

/** Waits until it is aborted, or until `release()`. */
let open: (() => void) | undefined;
export const release = (): void => open?.();
export const hold = operator({
  name: "test.hold",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: port,
  setup:
    () =>
    async ({ query }, { signal }) => {
      await new Promise<void>((resolve, reject) => {
        open = resolve;
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
      return { text: query };
    },
});

/** Says 64 KiB again and again until it is aborted. */
const flood = operator({
  name: "test.flood",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: port,
  setup: () => {
    const much = "much ".repeat(13_107);
    return async (_, { emit, signal }) => {
      for (;;) {
        signal.throwIfAborted();
        emit("text", much);
        await turn();
      }
    };
  },
});

export const operators = [echo, hold, flood];
export const flows: Record<string, FlowDocument> = {
  echo: flow("echo", { query: "text" }, (f, input) => ({ text: f.node("echo", echo(), input).text })).document,
  hold: flow("hold", { query: "text" }, (f, input) => {
    const said = f.node("said", echo(), input);
    return { text: f.node("wait", hold(), { query: said.text }).text };
  }).document,
  twice: flow("twice", { query: "text" }, (f, input) => {
    const first = f.node("first", echo(), input);
    return { text: f.node("second", echo(), { query: first.text }).text };
  }).document,
  flood: flow("flood", { query: "text" }, (f, input) => ({ text: f.node("flood", flood(), input).text })).document,
};

/** A flow over the index "docs", to be uploaded. */
export const find = flow("find", { query: "text" }, (f, input) => ({
  hits: f.node("search", sparse({ store: "docs.sparse", top: 5 }), input).hits,
})).document;

export const freshFolder = (): string => mkdtempSync(join(tmpdir(), "tessera-server-"));
export const removeFolder = (folder: string): void => rmSync(folder, { recursive: true, force: true });

/** A backend that keeps nothing but indexes: for what needs many runs. */
async function openMemory(folder: string, resources: Resources) {
  const indexes = await IndexFolder.open(join(folder, "indexes"));
  const tessera = createTessera({
    flows,
    operators,
    resources: mergedResources([resources, indexes.resources]),
  });
  const library = new Library(tessera, flows);
  await library.load();
  const runs = new EmbeddedRuns(tessera, undefined);
  return { tessera, library, runs, budgets: new LocalBudgets(), indexes, close: async () => {} };
}

export async function startService(
  folder: string,
  {
    resources = {},
    durable = true,
    operators: known = operators,
    ...more
  }: { resources?: Resources; durable?: boolean; operators?: readonly AnyOperator[] } & Partial<ServerOptions> = {},
) {
  const backend = await (durable
    ? openFolder(folder, { flows, operators: known, resources })
    : openMemory(folder, resources));
  const keys = await KeyRing.open(join(folder, "keys"));
  const { budgets, runs, tessera, library, indexes } = backend;
  const server = createServer({ ...backend, keys, meter: new Meter({ budgets, runs }), ...more });
  server.addHook("onClose", () => backend.close());
  const key = async (request: Partial<KeyRequest> = {}) => {
    const { token } = await keys.create({ name: "test", ...request });
    return { token, headers: { authorization: `Bearer ${token}` } };
  };
  return { server, keys, key, runs, tessera, library, indexes };
}

/** A service and its folder, new for each test. A test that closes the service and starts another puts it here. */
export function serviceForEachTest(options: Parameters<typeof startService>[1] = {}) {
  const own = {} as { folder: string; service: Awaited<ReturnType<typeof startService>> };
  beforeEach(async () => {
    own.folder = freshFolder();
    own.service = await startService(own.folder, options);
    ran.length = 0;
  });
  afterEach(async () => {
    await own.service.server.close();
    removeFolder(own.folder);
  });
  return own;
}

/**
 * A service for all tests of a file, with a key for each of those who call it, and the flows that "ann" puts there. A test that
 * closes the service and starts another puts it here.
 */
export function serviceForCallers(
  callers: Readonly<Record<string, object>>,
  put: readonly { readonly name: string }[],
) {
  const own = { folder: freshFolder(), keys: {} } as {
    readonly folder: string;
    readonly keys: Record<string, { authorization: string }>;
    service: Awaited<ReturnType<typeof startService>>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service says
  const call = async (who: string, method: string, url: string, payload?: object): Promise<any> => {
    const given = { method, url, headers: own.keys[who], ...(payload && { payload }) };
    const answer = await own.service.server.inject(given as never);
    return { ...(answer.body === "" ? {} : answer.json()), http: answer.statusCode };
  };
  beforeAll(async () => {
    own.service = await startService(own.folder);
    for (const [name, request] of Object.entries(callers)) own.keys[name] = (await own.service.key(request)).headers;
    for (const flow of put) expect(await call("ann", "PUT", `/flows/${flow.name}`, flow)).toMatchObject({ http: 201 });
  });
  afterAll(async () => {
    await own.service.server.close();
    removeFolder(own.folder);
  });
  return { own, call };
}
