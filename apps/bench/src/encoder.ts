import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { cpuEngine } from "@tessera/models";
import {
  type EncoderModel,
  type EncoderSession,
  encoderShapes,
  openEncoderModel,
  type Ragged,
  ragged,
  writeRandomEncoder,
} from "@tessera/models/internal";
import type { Report } from "./measure/report.js";
import { percentile } from "./measure/rounds.js";

const rounds = 5;
const texts = 64;
const turns = 21;

/**
 * The CPU engine on one thread, with random weights of the shapes that are trained: texts a second a core, where a
 * core's seconds are the processor time of this process, so that other programs count little. Medians of 5 rounds.
 */
export default async function encoder(report: Report): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "tessera-encoder-"));
  try {
    for (const shape of ["small", "large"] as const) {
      await writeRandomEncoder(join(folder, shape), { shape, golden: 1 });
      const model = await openEncoderModel(join(folder, shape));
      for (const precision of ["int8", "fp32"] as const) await measure(report, model, shape, precision);
      await compareWithUsual(report, model, join(folder, shape), shape);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(
  report: Report,
  model: EncoderModel,
  shape: keyof typeof encoderShapes,
  precision: "int8" | "fp32",
): Promise<void> {
  const { layers, hidden, exits } = encoderShapes[shape];
  const system = `${layers} × ${hidden}, ${precision}`;
  report.say(system);
  const started = performance.now();
  const session = await cpuEngine({ workers: 1, precision }).loadEncoder(model);
  try {
    const equal = batchOf(model, () => 32);
    await session.encode(equal, layers);
    report.add(system, "start, with the first 64 texts", performance.now() - started, "ms");
    for (const exit of exits)
      report.add(system, `exit ${exit}, 32 tokens`, await rate(session, [equal], exit), "texts/s/core");
    const single = Array.from({ length: texts }, (_, i) => batchOf(model, () => 32, i, 1));
    report.add(
      system,
      `exit ${layers}, 32 tokens, one text a call`,
      await rate(session, single, layers),
      "texts/s/core",
    );
    const mixed = batchOf(model, (i) => 4 + ((i * 29) % 57));
    report.add(system, `exit ${layers}, 4 to 60 tokens, mean 32`, await rate(session, [mixed], layers), "texts/s/core");
    const long = batchOf(model, () => 256);
    report.add(system, `exit ${layers}, 256 tokens`, await rate(session, [long], layers), "texts/s/core");
  } finally {
    await session.close();
  }
}

/**
 * The same weights through torch.onnx.export and quantize_dynamic, on one thread, in turns with the CPU engine;
 * TESSERA_PYTHON names a Python that has them.
 */
async function compareWithUsual(
  report: Report,
  model: EncoderModel,
  folder: string,
  shape: keyof typeof encoderShapes,
): Promise<void> {
  const { layers, hidden } = encoderShapes[shape];
  const system = `${layers} × ${hidden}, quantize_dynamic`;
  report.say(system);
  const script = fileURLToPath(new URL("../../train/dynamic_baseline.py", import.meta.url));
  const usual = spawn(process.env.TESSERA_PYTHON ?? "python3", [script, folder], { stdio: ["pipe", "pipe", "pipe"] });
  let errors = "";
  usual.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  usual.stdin.on("error", () => {});
  const ended = Promise.race([
    once(usual, "error").then(([error]) => (error as Error).message),
    once(usual, "close").then(() => errors.trim().split("\n").at(-1)!),
  ]);
  const lines = createInterface({ input: usual.stdout })[Symbol.asyncIterator]();
  const session = await cpuEngine({ workers: 1, precision: "int8" }).loadEncoder(model);
  try {
    if ((await lines.next()).done) return report.miss(system, await ended);
    const batch = batchOf(model, () => 32);
    await session.encode(batch, layers);
    const own: number[] = [];
    const other: number[] = [];
    for (let turn = 0; turn < turns; turn++) {
      own.push(await rateOfRound(session, [batch], layers));
      usual.stdin.write("\n");
      other.push((JSON.parse((await lines.next()).value!) as { textsPerSecond: number }).textsPerSecond);
    }
    report.add(system, `exit ${layers}, 32 tokens`, percentile(other, 0.5), "texts/s/core");
    report.add(system, "int8 of the CPU engine, in turns with it", percentile(own, 0.5), "texts/s/core");
    const ratios = own.map((rate, turn) => rate / other[turn]!);
    report.add(system, "int8 over it, median of the turns", percentile(ratios, 0.5), "times");
  } finally {
    usual.stdin.end();
    await session.close();
  }
}

function batchOf(model: EncoderModel, lengthOf: (text: number) => number, seed = 0, count = texts): Ragged {
  const input = (text: number): number[] =>
    Array.from({ length: lengthOf(text) }, (_, i) => (7919 * (text + seed) + 104729 * i) % model.embedding.rows);
  return ragged(Array.from({ length: count }, (_, text) => input(text)));
}

/** Texts a second of processor time. */
async function rateOfRound(session: EncoderSession, batches: readonly Ragged[], exit: number): Promise<number> {
  const before = process.cpuUsage();
  for (const batch of batches) await session.encode(batch, exit);
  const { user, system } = process.cpuUsage(before);
  return batches.reduce((sum, { offsets }) => sum + offsets.length - 1, 0) / ((user + system) / 1e6);
}

/** The median of some rounds. */
async function rate(session: EncoderSession, batches: readonly Ragged[], exit: number): Promise<number> {
  const rates: number[] = [];
  for (let round = 0; round < rounds; round++) rates.push(await rateOfRound(session, batches, exit));
  return percentile(rates, 0.5);
}
