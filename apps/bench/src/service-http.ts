import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, type RequestOptions, request } from "node:http";
import type { AddressInfo } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { flow, operator, text } from "@tessera/core";
import { Bm25Store, sparse } from "@tessera/retriever";
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

async function openTessera() {
  const store = new Bm25Store();
  const word = zipf(1);
  const sentence = () => Array.from({ length: 40 }, word).join(" ");
  await store.upsert(Array.from({ length: passages }, (_, i) => ({ id: `p${i}`, text: sentence(), metadata: {} })));
  const find = flow("find", { query: "text" }, (f, { query }) => ({
    hits: f.node("find", sparse({ store: "docs" }), { query }).hits,
  }));
  const tell = flow("tell", { query: "text" }, (f, { query }) => ({ text: f.node("tell", teller(), { query }).text }));
  return createTessera({ flows: { find, tell }, operators: [teller], resources: { store: { docs: store } } }).start();
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  let body = "";
  for await (const part of message.setEncoding("utf8")) body += part;
  return body;
}

export const systems = {
  /** The service in a process of its own: `POST /find` answers JSON, `POST /tell` streams server-sent events. */
  async service() {
    const tessera = await openTessera();
    const server = createServer(async (message, response) => {
      const input = JSON.parse(await bodyOf(message));
      if (message.url === "/find") {
        const { output } = await tessera.run("find", input);
        response.setHeader("content-type", "application/json").end(JSON.stringify(output));
        return;
      }
      response.setHeader("content-type", "text/event-stream");
      const stream = await tessera.stream("tell", input);
      await pipeline(async function* () {
        for await (const delta of stream.output) yield `event: delta\ndata: ${JSON.stringify(delta)}\n\n`;
        yield `event: end\ndata: ${JSON.stringify((await stream.result).output)}\n\n`;
      }, response).catch(() => {}); // the client went
    });
    server.listen({ port: 0, host: "127.0.0.1", backlog: 2 * streams });
    await once(server, "listening");
    process.once("disconnect", () => {
      server.close();
      server.closeAllConnections();
      void tessera.close();
    });
    const delay = monitorEventLoopDelay({ resolution: 1 });
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 100);
    watch.unref();
    return {
      port: () => (server.address() as AddressInfo).port,
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
  },
};

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

async function post(port: number, path: string, input: object): Promise<string> {
  const options: RequestOptions = { agent, host: "127.0.0.1", port, path, method: "POST" };
  const sent = request(options);
  sent.end(JSON.stringify(input));
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return bodyOf(response);
}

/** A plain Node service around flows, from another process: what HTTP and JSON cost, and 1,000 streams at once. */
export default async function http(report: Report): Promise<void> {
  const service = await SystemProcess.start(fileURLToPath(import.meta.url), "service");
  try {
    const port = await service.call<number>("port");
    const word = zipf(2);
    const queries = Array.from({ length: requests }, () => Array.from({ length: 4 }, word).join(" "));
    report.say(`${rounds} interleaved rounds of ${requests} requests …`);
    const times = await interleave(
      {
        "direct call": () => service.call<number[]>("direct", queries),
        "HTTP and JSON": async () => {
          const times: number[] = [];
          for (const query of queries) {
            const start = performance.now();
            const { hits } = JSON.parse(await post(port, "/find", { query }));
            if (hits.length === 0) throw new Error("no hits");
            times.push(performance.now() - start);
          }
          return times;
        },
      },
      rounds,
    );
    for (const [name, samples] of Object.entries(times)) {
      report.add(name, "p50", percentile(samples.flat(), 0.5), "ms");
      report.add(name, "p99", percentile(samples.flat(), 0.99), "ms");
    }
    const overhead = times["HTTP and JSON"]!.flatMap((samples, round) =>
      samples.map((sample, index) => sample - times["direct call"]![round]![index]!),
    );
    report.add("overhead", "p50", percentile(overhead, 0.5), "ms");

    report.say(`${clients} clients at once …`);
    const start = performance.now();
    await Promise.all(
      Array.from({ length: clients }, async () => {
        for (const query of queries.slice(0, 200)) await post(port, "/find", { query });
      }),
    );
    report.add(
      "HTTP and JSON",
      `throughput, ${clients} clients`,
      (clients * 200 * 1000) / (performance.now() - start),
      "runs a second",
    );

    report.say(`${streams} streams at once, ${parts} parts each, one every ${pause} ms …`);
    const before = await service.call<{ heap: number; resident: number }>("watch");
    let whole = 0;
    const took = await Promise.all(
      Array.from({ length: streams }, async (_, number) => {
        const start = performance.now();
        const events = await post(port, "/tell", { query: `q${number}` }).catch(() => "");
        const deltas = events.match(/^event: delta$/gm)?.length;
        const end = /^event: end\ndata: (.*)$/m.exec(events)?.[1];
        if (deltas === parts && end?.includes(`q${number} ${parts - 1}. `)) whole++;
        return performance.now() - start;
      }),
    );
    const watched = await service.call<{ p99: number; max: number; most: number; heap: number }>("watched");
    const name = `${streams.toLocaleString("en")} streams`;
    report.add(name, "lost", streams - whole, "runs");
    report.add(name, "p50", percentile(took, 0.5), "ms");
    report.add(name, "p99", percentile(took, 0.99), "ms");
    report.add(name, "of that, the answer itself", parts * pause, "ms");
    report.add(name, "event-loop delay, p99", watched.p99, "ms");
    report.add(name, "event-loop delay, most", watched.max, "ms");
    report.add(name, "memory at most, above rest", watched.most - before.resident, "MB");
    report.add(name, "heap kept after", watched.heap - before.heap, "MB");
  } finally {
    agent.destroy();
    await service.close();
  }
}
