import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import Fastify, { type FastifyInstance } from "fastify";
import { z } from "zod";
import { baselineCommit, baselineModule } from "./measure/baseline.js";
import { httpLoad, postRequest } from "./measure/http-load.js";
import { SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { interleave, percentile } from "./measure/rounds.js";

const clients = 32;
const rounds = Number(process.env.BENCH_ROUNDS ?? 9);
const requests = 3000; // a round
const manyLimits = { requestsPerMinute: 1_000_000_000, concurrency: 1000 };

interface Modules {
  readonly core: typeof import("@tessera/core");
  readonly server: typeof import("@tessera/server");
  readonly tessera: typeof import("@tessera/tessera");
}

const ours = async (): Promise<Modules> => ({
  core: await import("@tessera/core"),
  server: await import("@tessera/server"),
  tessera: await import("@tessera/tessera"),
});
const theirs = async (): Promise<Modules> => ({
  core: await import(baselineModule("packages/core")),
  server: await import(baselineModule("apps/server")),
  tessera: await import(baselineModule("packages/tessera")),
});

function echoOf({ core: { flow, operator, text } }: Modules) {
  const echo = operator({
    name: "bench.echo",
    version: 1,
    about: { module: "data", submodule: "bench", summary: "Says what it is given." },
    config: z.strictObject({}),
    ports: { input: { query: text }, output: { text } },
    setup:
      () =>
      ({ query }) => ({ text: query }),
  });
  const { document } = flow("echo", { query: "text" }, (f, input) => ({ text: f.node("echo", echo(), input).text }));
  return { flows: { echo: document }, operators: [echo] };
}

/** What a system did in a round. */
interface Round {
  /** Answers a second. */
  readonly rate: number;
  /** Microseconds of processor time of its process for each of them; other load on the machine counts little. */
  readonly processor: number;
}

interface Service {
  readonly port: number;
  readonly token: string;
  readonly pid: number;
}

const answering = (port: number, token: string, close: () => Promise<unknown>) => {
  process.once("disconnect", () => void close().finally(() => process.exit()));
  return {
    address: (): Service => ({ port, token, pid: process.pid }),
    close,
    /** Microseconds of processor time so far. */
    processor: () => {
      const { user, system } = process.cpuUsage();
      return user + system;
    },
  };
};

/** `serve()` as shipped: keys, limits, budgets, runs and records on a folder. */
async function serveFolder(modules: Modules) {
  const folder = await mkdtemp(join(tmpdir(), "tessera-bench-"));
  const keys = await modules.server.KeyRing.open(join(folder, "keys"));
  const { token } = await keys.create({ name: "bench", limits: manyLimits });
  const { server } = await modules.server.serve({ folder, ...echoOf(modules), port: 0 });
  return answeringOn(server, folder, token);
}

/** `createServer` in memory: the same without a folder. */
async function serveMemory(modules: Modules) {
  const { flows, operators } = echoOf(modules);
  const folder = await mkdtemp(join(tmpdir(), "tessera-bench-"));
  const keys = await modules.server.KeyRing.open(folder);
  const { token } = await keys.create({ name: "bench", limits: manyLimits });
  const tessera = await modules.tessera.createTessera({ flows, operators }).start();
  const server = modules.server.createServer({ tessera, keys, library: new modules.server.Library(tessera, flows) });
  await server.listen({ port: 0, host: "127.0.0.1" });
  return answeringOn(server, folder, token);
}

/** A server that listens; its folder goes with it. */
const answeringOn = (server: FastifyInstance, folder: string, token: string) =>
  answering((server.server.address() as AddressInfo).port, token, () =>
    server.close().finally(() => rm(folder, { recursive: true, force: true })),
  );

export const systems = {
  async "plain Fastify"() {
    const server = Fastify();
    server.post<{ Body: { input: { query: string } } }>("/flows/:name/runs", async ({ body }) => ({
      output: { text: body.input.query },
    }));
    await server.listen({ port: 0, host: "127.0.0.1" });
    return answering((server.server.address() as AddressInfo).port, "none", () => server.close());
  },
  "in memory": async () => serveMemory(await ours()),
  "on a folder": async () => serveFolder(await ours()),
  [`in memory, ${baselineCommit}`]: async () => serveMemory(await theirs()),
  [`on a folder, ${baselineCommit}`]: async () => serveFolder(await theirs()),
};

const loadOf = ({ port, token }: Service, count: number) => ({
  port,
  clients,
  requests: count,
  request: postRequest("/flows/echo/runs", JSON.stringify({ input: { query: "where are retries backed off?" } }), {
    authorization: `Bearer ${token}`,
  }),
  isRight: (status: number, body: string) => status === 200 && body.includes("retries backed off"),
});

/** What must hold: the ratio of two systems. */
const targets: [system: string, beside: string, least: number][] = [
  ["on a folder", `on a folder, ${baselineCommit}`, 15],
  ["on a folder", "plain Fastify", 0.2],
  ["in memory", "plain Fastify", 0.5],
];

/** `serve()` as shipped beside plain Fastify and the same of an earlier commit: an echo flow, 32 clients, interleaved. */
export default async function shipped(report: Report): Promise<void> {
  const running: Record<string, SystemProcess> = {};
  try {
    for (const name of Object.keys(systems)) {
      report.say(`starting ${name}`);
      try {
        running[name] = await SystemProcess.start(fileURLToPath(import.meta.url), name);
      } catch (error) {
        report.miss(name, (error as Error).message);
      }
    }
    await throughput(report, running);
    for (const name of ["on a folder", `on a folder, ${baselineCommit}`])
      if (running[name]) await calls(report, name, await running[name].call<Service>("address"));
  } finally {
    for (const system of Object.values(running)) await system.close();
  }
}

async function throughput(report: Report, running: Readonly<Record<string, SystemProcess>>): Promise<void> {
  const measured: Record<string, () => Promise<Round>> = {};
  for (const [name, system] of Object.entries(running)) {
    const service = await system.call<Service>("address");
    const count = name === `on a folder, ${baselineCommit}` ? requests / 15 : requests;
    await httpLoad(loadOf(service, count)); // warm
    measured[name] = async () => {
      const before = await system.call<number>("processor");
      const rate = await httpLoad(loadOf(service, count));
      return { rate, processor: ((await system.call<number>("processor")) - before) / count };
    };
  }
  report.say(`${rounds} interleaved rounds, ${clients} clients …`);
  const figures = await interleave(measured, rounds);
  const medianOf = (name: string, figure: keyof Round) =>
    percentile(
      figures[name]!.map((round) => round[figure]),
      0.5,
    );
  for (const name of Object.keys(figures)) {
    report.add(name, `throughput, ${clients} clients`, medianOf(name, "rate"), "runs a second");
    report.add(name, "processor time a request", medianOf(name, "processor"), "µs");
  }
  for (const [system, beside, least] of targets) {
    const [own, other] = [figures[system], figures[beside]];
    if (!own || !other) continue;
    const ratios = own.map(({ rate }, round) => rate / other[round]!.rate);
    const processor = other.map((round, index) => round.processor / own[index]!.processor);
    const metric = `times ${beside} (at least ${least})`;
    report.add(system, metric, percentile(ratios, 0.5), "×");
    report.add(system, `${metric}, 90 % of rounds from`, percentile(ratios, 0.05), "×");
    report.add(system, `${metric}, 90 % of rounds to`, percentile(ratios, 0.95), "×");
    report.add(system, `times ${beside} by processor time`, percentile(processor, 0.5), "×");
    if (percentile(ratios, 0.5) < least) report.say(`LOSES: ${system}: ${metric}`);
  }
}

const traced = 960; // requests

/** Files that are opened, and syncs, for each run: by strace. */
async function calls(report: Report, name: string, service: Service): Promise<void> {
  if (spawnSync("strace", ["-V"]).status !== 0) return report.miss(`${name}, calls`, "strace is not installed");
  const strace = spawn("strace", ["-f", "-c", "-e", "trace=openat,open,fsync,fdatasync", "-p", String(service.pid)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  strace.stderr.on("data", (part) => {
    said += part;
  });
  while (!said.includes("attached") && strace.exitCode === null) await sleep(20);
  await sleep(200);
  await httpLoad(loadOf(service, traced));
  strace.kill("SIGINT");
  await once(strace, "close");
  const count = (...names: string[]) =>
    names.reduce((sum, call) => {
      const row = said.split("\n").find((line) => line.trim().endsWith(` ${call}`));
      return sum + Number(row?.trim().split(/\s+/)[3] ?? 0);
    }, 0);
  report.add(name, "files opened a run (at most 1)", count("open", "openat") / traced, "");
  report.add(name, "syncs a run (at most 1)", count("fsync", "fdatasync") / traced, "");
}
