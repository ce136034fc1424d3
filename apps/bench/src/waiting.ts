import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type AnyOperator, flow, number, operator, type Records, waitFor } from "@tessera/core";
import { connectSteadily, postgresRecords } from "@tessera/durable";
import { compile, diskRecords } from "@tessera/graph";
import { createTessera } from "@tessera/tessera";
import { z } from "zod";
import { expect } from "./engine-systems/measured.js";
import { peer } from "./measure/peers.js";
import { memory, SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { interleave, medianInterval, milliseconds, percentile } from "./measure/rounds.js";

const rounds = Number(process.env.TESSERA_ROUNDS ?? 21);
const runs = 20; // a round
const waiting = Number(process.env.TESSERA_WAITING ?? 100_000);
const database = process.env.DATABASE_URL;

const about = { module: "data", submodule: "bench", summary: "For a measurement." } as const;
const port = { input: { x: number }, output: { x: number } };
const add = operator({
  name: "bench.add",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: port,
  setup:
    () =>
    async ({ x }) => ({ x: x + 1 }),
});
const ask = operator({
  name: "bench.ask",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: port,
  effects: "write",
  waits: () => ({}),
  setup:
    () =>
    async ({ x }) =>
      waitFor({ payload: x, answer: "number", port: "x" }),
});

/** A step, a question to a person, and a step. */
const approval = flow("approval", { x: "number" }, (f, input) => {
  const before = f.node("before", add(), input);
  const asked = f.node("ask", ask(), { x: before.x });
  return { x: f.node("after", add(), { x: asked.x }).x };
});

/** What can suspend a run and resume it. */
interface Suspending {
  /** The milliseconds of each of some runs: until it waits, and from its answer to its end. */
  round(): Promise<{ suspend: number[]; resume: number[] }>;
}

function measured(suspend: (id: string) => Promise<void>, resume: (id: string) => Promise<number>): Suspending {
  const one = async () => {
    const id = randomUUID();
    const suspended = await milliseconds(() => suspend(id));
    const resumed = await milliseconds(async () => expect(await resume(id), 11));
    return { suspended, resumed };
  };
  const round = async (count: number) => {
    const times = [];
    for (let i = 0; i < count; i++) times.push(await one());
    return { suspend: times.map(({ suspended }) => suspended), resume: times.map(({ resumed }) => resumed) };
  };
  let warm: Promise<unknown> | undefined;
  return {
    async round() {
      warm ??= round(runs);
      await warm;
      return round(runs);
    },
  };
}

async function ours(records: Records): Promise<Suspending> {
  const ready = await compile(approval.document, { operators: [add, ask] as unknown as AnyOperator[], records });
  return measured(
    async (id) => expect((await ready.run({ x: 0 }, { id })).status, "waiting"),
    async (id) => {
      await ready.answer(id, { path: "approval/ask", value: 10 });
      return (await ready.resume(id)).output.x as number;
    },
  );
}

interface Checkpointer {
  setup(): Promise<void> | void;
  readonly db?: { pragma(name: string, options: { simple: true }): unknown };
}

/** The same graph in LangGraph.js: a node, one that interrupts, and a node, with every checkpoint committed before the next step. */
async function theirs(checkpointer: Checkpointer): Promise<Suspending> {
  const { Annotation, Command, END, interrupt, START, StateGraph } =
    // biome-ignore lint/suspicious/noExplicitAny: a package that is no dependency
    await peer<any>("@langchain/langgraph");
  const State = Annotation.Root({ x: Annotation() });
  const step = async ({ x }: { x: number }) => ({ x: x + 1 });
  const graph = new StateGraph(State)
    .addNode("before", step)
    .addNode("ask", async ({ x }: { x: number }) => ({ x: interrupt(x) }))
    .addNode("after", step)
    .addEdge(START, "before")
    .addEdge("before", "ask")
    .addEdge("ask", "after")
    .addEdge("after", END)
    .compile({ checkpointer });
  const config = (id: string) => ({ configurable: { thread_id: id }, durability: "sync" });
  return measured(
    async (id) => expect("__interrupt__" in (await graph.invoke({ x: 0 }, config(id))), true),
    async (id) => (await graph.invoke(new Command({ resume: 10 }), config(id))).x,
  );
}

const folderOf = (name: string): string => {
  const folder = mkdtempSync(join(tmpdir(), `tessera-bench-${name}-`));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

/** Opens records with runs that wait, as a service does at its start. */
async function opened(records: Records): Promise<{ ms: number; heap: number; count: number }> {
  const flows = { approval };
  const before = memory().heap;
  let tessera!: ReturnType<typeof createTessera<typeof flows>>;
  let next: unknown;
  const ms = await milliseconds(async () => {
    tessera = createTessera({ flows, records });
    await tessera.start();
    next = await records.waits!.next();
    await records.waits!.list({ limit: 1 });
  });
  expect(next, undefined);
  const held = memory().heap - before;
  return { ms, heap: held * 1e6, count: (await tessera.waiting({ limit: 5 })).length };
}

/** Makes runs wait, many at a time. */
async function fill(records: Records, count: number): Promise<void> {
  const ready = await compile(approval.document, { operators: [add, ask] as unknown as AnyOperator[], records });
  let next = 0;
  const lane = async () => {
    while (next++ < count) await ready.run({ x: next }, { id: randomUUID() });
  };
  await Promise.all(Array.from({ length: 200 }, lane));
}

const databaseRecords = async (): Promise<Records> => postgresRecords(await connectSteadily(database!));

export const systems = {
  "tessera, disk": async () => ours(diskRecords(folderOf("ours"))),
  "tessera, PostgreSQL": async () => ours(await databaseRecords()),
  "LangGraph.js, SQLite": async () => {
    // biome-ignore lint/suspicious/noExplicitAny: packages that are no dependencies
    const { SqliteSaver } = await peer<any>("@langchain/langgraph-checkpoint-sqlite");
    // the driver of its own dependency is compiled on install; this is the next release of the same one
    // biome-ignore lint/suspicious/noExplicitAny: packages that are no dependencies
    const { default: Database } = await peer<any>("better-sqlite3");
    const saver: Checkpointer = new SqliteSaver(new Database(join(folderOf("theirs"), "checkpoints.db")));
    const suspending = await theirs(saver);
    await suspending.round();
    // its own setting with a log ahead is NORMAL, which syncs no commit; 2 is FULL, as ours and PostgreSQL's
    saver.db?.pragma("synchronous = FULL", { simple: true });
    expect(saver.db?.pragma("synchronous", { simple: true }), 2);
    return suspending;
  },
  "LangGraph.js, PostgreSQL": async () => {
    const { PostgresSaver } = await peer<{
      PostgresSaver: { fromConnString(url: string, options: object): Checkpointer };
    }>("@langchain/langgraph-checkpoint-postgres");
    const saver = PostgresSaver.fromConnString(database!, { schema: "langgraph" });
    await saver.setup();
    return theirs(saver);
  },
  "many, disk": async () => ({
    fill: async (folder: string) => {
      const records = diskRecords(folder);
      await fill(records, waiting);
      await records.close?.();
    },
    open: async (folder: string) => opened(diskRecords(folder)),
  }),
  "many, PostgreSQL": async () => ({
    fill: async () => fill(await databaseRecords(), waiting),
    open: async () => opened(await databaseRecords()),
  }),
};

const module = fileURLToPath(import.meta.url);

/** Runs that wait, beside LangGraph.js: suspended and resumed, and many of them over a restart. */
export default async function run(report: Report): Promise<void> {
  await beside(report.part("suspend and resume"));
  await many(report.part(`${waiting} runs that wait, after a restart`));
}

async function beside(report: Report): Promise<void> {
  const pairs = [["tessera, disk", "LangGraph.js, SQLite"] as const];
  if (database) pairs.push(["tessera, PostgreSQL", "LangGraph.js, PostgreSQL"] as never);
  else report.miss("PostgreSQL", "set DATABASE_URL to a server whose fsync and synchronous_commit are on");
  for (const [own, other] of pairs) {
    const processes: SystemProcess[] = [];
    try {
      for (const name of [own, other]) processes.push(await SystemProcess.start(module, name));
      const [a, b] = processes as [SystemProcess, SystemProcess];
      type Round = { suspend: number[]; resume: number[] };
      const results = await interleave(
        { [own]: () => a.call<Round>("round"), [other]: () => b.call<Round>("round") },
        rounds,
      );
      for (const kind of ["suspend", "resume"] as const) {
        const [mine, rival] = [own, other].map((name) => results[name]!.map((round) => percentile(round[kind], 0.5)));
        report.add(own, `${kind}, p50`, percentile(mine!, 0.5), "ms");
        report.add(other, `${kind}, p50`, percentile(rival!, 0.5), "ms");
        const ratios = mine!.map((value, round) => value / rival![round]!);
        const [low, high] = medianInterval(ratios);
        report.add(own, `${kind}, times ${other}`, percentile(ratios, 0.5), "×");
        report.add(own, `${kind}, times ${other}, from`, low, "×");
        report.add(own, `${kind}, times ${other}, to`, high, "×");
      }
    } catch (error) {
      report.miss(`${own} beside ${other}`, (error as Error).message);
    } finally {
      for (const one of processes) await one.close();
    }
  }
}

async function many(report: Report): Promise<void> {
  for (const name of ["many, disk", ...(database ? ["many, PostgreSQL"] : [])]) {
    const folder = mkdtempSync(join(tmpdir(), "tessera-bench-many-"));
    const inProcess = async <T>(method: string): Promise<T> => {
      const one = await SystemProcess.start(module, name);
      try {
        return await one.call<T>(method, folder);
      } finally {
        await one.close();
      }
    };
    try {
      type Opened = { ms: number; heap: number; count: number };
      const none = await inProcess<Opened>("open");
      report.say(`${name}: ${waiting} runs begin to wait …`);
      await inProcess("fill");
      const all = await inProcess<Opened>("open");
      expect(all.count > 0, true);
      report.add(name, "ready", all.ms / 1000, "s");
      report.add(name, "heap of a waiting run", (all.heap - none.heap) / waiting, "B");
    } catch (error) {
      report.miss(name, (error as Error).message);
    } finally {
      if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
    }
  }
}
