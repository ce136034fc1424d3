import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, createServer as createPlainServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { flow, operator, text } from "@tessera/core";
import { sparse } from "@tessera/retriever";
import { createServer, KeyRing, Library } from "@tessera/server";
import { Bm25Store } from "@tessera/stores";
import { createTessera } from "@tessera/tessera";
import { z } from "zod";
import { memory, SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { interleave, percentile } from "./measure/rounds.js";
import { zipf } from "./measure/words.js";

const passages = 10_000;
const requests = 500; // a round
const rounds = 5;
const clients = 32;
const streams = 1000;
const parts = 20; // of an answer
const pause = 100; // milliseconds between them

const teller = operator({
  name: "bench.tell",
  version: 1,
  about: { module: "generation", submodule: "bench", summary: "Says an answer part by part, as a model does." },
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { text } },
  setup:
    () =>
    async ({ query }, { emit, signal }) => {
      let said = "";
      for (let part = 0; part < parts; part++) {
        await sleep(pause, undefined, { signal });
        emit("text", `${query} ${part}. `);
        said += `${query} ${part}. `;
      }
      return { text: said };
    },
});

const find = flow("find", { query: "text" }, (f, { query }) => ({
  hits: f.node("find", sparse({ store: "docs" }), { query }).hits,
}));
const tell = flow("tell", { query: "text" }, (f, { query }) => ({ text: f.node("tell", teller(), { query }).text }));
const flows = { find: find.document, tell: tell.document };

async function openTessera() {
  const store = new Bm25Store();
  const word = zipf(1);
  const sentence = () => Array.from({ length: 40 }, word).join(" ");
  await store.upsert(Array.from({ length: passages }, (_, i) => ({ id: `p${i}`, text: sentence(), metadata: {} })));
  return createTessera({ flows, operators: [teller], resources: { store: { docs: store } } }).start();
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  let body = "";
  for await (const part of message.setEncoding("utf8")) body += part;
  return body;
}

/** What one kind of service answers to the process that measures. */
function measured(tessera: Awaited<ReturnType<typeof openTessera>>, listening: Listening) {
  process.once("disconnect", () => {
    listening.close();
    void tessera.close();
  });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 100);
  watch.unref();
  return {
    address: (): Address => ({ port: listening.port, token: listening.token }),
    async direct(queries: string[]): Promise<number[]> {
      const times: number[] = [];
      for (const query of queries) {
        const start = performance.now();
        await tessera.run("find", { query });
        times.push(performance.now() - start);
      }
      return times;
    },
    watch() {
      const { heap, resident } = memory();
      most = 0;
      delay.reset();
      delay.enable();
      return { heap, resident };
    },
    watched() {
      delay.disable();
      const after = memory();
      return { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6, most: most / 1e6, heap: after.heap };
    },
  };
}

interface Address {
  readonly port: number;
  readonly token: string;
}
interface Listening extends Address {
  close(): void;
}

