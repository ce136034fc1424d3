import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { connectSteadily, DurableRuns, ingest, ingestFlow, postgresRecords } from "@tessera/durable";
import { LocalFolder } from "@tessera/indexer";
import { HashEncoder } from "@tessera/models";
import { PostgresStore } from "@tessera/stores";
import { createTessera } from "@tessera/tessera";
import { SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { medianInterval, percentile } from "./measure/rounds.js";

const rounds = Number(process.env.TESSERA_ROUNDS ?? 7);
const most = Number(process.env.TESSERA_FILES ?? 400);
const url = process.env.DATABASE_URL;
const corpus = process.env.TESSERA_CORPUS ?? fileURLToPath(new URL("../../../packages/", import.meta.url));
const filesPerRun = 16;

/** The files of the corpus: the same ones in every process. */
async function filesOf(folder: LocalFolder) {
  const { files } = await folder.list({ maximumBytes: 1 << 20, exclude: ["node_modules/", "dist/"] });
  const sources = files.filter((path) => /\/src\/.*\.ts$/.test(path)).slice(0, most);
  return sources.map((path) => ({ path, hash: path }));
}

async function opened(name: string) {
  const folder = await LocalFolder.open(corpus);
  const hash = new HashEncoder();
  const stores = {
    sparse: await PostgresStore.open({ database: url!, name: `${name}_sparse` }),
    dense: await PostgresStore.open({
      ...{ database: url!, name: `${name}_dense`, space: hash.space({}), width: hash.width },
    }),
  };
  const resources = { store: stores, encoder: { encoder: hash }, folder: { source: folder } };
  return { folder, stores, resources };
}

/** Processor time since it was asked for last, in milliseconds. */
function clock() {
  let before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    before = process.cpuUsage();
    return (user + system) / 1000;
  };
}

async function durable(name: string, concurrency: number) {
  process.noDeprecation = true; // DBOS 5.3 uses pg in a way that pg 9 will refuse, and pg says so
  const { folder, stores, resources } = await opened(name);
  const connection = await connectSteadily(url!);
  const records = await postgresRecords(connection);
  const runner = createTessera({ flows: { ingest: ingestFlow }, resources, records });
  const runs = await DurableRuns.open({ url: url!, connection, records, runner, queue: name, concurrency });
  return { folder, stores, connection, runs };
}

export const systems = {
  "one process": async () => ({
    /** Indexes by the same flow into the same kind of stores, without a queue and without records. */
    async index(name: string) {
      const { folder, resources } = await opened(name);
      const tessera = await createTessera({ flows: { ingest: ingestFlow }, resources }).start();
      const files = await filesOf(folder);
      const spent = clock();
      const parts = Array.from({ length: Math.ceil(files.length / filesPerRun) }, (_, at) =>
        files.slice(at * filesPerRun, (at + 1) * filesPerRun).map(({ path }) => path),
      );
      const lane = async () => {
        for (let paths = parts.pop(); paths; paths = parts.pop()) await tessera.run("ingest", { paths });
      };
      await Promise.all([lane(), lane()]);
      return { ms: spent(), files: files.length };
    },
  }),
  worker: async () => {
    let spent: () => number = () => 0;
    return {
      async join(name: string) {
        await durable(name, 2);
        spent = clock();
      },
      spent: () => spent(),
    };
  },
  "hands in": async () => ({
    async index(name: string) {
      const { folder, stores, connection, runs } = await durable(name, 0);
      const files = await filesOf(folder);
      const spent = clock();
      const began = performance.now();
      await ingest({ runs, connection, name, files, stores: Object.values(stores), filesPerRun });
      return { ms: spent(), files: files.length, took: performance.now() - began };
    },
  }),
};

const module = fileURLToPath(import.meta.url);

/** Processor time a file: of one process without a queue, and of all processes of an ingestion by so many workers. */
export default async function ingestion(report: Report): Promise<void> {
  if (!url) return report.miss("all", "set DATABASE_URL to a server with pgvector");
  const figures: Record<string, number[]> = { "one process": [], "1 worker": [], "2 workers": [], "4 workers": [] };
  for (let round = 0; round < rounds; round++) {
    report.say(`round ${round + 1} of ${rounds} …`);
    figures["one process"]!.push(await alone());
    for (const workers of [1, 2, 4])
      figures[workers === 1 ? "1 worker" : `${workers} workers`]!.push(await by(workers));
  }
  for (const [name, samples] of Object.entries(figures)) {
    report.add(name, "a file, processor time", percentile(samples, 0.5), "ms");
    if (name === "one process") continue;
    const ratios = samples.map((value, round) => value / figures["one process"]![round]!);
    const [low, high] = medianInterval(ratios);
    report.add(name, "times one process", percentile(ratios, 0.5), "×");
    report.add(name, "times one process, from", low, "×");
    report.add(name, "times one process, to", high, "×");
  }
}

const nameOf = () => `bench_${randomUUID().slice(0, 8)}`;

async function alone(): Promise<number> {
  const one = await SystemProcess.start(module, "one process");
  const { ms, files } = await one.call<{ ms: number; files: number }>("index", nameOf());
  await one.close();
  return ms / files;
}

async function by(count: number): Promise<number> {
  const name = nameOf();
  const workers: SystemProcess[] = [];
  for (let i = 0; i < count; i++) {
    workers.push(await SystemProcess.start(module, "worker"));
    await workers.at(-1)!.call("join", name);
  }
  const head = await SystemProcess.start(module, "hands in");
  const { ms, files } = await head.call<{ ms: number; files: number }>("index", name);
  let all = ms;
  for (const worker of workers) all += await worker.call<number>("spent");
  for (const one of [head, ...workers]) await one.close();
  return all / files;
}
