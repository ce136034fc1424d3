// a worker, as a process of its own: node worker.fixture.ts <url> <milliseconds a step>
import { flow, operator, text } from "@tessera/core";
import { type CompiledFlow, compile } from "@tessera/graph";
import { z } from "zod";
import { connectSteadily } from "./connection.js";
import { postgresRecords } from "./records.js";
import { DurableRuns } from "./runs.js";

/** A flow with a step, an `each`, a `repeat` and a nested flow; every step notes in a table that it ended. */
export const everyKind = (note: (path: string, value: string) => Promise<void>, ms: number) => {
  const about = { module: "data", submodule: "test" } as const;
  const slow = operator({
    name: "test.slow",
    version: 1,
    about: { ...about, summary: "Takes its time." },
    config: z.strictObject({ add: z.string() }),
    ports: { input: { value: text }, output: { value: text } },
    effects: "write",
    setup:
      ({ add }) =>
      async ({ value }, { path, random }) => {
        await new Promise((resolve) => setTimeout(resolve, ms));
        if (value === "poison") process.kill(process.pid, "SIGKILL");
        await note(path, value);
        return { value: `${value}${add}${Math.floor(random() * 10)}` };
      },
  });
  const join = operator({
    name: "test.join",
    version: 1,
    about: { ...about, summary: "Joins." },
    config: z.strictObject({}),
    ports: { input: { values: z.array(text) }, output: { value: text } },
    setup:
      () =>
      ({ values }) => ({ value: values.join("") }),
  });
  const inner = flow("inner", { value: "text" }, (f, input) => {
    const a = f.node("a", slow({ add: "a" }), input);
    return { value: f.node("b", slow({ add: "b" }), { value: a.value }).value };
  });
  const { document } = flow("every", { value: "text", values: { list: "text" } }, (f, { value, values }) => {
    const step = f.node("step", slow({ add: "s" }), { value });
    const each = f.each("each", slow({ add: "e" }), { over: "value", max: 9, concurrency: 2 }, { value: values });
    const repeat = f.repeat("repeat", slow({ add: "r" }), { carry: { value: "value" }, max: 3 }, { value: step.value });
    const nested = f.node("nested", inner, { value: step.value });
    const elements = f.node("elements", join(), { values: each.value });
    return { value: f.node("end", join(), { values: [elements.value, repeat.value, nested.value] }).value };
  });
  const one = flow("one", { value: "text" }, (f, { value }) => ({
    value: f.node("step", slow({ add: "s" }), { value }).value,
  }));
  return { document, one: one.document, operators: [slow, join] };
};

export const input = { value: "v", values: ["1", "2", "3", "4"] };

/** This process's part in the runs; with a concurrency of 0 it hands in and asks. */
export async function openWorker(url: string, ms: number, concurrency: number): Promise<DurableRuns> {
  const connection = await connectSteadily(url);
  const records = await postgresRecords(connection);
  const { document, one, operators } = everyKind(async (path, value) => {
    await connection.query("INSERT INTO ran (path, value) VALUES ($1, $2)", [path, value]);
  }, ms);
  const flows: Record<string, CompiledFlow> = {
    every: await compile(document, { operators, records }),
    one: await compile(one, { operators, records }),
  };
  return DurableRuns.open({
    url,
    connection,
    records,
    flow: async (name) => flows[name]!,
    concurrency,
    leaseMs: 1500,
    pollMs: 100,
    attempts: 1,
  });
}

if (process.argv[2] === "work") {
  const runs = await openWorker(process.argv[3]!, Number(process.argv[4]), 8);
  process.once("SIGTERM", () => void runs.close(100).then(() => process.exit(0)));
}
