import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { Delta, LanguageModel } from "@tessera/core";
import { freshFolder, release, removeFolder, startService } from "./service.fixture.js";

const stallTimeout = 400;

/** A model that speaks until it is stopped. */
class Endless implements LanguageModel {
  readonly revision = "1";
  readonly capabilities = new Set<never>();
  running = 0;
  async *generate(): AsyncIterable<Delta> {
    this.running++;
    try {
      for (;;) {
        yield { text: "again ".repeat(10_000) };
        await sleep(0);
      }
    } finally {
      this.running--;
    }
  }
}

let folder: string;
let endless: Endless;
let service: Awaited<ReturnType<typeof startService>>;
let headers: Record<string, string>;
let url: URL;
let accepted: Socket[];
beforeEach(async () => {
  folder = freshFolder();
  endless = new Endless();
  service = await startService(folder, { durable: false, stallTimeout, models: { languageModels: { endless } } });
  headers = { ...(await service.key()).headers, "content-type": "application/json" };
  accepted = [];
  service.server.server.on("connection", (socket) => accepted.push(socket));
  url = new URL(await service.server.listen({ port: 0, host: "127.0.0.1" }));
});
afterEach(async () => {
  await service.server.close();
  removeFolder(folder);
});

/** Sends a request and reads nothing of the answer; the most bytes that waited for it, once the service has ended it. */
async function unread(path: string, body: object, more: Record<string, string> = {}): Promise<number> {
  const text = JSON.stringify(body);
  const lines = Object.entries({ host: "x", ...headers, ...more, "content-length": String(Buffer.byteLength(text)) });
  const client = connect(Number(url.port), url.hostname);
  client.on("error", () => {});
  client.pause();
  client.write(`POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${text}`);
  while (accepted.length === 0) await sleep(5);
  const socket = accepted[0]!;
  let most = 0;
  const looking = setInterval(() => {
    most = Math.max(most, socket.writableLength);
  }, 5);
  if (!socket.destroyed) await once(socket, "close");
  clearInterval(looking);
  client.destroy();
  return most;
}

const runOf = async (flow: string) => (await service.runs.list({ limit: 100 })).find((run) => run.flow === flow);

async function begun(flow: string): Promise<string> {
  for (;;) {
    const run = await runOf(flow);
    if (run) return run.id;
    await sleep(5);
  }
}

describe("a client that never reads", () => {
  it("its stream of events holds some parts in memory, and is ended; nobody else waits, and its run is cancelled", async () => {
    const stalled = unread("/flows/flood/runs", { input: { query: "q" } }, { accept: "text/event-stream" });
    const id = await begun("flood");
    const other = await fetch(new URL("/flows/echo/runs", url), {
      method: "POST",
      headers,
      body: JSON.stringify({ input: { query: "hi" } }),
    });
    expect(await other.json()).toMatchObject({ status: "done" });
    expect(await stalled).toBeLessThan(1 << 20);
    expect((await service.runs.settled(id)).status).toBe("cancelled");
  });

  it("its answer of a model is ended, and the model stops", async () => {
    const body = { model: "endless", messages: [{ role: "user", content: "q" }], stream: true };
    expect(await unread("/v1/chat/completions", body)).toBeLessThan(1 << 20);
    while (endless.running > 0) await sleep(5);
  });

  it("a stream that is only quiet goes on", async () => {
    const answer = await fetch(new URL("/flows/hold/runs", url), {
      method: "POST",
      headers: { ...headers, accept: "text/event-stream" },
      body: JSON.stringify({ input: { query: "q" } }),
    });
    const id = await begun("hold");
    await sleep(2.5 * stallTimeout);
    expect((await service.runs.get(id))!.status).toBe("running");
    release();
    expect(await answer.text()).toContain("event: run");
  });
});

describe("a client that goes", () => {
  it.each([
    ["a run as JSON", "/flows/hold/runs", { input: { query: "q" } }, "application/json"],
    ["a run as events", "/flows/hold/runs", { input: { query: "q" } }, "text/event-stream"],
    ["a chat", "/v1/chat/completions", { model: "hold", messages: [{ role: "user", content: "q" }] }, "*/*"],
    [
      "a streamed chat",
      "/v1/chat/completions",
      { model: "hold", stream: true, messages: [{ role: "user", content: "q" }] },
      "*/*",
    ],
    [
      "a tool",
      "/mcp",
      { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "hold", arguments: { query: "q" } } },
      "application/json, text/event-stream",
    ],
  ])("cancels %s", async (_, path, body, accept) => {
    const leave = new AbortController();
    const asked = fetch(new URL(path, url), {
      method: "POST",
      headers: { ...headers, accept },
      body: JSON.stringify(body),
      signal: leave.signal,
    }).catch(() => {});
    const id = await begun("hold");
    leave.abort();
    await asked;
    expect((await service.runs.settled(id)).status).toBe("cancelled");
  });

  it("with an Idempotency-Key leaves its run, and may come back for it", async () => {
    const leave = new AbortController();
    const ask = (signal?: AbortSignal) =>
      fetch(new URL("/flows/hold/runs", url), {
        method: "POST",
        headers: { ...headers, "idempotency-key": "one", accept: "text/event-stream" },
        body: JSON.stringify({ input: { query: "q" } }),
        ...(signal && { signal }),
      });
    const first = await ask(leave.signal);
    await first.body!.getReader().read();
    leave.abort();
    await sleep(50);
    const id = await begun("hold");
    expect((await service.runs.get(id))!.status).toBe("running");
    const again = await ask();
    release();
    expect(await again.text()).toContain("event: run");
    expect((await service.runs.list({ limit: 10 })).filter(({ flow }) => flow === "hold")).toHaveLength(1);
  });
});
