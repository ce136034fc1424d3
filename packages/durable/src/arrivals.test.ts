import { afterAll, beforeAll, describe, expect } from "@jest/globals";
import { type AnyOperator, operator, text, waitFor } from "@tessera/core";
import { compile } from "@tessera/graph";
import type { FlowRunner } from "@tessera/graph/internal";
import { hasPostgres, needs, PostgresServer } from "@tessera/testkit";
import { z } from "zod";
import { connectSteadily, type SteadyConnection } from "./connection.js";
import { postgresRecords } from "./records.js";
import { DurableRuns } from "./runs.js";

const about = { module: "data", submodule: "test", summary: "For tests of answers." } as const;
const common = {
  version: 1,
  about,
  config: z.strictObject({}),
  ports: { input: { value: text }, output: { value: text } },
};
const ran: string[] = [];
let release = () => {};
const held = new Promise<void>((resolve) => {
  release = resolve;
});
const operators = [
  operator({
    ...common,
    name: "test.ask",
    effects: "write",
    waits: () => ({}),
    setup: () => () => waitFor({ answer: "text", port: "value" }),
  }),
  operator({
    ...common,
    name: "test.hold",
    setup:
      () =>
      async ({ value }) =>
        held.then(() => ({ value })),
  }),
  operator({
    ...common,
    name: "test.note",
    setup:
      () =>
      ({ value }) => {
        ran.push(value);
        return { value };
      },
  }),
] as unknown as AnyOperator[];
const document = {
  version: 1,
  name: "busy",
  input: { value: "text" },
  nodes: {
    hold: { run: "test.hold", in: { value: "input.value" } },
    ask: { run: "test.ask", in: { value: "input.value" } },
    after: { run: "test.note", in: { value: "ask.value" } },
  },
  output: { held: "hold.value", after: "after.value" },
};

let server: PostgresServer;
const connections: SteadyConnection[] = [];
let runs: DurableRuns;

/** A flow and records of a process of its own: what one of them works on the other does not know. */
async function open() {
  const connection = await connectSteadily(server.url);
  connections.push(connection);
  const records = await postgresRecords(connection);
  return { connection, records, flow: await compile(document, { operators, records }) };
}

beforeAll(async () => {
  if (!hasPostgres) return;
  server = await PostgresServer.start();
  const { flow, ...settings } = await open();
  const runner: FlowRunner = {
    flow: async () => flow,
    stream: async (_, input, options) => flow.stream(input, options),
    resumeStream: async (id, options) => flow.resumeStream(id, options),
    forkStream: async (id, change, options) => flow.forkStream(id, change, options),
    hearArrivals: (id) => flow.hearArrivals(id),
    noteAnswer: async (run, path, value, options) => ({ goesOn: await flow.answer(run, { path, value }, options) }),
    noteSignal: async (run, name, value, options) => ({ goesOn: await flow.signal(run, { name, value }, options) }),
  };
  runs = await DurableRuns.open({ url: server.url, ...settings, runner, concurrency: 2, pollMs: 100 });
});
afterAll(async () => {
  if (!hasPostgres) return;
  release();
  await runs?.close(100);
  for (const connection of connections) await connection.close();
  await server?.remove();
});

describe("an answer that is given through another process while a worker is busy", () => {
  needs(hasPostgres, "PostgreSQL")("is taken while the rest goes on", async () => {
    await runs.start({ id: "r", flow: "busy", input: { value: "x" }, principal: { id: "ann" } });
    const other = await open();
    while (!(await other.records.waits!.get("r"))) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await other.flow.answer("r", { path: "busy/ask", value: "answered" })).toBe(false);
    // would wait for ever where the worker looked only when it comes to rest
    while (ran.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await runs.get("r"))!.status).toBe("running");
    release();
    expect(await runs.settled("r")).toMatchObject({ status: "done", output: { held: "x", after: "answered" } });
    expect(ran).toEqual(["answered"]);
  });
});

describe("a fork on PostgreSQL", () => {
  needs(hasPostgres, "PostgreSQL")(
    "runs only what follows; what it takes steps from is kept as long as it goes on",
    async () => {
      const of = "r";
      const change = { at: "busy/ask", answer: "other" };
      const request = { flow: "busy", input: { value: "x" }, principal: { id: "ann" } };
      await runs.start({ id: "f", ...request, fork: { of, change } });
      expect(await runs.settled("f")).toMatchObject({ status: "done", output: { held: "x", after: "other" } });
      expect(ran).toEqual(["answered", "other"]);
      // this one asks anew, and waits
      await runs.start({ id: "g", ...request, fork: { of: "f", change: { at: "busy/ask" } } });
      expect(await runs.settled("g")).toMatchObject({ status: "waiting", waits: [{ path: "busy/ask" }] });
      expect(await runs.prune({ runs: 0, ageMs: 0 })).toBe(0);
      expect(await runs.deliver("g", { path: "busy/ask", value: "third" }, {})).toBe(false);
      await runs.resume("g");
      expect(await runs.settled("g")).toMatchObject({ status: "done", output: { held: "x", after: "third" } });
      expect(await runs.prune({ runs: 0, ageMs: 0 })).toBe(3);
      await expect(
        runs.start({ id: "h", ...request, fork: { of: "f", change } }).then(() => runs.settled("h")),
      ).resolves.toMatchObject({
        status: "failed",
        error: { code: "RECORD_MISSING" },
      });
    },
  );
});
