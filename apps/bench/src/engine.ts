import step from "./engine-step.js";
import { SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";
import { interleave, percentile } from "./measure/rounds.js";

/** What each system runs; every method checks its own result, and gives one figure. */
export interface EngineSystem {
  /** Microseconds a step of a line of ten steps that do nothing. */
  line(): Promise<number>;
  /** Milliseconds of one step over a list of 100. */
  each(): Promise<number>;
  /** Microseconds a turn of a loop of 1,000. */
  loop(): Promise<number>;
  /** Milliseconds of 1,000 lines of ten steps at the same time. */
  concurrent(): Promise<number>;
  /** Microseconds a token of 10,000 that a step streams to the caller. */
  stream(): Promise<number>;
  /** Milliseconds of A → { B 500 ms ∥ C 200 ms → D 200 ms } → E, whose best is 500. */
  asymmetric(): Promise<number>;
  /** Kilobytes of heap that a run holds while it waits at its fifth step, over 1,000 of them. */
  waiting(): Promise<number>;
  /** Milliseconds to import, in a new process. */
  load(): Promise<number>;
}

const metrics: [method: keyof EngineSystem, metric: string, unit: string, rounds: number][] = [
  ["line", "10-node line, a step", "µs", 9],
  ["each", "each over 100", "ms", 9],
  ["loop", "loop of 1,000, a turn", "µs", 7],
  ["concurrent", "1,000 flows of 10 steps at once", "ms", 5],
  ["stream", "10,000 streamed tokens, a token", "µs", 5],
  ["asymmetric", "asymmetric graph, best 500", "ms", 3],
  ["waiting", "heap of a waiting flow", "KB", 3],
  ["load", "import", "ms", 5],
];

const modules: Record<string, string> = {
  tessera: "tessera",
  "tessera, events and validation": "tessera",
  "plain calls": "plain",
  "LCEL RunnableSequence": "lcel",
  "LangGraph.js": "langgraph",
  Genkit: "genkit",
  Mastra: "mastra",
};

/** The engine beside its rivals: each system in a process of its own, in interleaved rounds; medians. */
export default async function engine(report: Report): Promise<void> {
  await beside(report.part("engine"));
  await step(report.part("engine, a step beside an earlier commit"));
}

async function beside(report: Report): Promise<void> {
  const running: Record<string, SystemProcess> = {};
  for (const [name, module] of Object.entries(modules)) {
    report.say(`starting ${name}`);
    try {
      const file = new URL(`./engine-systems/${module}.js`, import.meta.url).href;
      running[name] = await SystemProcess.start(file, name);
    } catch (error) {
      report.miss(name, (error as Error).message);
    }
  }
  try {
    await measure(report, running);
  } finally {
    for (const system of Object.values(running)) await system.close();
  }
}

async function measure(report: Report, running: Readonly<Record<string, SystemProcess>>): Promise<void> {
  const medians: Record<string, Record<string, number>> = {};
  for (const [method, metric, unit, rounds] of metrics) {
    report.say(metric);
    const calls = Object.fromEntries(
      Object.entries(running).map(([name, system]) => [name, () => system.call<number>(method)]),
    );
    const figures = await interleave(calls, rounds);
    for (const [name, samples] of Object.entries(figures)) {
      if (samples.some((sample) => sample < 0)) continue; // the system has nothing of the kind
      const median = percentile(samples, 0.5);
      report.add(name, metric, median, unit);
      medians[name] = { ...medians[name], [method]: median };
    }
  }
  for (const peer of ["LCEL RunnableSequence", "LangGraph.js"]) {
    const [ours, theirs] = [medians.tessera?.line, medians[peer]?.line];
    if (ours && theirs) report.add(peer, "line: times our cost", theirs / ours, "×");
  }
}
