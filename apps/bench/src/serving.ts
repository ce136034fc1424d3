import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Encoder } from "@tessera/core";
import { cpuEngine, findModel, openEncoderService } from "@tessera/models";
import { openaiRoutes } from "@tessera/server/openai";
import fastify from "fastify";
import { type LoopDelay, watchLoop } from "./measure/loop-delay.js";
import { SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { interleave, percentile } from "./measure/rounds.js";
import { zipf } from "./measure/words.js";

const callers = 64;
const requests = 640; // a round, of all callers together
const rounds = 5;
const words = 8; // of a text

/** How long each of some calls took, and all of them together, in milliseconds. */
interface Load {
  readonly times: number[];
  readonly took: number;
}

/** Callers who ask again as soon as they have their answer. */
async function load(
  texts: readonly string[],
  at: number,
  ask: (text: string, caller: number) => Promise<unknown>,
): Promise<Load> {
  const times: number[] = [];
  let next = 0;
  const began = performance.now();
  const caller = async (number: number): Promise<void> => {
    while (next < texts.length) {
      const text = texts[next++]!;
      const start = performance.now();
      await ask(text, number);
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: at }, (_, number) => caller(number)));
  return { times, took: performance.now() - began };
}

export const systems = {
  /** The trained encoder on the CPU engine behind `/v1/embeddings`, with batches across callers and without. */
  async service() {
    const folder = await findModel("code-encoder");
    const open = (mix: boolean) => openEncoderService(folder, { engine: cpuEngine({ workers: 2 }), mix });
    const services = { mixed: await open(true), alone: await open(false) };
    const app = fastify();
    await app.register(openaiRoutes, { encoders: services });
    await app.listen({ port: 0, host: "127.0.0.1" });
    process.once("disconnect", async () => {
      await app.close();
      await Promise.all([services.mixed.close(), services.alone.close()]);
    });
    let watching = watchLoop();
    return {
      port: () => (app.server.address() as AddressInfo).port,
      direct({ model, texts, at }: { model: keyof typeof services; texts: string[]; at: number }): Promise<Load> {
        const encoders: Encoder[] = Array.from({ length: at }, (_, caller) => services[model].as(`${caller}`));
        return load(texts, at, (text, caller) => encoders[caller]!.encode([text], { kind: "query" }));
      },
      watch(): void {
        watching();
        watching = watchLoop();
      },
      watched: (): LoopDelay => watching(),
    };
  },
};

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

async function embed(port: number, model: string, input: string): Promise<void> {
  const options = { agent, host: "127.0.0.1", port, path: "/v1/embeddings", method: "POST" };
  const sent = request({ ...options, headers: { "content-type": "application/json" } });
  sent.end(JSON.stringify({ model, input, kind: "query", encoding_format: "base64" }));
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  response.resume();
  await once(response, "end");
  if (response.statusCode !== 200) throw new Error(`the service answered ${response.statusCode}`);
}

function addLoads(report: Report, many: Record<string, Load[]>): void {
  for (const [name, results] of Object.entries(many)) {
    const times = results.flatMap(({ times }) => times);
    report.add(
      name,
      "throughput, 64 callers",
      percentile(
        results.map(({ took }) => (requests / took) * 1000),
        0.5,
      ),
      "requests a second",
    );
    report.add(name, "p50, 64 callers", percentile(times, 0.5), "ms");
    report.add(name, "p99, 64 callers", percentile(times, 0.99), "ms");
  }
}

function addDelays(report: Report, delays: Record<string, LoopDelay[]>): void {
  for (const [name, rounds] of Object.entries(delays)) {
    const median = (of: keyof LoopDelay): number =>
      percentile(
        rounds.map((delay) => delay[of]),
        0.5,
      );
    report.add(name, "event-loop delay, p99", median("p99"), "ms");
    report.add(name, "the same without waiting for a processor", median("own"), "ms");
    report.add(name, "event-loop delay, most", median("most"), "ms");
    report.add(name, "share of time waiting for a processor", median("waiting"), "");
  }
}

/** The encoder as a service: 64 callers at once with batches across them and without, and what HTTP adds. */
export default async function serving(report: Report): Promise<void> {
  const service = await SystemProcess.start(fileURLToPath(import.meta.url), "service");
  try {
    const port = await service.call<number>("port");
    const word = zipf(3);
    const texts = (count: number) => Array.from({ length: count }, () => Array.from({ length: words }, word).join(" "));
    const direct = (model: string, count: number, at: number) => () =>
      service.call<Load>("direct", { model, texts: texts(count), at });
    const http = (model: string, count: number, at: number) => () =>
      load(texts(count), at, (text) => embed(port, model, text));
    await http("mixed", 64, 8)();
    await http("alone", 64, 8)();

    report.say(`${callers} callers, ${rounds} interleaved rounds of ${requests} requests …`);
    const delays: Record<string, LoopDelay[]> = {};
    /** Watches the server's event loop while something is going on. */
    const watched =
      <T>(what: string, work: () => Promise<T>) =>
      async (): Promise<T> => {
        await service.call("watch");
        const result = await work();
        delays[what] = [...(delays[what] ?? []), await service.call<LoopDelay>("watched")];
        return result;
      };
    const idle = watched("idle", () => sleep(1000));
    const many = await interleave(
      {
        "across callers": direct("mixed", requests, callers),
        "each call alone": direct("alone", requests, callers),
        "across callers, HTTP": async () => {
          // beside the load, so that other programs are the same for both
          await idle();
          return watched("across callers, HTTP", http("mixed", requests, callers))();
        },
        "each call alone, HTTP": watched("each call alone, HTTP", http("alone", requests, callers)),
      },
      rounds,
    );
    addLoads(report, many);
    addDelays(report, delays);

    report.say("one caller …");
    const one = await interleave({ direct: direct("mixed", 100, 1), http: http("mixed", 100, 1) }, rounds);
    const medians = Object.fromEntries(
      Object.entries(one).map(([name, results]) => [
        name,
        percentile(
          results.flatMap(({ times }) => times),
          0.5,
        ),
      ]),
    );
    report.add("across callers", "p50, one caller", medians.direct!, "ms");
    report.add("across callers, HTTP", "p50, one caller", medians.http!, "ms");
    report.add("across callers, HTTP", "overhead of HTTP, p50", medians.http! - medians.direct!, "ms");
  } finally {
    agent.destroy();
    await service.close();
  }
}
