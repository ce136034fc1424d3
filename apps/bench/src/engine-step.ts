import { fileURLToPath } from "node:url";
import { EventEmitter } from "eventemitter3";
import { z } from "zod";
import { expect } from "./engine-systems/measured.js";
import { baselineCommit, baselineModule } from "./measure/baseline.js";
import { SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { interleave, medianInterval, percentile, processorMilliseconds } from "./measure/rounds.js";

const steps = 10;
const processes = 5; // of each system: code is compiled differently in each
const rounds = 15; // in each process
const runs = 5000; // a round
const most = 1.05; // what the ratio's interval must end below

interface Modules {
  readonly core: typeof import("@tessera/core");
  readonly graph: typeof import("@tessera/graph");
}

const ours = async (): Promise<Modules> => ({
  core: await import("@tessera/core"),
  graph: await import("@tessera/graph"),
});
const theirs = async (): Promise<Modules> => ({
  core: await import(baselineModule("packages/core")),
  graph: await import(baselineModule("packages/graph")),
});

/** A line of steps that do nothing; watched: with a listener of every event, and every value validated. */
async function lineOf({ core: { flow, number, operator }, graph: { compile } }: Modules, watched: boolean) {
  const step = operator({
    name: "bench.step",
    version: 1,
    about: { module: "data", submodule: "bench", summary: "Does nothing." },
    config: z.strictObject({}),
    ports: { input: { x: number }, output: { x: number } },
    setup:
      () =>
      async ({ x }) => ({ x: x + 1 }),
  });
  const { document } = flow("line", { x: "number" }, (f, input) => {
    let { x } = input;
    for (let i = 0; i < steps; i++) x = f.node(`n${i}`, step(), { x }).x;
    return { x };
  });
  const line = await compile(document, { operators: [step] as never, validate: watched });
  const events: import("@tessera/graph").FlowEvents | undefined = watched ? new EventEmitter() : undefined;
  let heard = 0;
  events?.on("event", () => heard++);
  const options = { events };
  expect((await line.run({ x: 0 }, options)).output, { x: steps });
  expect(heard, watched ? 2 * steps + 2 : 0);
  const round = () =>
    processorMilliseconds(async () => {
      for (let i = 0; i < runs; i++) await line.run({ x: 0 }, options);
    });
  for (let i = 0; i < 3; i++) await round();
  return {
    /** Microseconds of processor time a step. */
    step: async () => ((await round()) * 1000) / (runs * steps),
  };
}

export const systems = {
  bare: async () => lineOf(await ours(), false),
  [`bare, ${baselineCommit}`]: async () => lineOf(await theirs(), false),
  "events and validation": async () => lineOf(await ours(), true),
  [`events and validation, ${baselineCommit}`]: async () => lineOf(await theirs(), true),
};

/** What a step costs beside an earlier commit: in interleaved rounds, in several processes of each, by processor time. */
export default async function step(report: Report): Promise<void> {
  const figures: Record<string, number[]> = Object.fromEntries(Object.keys(systems).map((name) => [name, []]));
  for (let i = 0; i < processes; i++) {
    report.say(`a step beside ${baselineCommit}: processes ${i + 1} of ${processes} …`);
    for (const [name, samples] of Object.entries(await measured())) figures[name]!.push(...samples);
  }
  for (const [name, samples] of Object.entries(figures))
    report.add(name, "a step, processor time", percentile(samples, 0.5), "µs");
  for (const name of ["bare", "events and validation"]) {
    const before = figures[`${name}, ${baselineCommit}`]!;
    const ratios = figures[name]!.map((sample, round) => sample / before[round]!);
    const [from, to] = medianInterval(ratios);
    report.add(name, `times ${baselineCommit} (interval ends below ${most})`, percentile(ratios, 0.5), "×");
    report.add(name, "the interval of 95 % from", from, "×");
    report.add(name, "the interval of 95 % to", to, "×");
    if (to >= most) report.say(`LOSES: ${name}: a step costs up to ${to.toFixed(3)} times ${baselineCommit}'s`);
  }
}

async function measured(): Promise<Record<string, number[]>> {
  const running: Record<string, SystemProcess> = {};
  try {
    for (const name of Object.keys(systems))
      running[name] = await SystemProcess.start(fileURLToPath(import.meta.url), name);
    const calls = Object.fromEntries(
      Object.entries(running).map(([name, system]) => [name, () => system.call<number>("step")]),
    );
    return await interleave(calls, rounds);
  } finally {
    for (const system of Object.values(running)) await system.close();
  }
}
