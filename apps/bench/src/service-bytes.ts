import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { flow, operator, text } from "@tessera/core";
import { KeyRing, serve } from "@tessera/server";
import { z } from "zod";
import { httpLoad, postRequest } from "./measure/http-load.js";
import { memory, SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";

const counted = operator({
  name: "bench.count",
  version: 1,
  about: { module: "data", submodule: "bench", summary: "Says how long its input is." },
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { text } },
  setup:
    () =>
    ({ query }) => ({ text: `${query.length} characters` }),
});
const { document } = flow("count", { query: "text" }, (f, input) => ({ text: f.node("n", counted(), input).text }));

/** Bytes of the files in a folder and below. */
async function bytesIn(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sizes = await Promise.all(files.map((file) => stat(file).then(({ size }) => size)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

export const systems = {
  /** `serve()` as shipped, with the retention that it has by default. */
  async "on a folder"() {
    const folder = await mkdtemp(join(tmpdir(), "tessera-bench-"));
    const keys = await KeyRing.open(join(folder, "keys"));
    const limits = { requestsPerMinute: 1_000_000_000, concurrency: 1000 };
    const { token } = await keys.create({ name: "bench", limits });
    const { server } = await serve({ folder, flows: { count: document }, operators: [counted], port: 0 });
    const end = () => server.close().finally(() => rm(folder, { recursive: true, force: true }));
    process.once("disconnect", () => void end().finally(() => process.exit()));
    return {
      address: () => ({ port: (server.server.address() as AddressInfo).port, token }),
      memory,
      disk: () => bytesIn(join(folder, "log")),
      processor: () => {
        const { user, system } = process.cpuUsage();
        return user + system;
      },
    };
  },
};

const loads = [
  { name: "10,000 runs with 10 kB", runs: 10_000, bytes: 10_000, clients: 32 },
  { name: "500 runs with 1 MB", runs: 500, bytes: 1_000_000, clients: 4 },
];

/** What many runs with long inputs leave in memory and on disk, and how long they take. Each input is another one. */
export default async function bytes(report: Report): Promise<void> {
  for (const { name, runs, bytes, clients } of loads) {
    const system = await SystemProcess.start(fileURLToPath(import.meta.url), "on a folder");
    try {
      const { port, token } = await system.call<{ port: number; token: string }>("address");
      const before = await system.call<{ heap: number }>("memory");
      const processor = await system.call<number>("processor");
      let number = 0;
      const request = () => {
        const query = String(number++).padEnd(bytes, "x");
        const authorization = `Bearer ${token}`;
        return postRequest("/flows/count/runs", JSON.stringify({ input: { query } }), { authorization });
      };
      const isRight = (status: number, body: string) => status === 200 && body.includes(`"${bytes} characters"`);
      report.say(`${name} …`);
      const rate = await httpLoad({ port, clients, requests: runs, request, isRight });
      report.add(name, "time", runs / rate, "s");
      report.add(name, "processor time a run", ((await system.call<number>("processor")) - processor) / runs, "µs");
      const after = await system.call<{ heap: number }>("memory");
      report.add(name, "heap kept after", after.heap - before.heap, "MB");
      report.add(name, "log on disk", (await system.call<number>("disk")) / 1e6, "MB");
    } finally {
      await system.close();
    }
  }
}
