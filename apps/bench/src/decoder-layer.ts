import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { cpuEngine } from "@tessera/models";
import { type DecoderModel, decoderShapes, ragged, randomDecoder } from "@tessera/models/internal";
import type { Report } from "./measure/report.js";
import { percentile } from "./measure/rounds.js";

const cached = 256; // tokens in the cache
const rounds = 7;
const steps = 100; // a round

/**
 * What decides how a decoder runs on the CPU: one layer, one token with 256 before it, one thread, in milliseconds of
 * processor time. ONNX Runtime with an If for every module (TESSERA_PYTHON names a Python that has it) beside our kernels.
 */
export default async function decoderLayer(report: Report): Promise<void> {
  for (const shape of ["mixture-small", "mixture"] as const) {
    const model = randomDecoder({ shape });
    const step = `${shape}: one layer, one token`;
    for (const precision of ["int8", "fp32"] as const) {
      // all but the layers themselves is in both, and falls away
      const few = await milliseconds({ ...model, layers: model.layers.slice(0, 1) }, precision);
      const many = await milliseconds(model, precision);
      report.add(`our kernels, ${precision}`, step, (many - few) / (model.layers.length - 1), "ms");
    }
    await onnx(report, "onnxruntime, an If a module, 8 bits", step, { ...decoderShapes[shape], cached });
  }
}

/** Of one decoding step: the median over the rounds. */
async function milliseconds(model: DecoderModel, precision: "int8" | "fp32"): Promise<number> {
  const blocks = [Int32Array.from({ length: 32 }, (_, i) => i)];
  const session = await cpuEngine({ workers: 1, precision }).loadDecoder(model, { blocks: 32, blockTokens: 16 });
  const step = (ids: readonly number[], at: number) =>
    session.step({ ...ragged([ids]), cached: Int32Array.of(at), blocks, sampling: [undefined] });
  try {
    await step(
      Array.from({ length: cached }, (_, i) => (7919 * i) % 16384),
      0,
    );
    const times: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      const before = process.cpuUsage();
      for (let i = 0; i < steps; i++) await step([(104729 * (i + steps * round)) % 16384], cached);
      const { user, system } = process.cpuUsage(before);
      if (round > 0) times.push((user + system) / 1000 / steps);
    }
    return percentile(times, 0.5);
  } finally {
    await session.close();
  }
}

async function onnx(report: Report, system: string, metric: string, shape: object): Promise<void> {
  const script = fileURLToPath(new URL("../onnx/decoder_layer.py", import.meta.url));
  try {
    const python = spawn(process.env.TESSERA_PYTHON ?? "python3", [script], { stdio: ["pipe", "pipe", "pipe"] });
    python.stdin.end(JSON.stringify(shape));
    const [answer, complaint, [code]] = await Promise.all([
      text(python.stdout),
      text(python.stderr),
      once(python, "close"),
    ]);
    if (code !== 0) throw new Error(complaint.trim().split("\n").at(-1));
    const { milliseconds: value } = JSON.parse(answer) as { milliseconds: number };
    report.add(system, metric, value, "ms");
  } catch (error) {
    report.miss(system, (error as Error).message);
  }
}
