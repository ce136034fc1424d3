import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AnyOperator, type FlowDocument, number, operator, type Records } from "@tessera/core";
import { compile, diskRecords, memoryRecords } from "@tessera/graph";
import { z } from "zod";
import { expect } from "./engine-systems/measured.js";
import type { Report } from "./measure/report.js";
import { percentile } from "./measure/rounds.js";

const steps = 1000;
const stepMs = 5;
const rounds = Number(process.env.TESSERA_ROUNDS ?? 3);
const most = 0.02; // of the time of a whole run

const slow = operator({
  name: "bench.slow",
  version: 1,
  about: { module: "data", submodule: "bench", summary: "Takes its time." },
  config: z.strictObject({ add: z.number().default(1) }),
  ports: { input: { x: number }, output: { x: number } },
  effects: "none",
  setup:
    ({ add }) =>
    async ({ x }) => {
      await new Promise((resolve) => setTimeout(resolve, stepMs));
      return { x: x + add };
    },
}) as unknown as AnyOperator;

/** A line of steps, whose last one adds something else. */
const line = (last: number): FlowDocument => ({
  version: 1,
  name: "line",
  input: { x: "number" },
  nodes: Object.fromEntries(
    Array.from({ length: steps }, (_, i) => [
      `n${i}`,
      {
        run: "bench.slow",
        ...(i === steps - 1 && { with: { add: last } }),
        in: { x: i === 0 ? "input.x" : `n${i - 1}.x` },
      },
    ]),
  ),
  output: { x: `n${steps - 1}.x` },
});

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** A whole run and a fork at its last step, in turn. */
async function measure(report: Report, name: string, records: Records): Promise<void> {
  const whole: number[] = [];
  const forked: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const options = { operators: [slow], records };
    const first = await compile(line(1), options);
    const changed = await compile(line(100), options);
    const id = `run-${round}`;
    whole.push(await milliseconds(async () => expect((await first.run({ x: 0 }, { id })).output, { x: steps })));
    const change = { at: `line/n${steps - 1}`, config: { add: 100 } };
    forked.push(
      await milliseconds(async () => {
        const { output, spent } = await changed.fork(id, change);
        expect([output, spent.steps], [{ x: steps + 99 }, 1]);
      }),
    );
  }
  const ratio = percentile(
    forked.map((one, round) => one / whole[round]!),
    0.5,
  );
  report.add(name, `all of ${steps} steps of ${stepMs} ms`, percentile(whole, 0.5), "ms");
  report.add(name, "fork at the last step", percentile(forked, 0.5), "ms");
  report.add(name, `fork against all (at most ${most})`, ratio, "×");
  if (ratio > most) report.say(`LOSES: ${name}: a fork takes ${ratio.toFixed(4)} of a whole run`);
}

/** A fork at the last of many steps against running all, in memory and on disk. */
export default async function waitingFork(report: Report): Promise<void> {
  await measure(report, "in memory", memoryRecords());
  const folder = mkdtempSync(join(tmpdir(), "tessera-fork-"));
  try {
    const records = await diskRecords(join(folder, "records"));
    await measure(report, "on disk", records);
    await records.close?.();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
