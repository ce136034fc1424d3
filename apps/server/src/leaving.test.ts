import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { RunRequest, RunState } from "@tessera/graph/internal";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";

const folder = freshFolder();
let service: Awaited<ReturnType<typeof startService>>;
let url: URL;
let headers: Record<string, string>;
/** What happens before a run is noted, and after: a client may go at either. */
let beforeNote = async () => {};
let afterNote = async (_: RunState) => {};

beforeAll(async () => {
  service = await startService(folder);
  const { runs } = service;
  const start = runs.start.bind(runs);
  runs.start = async (request: RunRequest) => {
    await beforeNote();
    const state = await start(request);
    await afterNote(state);
    return state;
  };
  ({ headers } = await service.key({ limits: { requestsPerMinute: 100_000, concurrency: 1000 } }));
  url = new URL(await service.server.listen({ port: 0, host: "127.0.0.1" }));
});
afterAll(async () => {
  await service.server.close();
  removeFolder(folder);
});

const runBody = { input: { query: "q" } };
const call = (params: object = {}) => ({
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  params: { name: "hold", arguments: { query: "q" }, ...params },
});
const chat = (stream: boolean) => ({ model: "hold", messages: [{ role: "user", content: "q" }], stream });
const mcp = { accept: "application/json, text/event-stream" };
const ways: [string, string, object, Record<string, string>][] = [
  ["JSON", "/flows/hold/runs", runBody, {}],
  ["a stream of events", "/flows/hold/runs", runBody, { accept: "text/event-stream" }],
  ["a chat", "/v1/chat/completions", chat(false), {}],
  ["a chat as a stream", "/v1/chat/completions", chat(true), {}],
  ["a tool", "/mcp", call(), mcp],
  ["a tool with progress", "/mcp", call({ _meta: { progressToken: 1 } }), mcp],
  ["one of several tools", "/mcp", [call(), { ...call(), id: 2 }], mcp],
];

function send(path: string, body: object, more: Record<string, string>) {
  const socket = connect(Number(url.port), url.hostname);
  socket.on("error", () => {});
  const text = JSON.stringify(body);
  const lines = Object.entries({ host: "x", "content-type": "application/json", ...headers, ...more });
  const head = [`POST ${path} HTTP/1.1`, ...lines.map((line) => line.join(": ")), `content-length: ${text.length}`];
  socket.write(`${head.join("\r\n")}\r\n\r\n${text}`);
  return socket;
}

const statuses = async () => (await service.runs.list({ limit: 10_000 })).map(({ status }) => status);
/** Until every run is cancelled, those too whose requests are still on their way; a run of "hold" ends in no other way. */
async function allEnd(): Promise<void> {
  for (let quiet = 0; quiet < 3; ) {
    await closed();
    const connections = await new Promise<number>((resolve) =>
      service.server.server.getConnections((_, count) => resolve(count)),
    );
    quiet = connections === 0 && (await statuses()).every((status) => status === "cancelled") ? quiet + 1 : 0;
  }
}
const closed = () => new Promise<void>((resolve) => setTimeout(resolve, 20)); // the server hears of it in a turn or two

describe.each(ways)("a client that goes aborts its run: %s", (_, path, body, more) => {
  it("before the run is noted, after it, and while it runs", async () => {
    for (const moment of ["before", "after", "running"] as const) {
      let reached = () => {};
      const there = new Promise<void>((resolve) => {
        reached = resolve;
      });
      let go = () => {};
      const gone = new Promise<void>((resolve) => {
        go = resolve;
      });
      const pause = async () => {
        reached();
        await gone;
      };
      beforeNote = moment === "before" ? pause : async () => {};
      afterNote = moment === "after" ? pause : moment === "running" ? async () => reached() : async () => {};
      const before = (await statuses()).length;
      const socket = send(path, body, more);
      await there;
      if (moment === "running") await closed();
      socket.destroy();
      await once(socket, "close");
      await closed();
      go();
      // those that are noted are noted before they can be cancelled
      while ((await statuses()).length === before) await closed();
      await allEnd();
    }
  });

  it("at 40 moments after it sent its request", async () => {
    beforeNote = async () => {};
    afterNote = async () => {};
    const sockets = Array.from({ length: 40 }, (_, i) => {
      const socket = send(path, body, more);
      setTimeout(() => socket.destroy(), i / 4);
      return once(socket, "close");
    });
    await Promise.all(sockets);
    await allEnd();
  });
});

describe("a client that asked for a run in the background", () => {
  it.each([
    ["an Idempotency-Key", { "idempotency-key": "stay" }],
    ["Prefer: respond-async", { prefer: "respond-async" }],
  ])("may go: %s", async (_, more) => {
    let noted = (_: string) => {};
    const isNoted = new Promise<string>((resolve) => {
      noted = resolve;
    });
    afterNote = async ({ id, input }) => {
      if (input.query === "stay") noted(id);
    };
    const socket = send("/flows/hold/runs", { input: { query: "stay" } }, more);
    const id = await isNoted;
    socket.destroy();
    await closed();
    expect((await service.runs.get(id))!.status).toBe("running");
    await service.runs.cancel(id);
    afterNote = async () => {};
  });

  it("and one that waits behind another on its connection is heard of too", async () => {
    afterNote = async () => {};
    const before = (await statuses()).length;
    const socket = send("/flows/hold/runs", runBody, {});
    const text = JSON.stringify(runBody);
    socket.write(
      `POST /flows/hold/runs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: ${headers.authorization}\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
    );
    while ((await statuses()).length < before + 2) await closed();
    socket.destroy();
    await allEnd();
  });
});