/** Two services with the routes of `createServer`, each in a process of its own. */
export const systems = {
  /** `node:http` around flows, without keys, limits or checks. */
  async "plain Node"() {
    const tessera = await openTessera();
    const server = createPlainServer(async (message, response) => {
      const { input } = JSON.parse(await bodyOf(message));
      if (message.url === "/flows/find/runs") {
        const { output } = await tessera.run("find", input);
        response.setHeader("content-type", "application/json").end(JSON.stringify({ output }));
        return;
      }
      response.setHeader("content-type", "text/event-stream");
      const stream = await tessera.stream("tell", input);
      await pipeline(async function* () {
        for await (const event of stream) yield `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
        yield `event: run\ndata: ${JSON.stringify(await stream.result)}\n\n`;
      }, response).catch(() => {}); // the client went
    });
    server.listen({ port: 0, host: "127.0.0.1", backlog: 2 * streams });
    await once(server, "listening");
    const close = () => {
      server.close();
      server.closeAllConnections();
    };
    return measured(tessera, { port: (server.address() as AddressInfo).port, token: "", close });
  },
  /** The service of apps/server: keys, limits, validation, metrics, runs that can be asked for. */
  async createServer() {
    const tessera = await openTessera();
    const folder = await mkdtemp(join(tmpdir(), "tessera-bench-"));
    const keys = await KeyRing.open(folder);
    const { token } = await keys.create({
      name: "bench",
      limits: { requestsPerMinute: 1_000_000_000, concurrency: 2 * streams },
    });
    const server = createServer({ tessera, keys, library: new Library(tessera, flows) });
    await server.listen({ port: 0, host: "127.0.0.1", backlog: 2 * streams });
    const close = () => {
      server.server.closeAllConnections();
      void server.close().finally(() => rm(folder, { recursive: true, force: true }));
    };
    return measured(tessera, { port: (server.server.address() as AddressInfo).port, token, close });
  },
};

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

async function post({ port, token }: Address, flow: "find" | "tell", query: string): Promise<string> {
  const sent = request({
    agent,
    host: "127.0.0.1",
    port,
    path: `/flows/${flow}/runs`,
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: flow === "tell" ? "text/event-stream" : "application/json",
      authorization: `Bearer ${token}`,
    },
  });
  sent.end(JSON.stringify({ input: { query } }));
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return bodyOf(response);
}

/** Services around flows, from another process: what HTTP and JSON cost, and 1,000 streams at once. */
export default async function http(report: Report): Promise<void> {
  for (const name of Object.keys(systems) as (keyof typeof systems)[]) {
    report.say(`starting ${name}`);
    const service = await SystemProcess.start(fileURLToPath(import.meta.url), name);
    try {
      await requesting(report, name, service);
      await streaming(report, name, service);
    } finally {
      await service.close();
    }
  }
  agent.destroy();
}

async function requesting(report: Report, name: string, service: SystemProcess): Promise<void> {
  const address = await service.call<Address>("address");
  const word = zipf(2);
  const queries = Array.from({ length: requests }, () => Array.from({ length: 4 }, word).join(" "));
  report.say(`${rounds} interleaved rounds of ${requests} requests …`);
  const { direct, asked } = await interleave(
    {
      direct: () => service.call<number[]>("direct", queries),
      asked: async () => {
        const times: number[] = [];
        for (const query of queries) {
          const start = performance.now();
          const { output } = JSON.parse(await post(address, "find", query));
          if (output.hits.length === 0) throw new Error("no hits");
          times.push(performance.now() - start);
        }
        return times;
      },
    },
    rounds,
  );
  report.add(name, "direct call, p50", percentile(direct!.flat(), 0.5), "ms");
  report.add(name, "request, p50", percentile(asked!.flat(), 0.5), "ms");
  report.add(name, "request, p99", percentile(asked!.flat(), 0.99), "ms");
  const overhead = asked!.flatMap((samples, round) => samples.map((sample, index) => sample - direct![round]![index]!));
  report.add(name, "overhead of HTTP and JSON, p50", percentile(overhead, 0.5), "ms");

  report.say(`${clients} clients at once …`);
  const start = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (const query of queries.slice(0, 200)) await post(address, "find", query);
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  report.add(name, `throughput, ${clients} clients`, (clients * 200) / seconds, "runs a second");
}

async function streaming(report: Report, name: string, service: SystemProcess): Promise<void> {
  const address = await service.call<Address>("address");
  report.say(`${streams} streams at once, ${parts} parts each, one every ${pause} ms …`);
  const before = await service.call<{ heap: number; resident: number }>("watch");
  let whole = 0;
  const took = await Promise.all(
    Array.from({ length: streams }, async (_, number) => {
      const start = performance.now();
      const events = await post(address, "tell", `q${number}`).catch(() => "");
      const deltas = events.match(/^event: node-delta$/gm)?.length;
      const end = /^event: run\ndata: (.*)$/m.exec(events)?.[1];
      if (deltas === parts && end?.includes(`q${number} ${parts - 1}. `)) whole++;
      return performance.now() - start;
    }),
  );
  const watched = await service.call<{ p99: number; max: number; most: number; heap: number }>("watched");
  const group = `${streams.toLocaleString("en")} streams`;
  report.add(name, `${group}, lost`, streams - whole, "runs");
  report.add(name, `${group}, p50`, percentile(took, 0.5), "ms");
  report.add(name, `${group}, p99`, percentile(took, 0.99), "ms");
  report.add(name, `${group}, event-loop delay, p99`, watched.p99, "ms");
  report.add(name, `${group}, event-loop delay, most`, watched.max, "ms");
  report.add(name, `${group}, memory at most, above rest`, watched.most - before.resident, "MB");
  report.add(name, `${group}, heap kept after`, watched.heap - before.heap, "MB");
}
